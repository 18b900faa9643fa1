"""The table of cells by sites, taken apart into classes (DDFA): cells, frequencies, posteriors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.training.run import Run

DRAWS = 50  # of patients, for the range of a frequency


def cells(prob: np.ndarray, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(centres [m,r], cell of each row) by k-means on p(d|x), 5 starts of 100 rounds."""
    from sklearn.cluster import KMeans

    clusters = KMeans(
        min(m, len(np.unique(prob, axis=0))), n_init=5, max_iter=100, random_state=seed
    ).fit(prob)
    return clusters.cluster_centers_, clusters.labels_


def frequencies(cell: np.ndarray, sites: np.ndarray, m: int, r: int) -> np.ndarray:
    """Q = p(c|d) [m,r]: how often each of m cells is, of the cases of each of r sites."""
    columns = [
        np.bincount(cell[sites == j], minlength=m) / max((sites == j).sum(), 1) for j in range(r)
    ]
    return np.stack(columns, 1)


def factorised(q: np.ndarray, k: int, restarts: int, seed: int) -> tuple[np.ndarray, float]:
    """Q = p(c|d) [m,r] ~ C W with C = p(c|y) [m,k], W = p(y|d) [k,r], columns summing to 1: (W,
    relative error), the best of `restarts`.
    """
    import warnings

    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    best, least = None, np.inf
    for i in range(restarts):
        nmf = NMF(
            k,
            init="nndsvda" if i == 0 and k <= min(q.shape) else "random",
            max_iter=2000,
            random_state=seed + i,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            c = nmf.fit_transform(q)
        if nmf.reconstruction_err_ < least:
            best, least = (c, nmf.components_), float(nmf.reconstruction_err_)
    assert best is not None
    c, w = best
    w = w * np.maximum(c.sum(0), 1e-12)[:, None]
    w = w + 1e-9
    return w / w.sum(0), least / max(float(np.linalg.norm(q)), 1e-12)


def resampled(
    q: np.ndarray,
    sites: np.ndarray,
    cell: np.ndarray,
    prior: np.ndarray,
    groups: np.ndarray | None,
    run: Run,
) -> np.ndarray:
    """`float [2,k,r]`: the middle 95 % of p(y|d) when each site's patients `groups` are drawn
    again, DRAWS times; classes matched to `prior` by least difference. NaN for sites of too few
    patients to draw from.
    """
    from scipy.optimize import linear_sum_assignment

    from core.stats.bootstrap import FEWEST, resample, units

    unit, got = units(len(sites), groups), []
    for i in range(DRAWS):
        run.check()
        parts = []
        for j in range(q.shape[1]):
            own = cell[sites == j]
            again = own[resample(unit[sites == j], run.rng)] if len(own) else own
            parts.append(
                np.bincount(again, minlength=q.shape[0]) / len(again) if len(again) else q[:, j]
            )
        w, _ = factorised(np.stack(parts, 1), prior.shape[0], 2, i)
        order = linear_sum_assignment(np.abs(prior[:, None] - w[None]).sum(2))[1]
        got.append(w[order])
    found = np.percentile(np.stack(got), [2.5, 97.5], axis=0)
    few = [len(np.unique(unit[sites == j])) < FEWEST for j in range(q.shape[1])]
    found[:, :, few] = np.nan
    return found


def posterior(site_prob: np.ndarray, prior: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """p(y|x,d) [n,k] from p(d|x) [n,r], p(y|d) [k,r] and the sites (-1 = unknown: p(y|x)).

    p(d|y) is p(y|d) with sites of one size; p(y|x) >= 0 solves p(d|x) = p(d|y) p(y|x) by least
    squares.
    """
    from scipy.optimize import nnls

    by_class = prior / prior.sum(1, keepdims=True)  # [k,r] = p(d|y)
    found = (
        np.stack([nnls(by_class.T, row)[0] for row in site_prob])
        if len(site_prob)
        else np.zeros((0, len(prior)))
    )
    found = (found + 1e-9) / (found + 1e-9).sum(1, keepdims=True)
    known = sites >= 0
    found[known] *= by_class[:, sites[known]].T
    return found / np.maximum(found.sum(1, keepdims=True), 1e-12)
