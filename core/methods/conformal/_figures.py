"""Figures of batch conformal prediction: coverage and size of the sets on test cases, and bounds of
each class's share in a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Metric
from core.methods.conformal import _ranks
from core.stats.bootstrap import units
from core.stats.metrics import mean_metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.methods.conformal._calibration import Calibration
    from core.training.run import Run

LEAST = 10  # calibration cases to calibrate on at all, and of a site for bounds of its own
MOST = 300  # calibration cases used for the bound of a mean
DRAWS = 500  # batches drawn to count how many keep the promise
CLASSES = 4  # with more, shares of classes are not shown
KEPT = "batches with the promised share"


def measure_coverage(
    name: str,
    sets: np.ndarray,
    y: np.ndarray,
    sites: np.ndarray,
    data: Dataset,
    made: Calibration,
    run: Run,
    note: str = "",
    each_site: bool = False,
) -> list[Metric]:
    """How often `sets` [n,k] of the test cases `data` hold the truth `y` [n], how large they are,
    and how many drawn batches keep the promised share; `each_site`: of each calibrated site as
    well.
    """
    n, m = len(y), made.batch
    hit, size = np.asarray(sets[np.arange(n), y], bool), sets.sum(1).astype(float)
    title = f"{name}: share that hold the truth"
    found = [mean_metric(title, hit, data, split="test", note=note)]
    found.append(
        mean_metric(
            f"{name}: classes in a set",
            size,
            data,
            (0, sets.shape[1]),
            split="test",
            higher_is_better=False,
            note=note,
        )
    )
    unit = units(n, data.groups)
    drawn = f"{DRAWS} draws of {m} test cases"
    drawn += "" if data.groups is None else f" of {m} patients"
    one_site = ", each of one site" if made.by_site else ""
    pools = [np.flatnonzero(sites == site) for site in made.by_site] or [np.arange(n)]
    kept = count_kept(hit, pools, unit, m, made.needed, run.rng)
    words = "; ".join(filter(None, [drawn + one_site, note]))
    found.append(Metric(f"{name}: {KEPT}", kept, split="test", n=n, note=words))
    for site, pool in zip(made.by_site, pools) if each_site else ():
        if len(np.unique(unit[pool])) >= m:
            kept = count_kept(hit, [pool], unit, m, made.needed, run.rng)
            found.append(
                Metric(f"{name}: {KEPT}", kept, split="test", group=site, n=len(pool), note=drawn)
            )
    return found


def count_kept(
    hit: np.ndarray,
    pools: list[np.ndarray],
    unit: np.ndarray,
    m: int,
    needed: int,
    rng: np.random.Generator,
) -> float | None:
    """Return the share of drawn batches of `m` cases in which at least `needed` sets hold the truth
    (`hit` bool [n]). A batch comes from one of `pools` (positions), the larger the oftener, one
    case of each of its patients `unit` [n], as calibration is; None where none holds as many
    patients.
    """
    pools = [pool for pool in pools if len(np.unique(unit[pool])) >= m]
    if not pools:
        return None
    size = np.array([len(pool) for pool in pools], float)
    drawn = []
    for j in rng.choice(len(pools), DRAWS, p=size / size.sum()):
        order = rng.permutation(pools[j])
        first = np.unique(unit[order], return_index=True)[1]
        drawn.append(hit[order[rng.permutation(first)[:m]]].sum())
    return float((np.array(drawn) >= needed).mean())


def form_batches(sites: np.ndarray, at: np.ndarray, m: int) -> list[tuple[str, np.ndarray]]:
    """(name, positions) of groups of the test cases `at`, one of each patient, cut to `m` cases: by
    `sites` [n] where they are known, else five batches in turn. A group of fewer is a smaller
    batch.
    """
    names = sorted(set(sites) - {""})
    if not names:
        return [
            (f"test cases {i + 1} to {min(i + m, len(at))}", at[i : i + m])
            for i in range(0, min(len(at), 5 * m), m)
        ]
    return [(name, own[:m]) for name in names[:20] if len(own := at[sites[at] == name])]


def bound_shares(
    group: str, prob: np.ndarray, classes: list[str], made: Calibration, by_ranks: bool, run: Run
) -> list[Metric]:
    """For one batch, its probabilities `prob` [m,k]: the share of each class with bounds that hold
    for all batches alike, and the median certainty. A site is bounded by its own calibration cases;
    one of too few has shares without bounds. `by_ranks`: from counts above ranks, else from the sum
    of ranks.
    """
    m, alpha, found = len(prob), 1 - made.certainty, []
    own = np.arange(len(made.truth))
    if (made.sites != "").any():
        own = np.flatnonzero(made.sites == group)
    shown = classes if len(classes) <= CLASSES else []
    if len(own) < LEAST:
        why = f"no bounds: only {len(own)} calibration cases there"
        return [
            _share(name, float(prob[:, c].mean()), None, group, m, why)
            for c, name in enumerate(shown)
        ]
    some = own if len(own) <= MOST else run.rng.choice(own, MOST, replace=False)
    bound = _ranks.stair_bound if by_ranks else _ranks.mean_bound
    why = f"bounds hold in {made.certainty:.0%} of batches"
    for c, name in enumerate(shown):
        left = (made.truth[some] == c) - made.prob[some, c]
        high, low = bound(left, m, alpha / 2, 1.0), -bound(-left, m, alpha / 2, 1.0)
        mean = float(prob[:, c].mean())
        within = max(0.0, mean + low), min(1.0, mean + high)
        found.append(_share(name, mean, within, group, m, why))
    half = _ranks.quantile_bound(made.score[own], m, -(-m // 2), alpha)
    found.append(
        Metric(
            "median probability given to the truth, at least",
            1 - half if np.isfinite(half) else 0.0,
            split="test",
            group=group,
            n=m,
            note=f"holds in {made.certainty:.0%} of batches",
        )
    )
    return found


def _share(
    name: str,
    mean: float,
    within: tuple[float, float] | None,
    group: str,
    n: int,
    note: str,
) -> Metric:
    """Return the share of the class `name` in a batch of `n` cases."""
    low, high = within or (None, None)
    return Metric(
        f"share of {name}",
        mean,
        low,
        high,
        split="test",
        group=group,
        n=n,
        higher_is_better=None,
        note=note,
        kind="bound",
    )
