"""Latent label shift: finds classes without labels from several sites in which the same classes are
of different frequency (DDFA).

Objective
    A network learns p(d|x), which site a case is from. Cases are put into m cells by k-means on
    p(d|x); the cell-by-site table Q = p(c|d) is factorised (non-negative, rank k): Q ~ p(c|y)
    p(y|d). Posterior p(y|x) = p(d|y)^+ p(d|x), and with the site p(y|x,d) ~ p(y|x) p(d|y).

Cost
    One pass over the training cases per epoch; factorising a 30 x r table takes no time. About 20 s
    for 1,259 digits on two cores.

Differences from the paper
    The discriminator's probabilities are tempered on validation cases; sites of unequal size are
    weighted to equal ones while it learns, not on the validation cases that choose its best state
    and its temperature; the pseudo-inverse is replaced by non-negative least squares, whose answers
    need no clipping. The network is a small one of our own (convolutional above 1,024 values); its
    kind, dropout and epochs were chosen on other draws of the digits than those it is measured on.

Reference
    Roberts, Mani, Garg, Lipton, Unsupervised learning under latent label shift, NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Clusters, Embedding, Grid, Metric, Metrics, Model
from core.data.scaling import Standardise
from core.errors import UserError
from core.method import Method, Takes
from core.methods.domains._params import LatentLabelShiftParams
from core.stats.calibration import fit_temperature

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run

DRAWS = 50  # of patients, for the range of a frequency
# values of a case; smaller ones are read by a plain network, which keeps where a stroke is
SMALL = 1024


class LatentLabelShift(Method):
    id = "latent_label_shift"
    title = "Latent label shift between sites"
    seed_number = 8
    net_: Any
    takes = Takes(
        ("image", "table"),
        domains="needed",
        volumes="no",
        min_rows=40,
        min_size=8,
        seconds_per_value=5e-7,
    )
    gives = (Model, Embedding, Clusters, Grid, Metrics)
    Params = LatentLabelShiftParams
    tiny = {"epochs": 3, "k": 2, "batch_size": 16, "width": 4, "cells": 6}
    presets = {
        "fast": {"epochs": 100},
        "standard": {"epochs": 200},
        "thorough": {"epochs": 300, "width": 32},
    }
    least_steps = 600

    def declines(self, data: Dataset) -> str | None:
        sites = {d for d in (data.domains if data.domains is not None else []) if d is not None}
        return None if len(sites) >= 2 else f"Needs at least two sites; this data has {len(sites)}."

    # -- training ----------------------------------------------------------------------------------
    def make_net(self) -> torch.nn.Module:
        from torch import nn

        from core.nets.encoders import ClassifierNet

        p, values = self.params, int(np.prod(self.shape_))
        net = ClassifierNet(self.shape_, p.width, len(self.sites_))
        if values <= SMALL:
            out = 4 * p.width
            net.encoder = nn.Sequential(
                nn.Flatten(),
                nn.Linear(values, out),
                nn.ReLU(),
                nn.Dropout(p.dropout),
                nn.Linear(out, out),
                nn.ReLU(),
            )
        net.head = nn.Sequential(nn.Dropout(p.dropout), net.head)  # type: ignore[assignment]
        return net

    def codes(self, data: Dataset) -> np.ndarray:
        """int64 [n]: the site of each row among `sites`, -1 = unknown or new."""
        place = {s: i for i, s in enumerate(self.sites_)}
        return (
            np.array(
                [-1 if d is None else place.get(str(d), -1) for d in data.domains], dtype=np.int64
            )
            if data.domains is not None
            else np.full(len(data), -1)
        )

    def fit(self, data: Dataset, run: Run) -> None:
        import torch
        from torch.nn import functional as F

        from core.nets.losses.class_weights import class_weights

        p, train = self.params, data.part("train")
        self.shape_ = tuple(data.shape)
        known = (
            [str(d) for d in train.domains if d is not None] if train.domains is not None else []
        )
        self.sites_ = sorted(set(known))
        if len(self.sites_) < p.k:
            raise UserError(
                f"{p.k} classes cannot be told from {len(self.sites_)} sites: there must be at"
                " least as many sites as classes (lower “k”)."
            )
        if p.cells < p.k:
            raise UserError("“cells” must be at least “k”.")
        train = train.take(np.flatnonzero(self.codes(train) >= 0))
        d = self.codes(train)
        self.scale_ = Standardise.fit(train)
        self.net_ = self.make_net()
        best = Best(self.net_)
        self.scale_.to(run.where)
        # as if all sites were of one size
        weight = class_weights(d, len(self.sites_)).to(run.where)
        val = data.part("val")
        val = val.take(np.flatnonzero(self.codes(val) >= 0))
        held, at = (
            (self.scale_(torch.from_numpy(val.inputs()).to(run.where)) if len(val) else None),
            torch.from_numpy(self.codes(val)).to(run.where),
        )
        chance = float(np.log(len(self.sites_)))

        def loss(net: Any, batch: Batch) -> dict[str, Any]:
            return {
                "loss": F.cross_entropy(net(self.scale_(batch.x)), batch.y, weight),
                "guessing": chance,
            }

        def look(epoch: int = 0) -> None:
            if held is not None:
                best.look(held, at)

        run.fit(
            self.net_,
            loss,
            train.with_labels(d),
            p,
            optimiser=torch.optim.Adam(self.net_.parameters(), p.learning_rate),
            schedule=lambda step, total: (
                p.learning_rate * 0.97 ** (step * p.epochs // total * 100 / p.epochs)
            ),
            clip=5.0,
            track={"best": best},
            between_epochs=look,
        )
        look()
        if held is not None:
            best.put_back()
        self.to(run.where)
        logits = self._logits(train, run)
        both, sites = (
            (np.concatenate([logits, self._logits(val, run)]), np.concatenate([d, self.codes(val)]))
            if len(val)
            else (logits, d)
        )
        self.temperature_ = (
            fit_temperature(both[len(d) :], sites[len(d) :], 20.0) if len(val) >= 20 else 1.0
        )
        prob = _softmax(both / self.temperature_)
        self.cells_, cell = cells(prob, p.cells, run.seed)
        q = np.stack(
            [
                np.bincount(cell[sites == j], minlength=len(self.cells_))
                / max((sites == j).sum(), 1)
                for j in range(len(self.sites_))
            ],
            1,
        )
        self.prior_, self.error_ = factorised(q, p.k, p.restarts, run.seed)
        groups = data.of(np.concatenate([train.rows, val.rows])).groups
        self.bound_ = resampled(q, sites, cell, self.prior_, groups, run)

    def _logits(self, data: Dataset, run: Run) -> np.ndarray:
        if not len(data):
            return np.zeros((0, len(self.sites_)))
        return np.asarray(run.map(lambda x: self.net_(self.scale_(x)), data), dtype=np.float64)

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        z, logits = run.map(lambda x: (z := self.embed(x), self.net_.head(z)), data)
        sites = self.codes(data)
        site_prob = _softmax(np.asarray(logits, dtype=np.float64) / self.temperature_)
        prob = posterior(site_prob, self.prior_, sites)
        yield Embedding(rows=data.rows, name="latent", z=z, layer="site discriminator")
        names = [f"class {j + 1}" for j in range(self.prior_.shape[0])]
        yield Clusters.likeliest(data.rows, "classes", prob, names)
        yield Grid(
            rows=data.rows,
            name="frequency",
            value=self.prior_.astype(np.float32),
            x=self.sites_,
            y=names,
            x_title="site",
            y_title="class found",
            unit="share of the site's cases",
            low=0.0,
            high=1.0,
        )
        yield Metrics.of(self.figures(data, site_prob, sites), data.rows)

    def figures(self, data: Dataset, site_prob: np.ndarray, sites: np.ndarray) -> list[Metric]:
        """How well sites are told apart, how far their frequencies differ, and each frequency with
        its interval.
        """
        from core.stats.bootstrap import mean_interval

        held = np.flatnonzero((data.splits != "train") & (sites >= 0))
        condition = float(np.linalg.cond(self.prior_))
        said = (
            "the sites differ too little in how often classes occur: do not believe the classes"
            if condition > 10
            else ""
        )
        learned = int((np.isin(data.splits, ["train", "val"]) & (sites >= 0)).sum())
        found = [
            Metric(
                "condition number of the frequencies",
                condition,
                split="train and val",
                n=learned,
                higher_is_better=False,
                note=said,
            )
        ]
        found.append(
            Metric(
                "factorisation error",
                self.error_,
                split="train and val",
                n=learned,
                higher_is_better=False,
            )
        )
        if len(held) >= 5:
            each = -np.log(np.maximum(site_prob[held, sites[held]], 1e-12))
            note = f"chance level {np.log(len(self.sites_)):.2f}"
            one = Metric(
                "site discriminator: cross-entropy",
                float(each.mean()),
                split="val and test",
                n=len(held),
                higher_is_better=None,
                note=note,
            )
            found.append(
                one.within(
                    mean_interval(
                        each, data.groups[held] if data.groups is not None else None, (0, np.inf)
                    )
                )
            )
        for j in range(self.prior_.shape[0]):
            for s, site in enumerate(self.sites_):
                low, high = (float(v) if np.isfinite(v) else None for v in self.bound_[:, j, s])
                note = (
                    "too few cases of this site for a range"
                    if low is None
                    else (
                        f"range: the middle 95 % of {DRAWS} times drawing the site's patients again"
                    )
                )
                one = Metric(
                    f"share of class {j + 1}",
                    float(self.prior_[j, s]),
                    low,
                    high,
                    "train and val",
                    group=site,
                    n=learned,
                    higher_is_better=None,
                )
                found.append(replace(one, note=note, kind="range"))
        return found

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.encoder(self.scale_(x))


class Best:
    """The weights with the least loss on the validation cases so far: a discriminator that has
    learned its training cases by heart says nothing.
    """

    def __init__(self, net: torch.nn.Module) -> None:
        self.net, self.loss, self.kept = (
            net,
            float("inf"),
            {k: v.clone() for k, v in net.state_dict().items()},
        )

    def look(self, x: torch.Tensor, sites: torch.Tensor) -> None:
        """Keep the present weights when they are the best; the network is left as it was."""
        import torch
        from torch.nn import functional as F

        self.net.eval()
        with torch.no_grad():
            loss = float(F.cross_entropy(self.net(x).float(), sites))
        self.net.train()
        if loss < self.loss:
            self.loss, self.kept = loss, {k: v.clone() for k, v in self.net.state_dict().items()}

    def put_back(self) -> None:
        self.net.load_state_dict(self.kept)

    def state_dict(self) -> dict[str, Any]:
        import torch

        return {"loss": torch.tensor(self.loss, dtype=torch.float64), "kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loss, self.kept = float(state["loss"]), dict(state["kept"])


def _softmax(score: np.ndarray) -> np.ndarray:
    from scipy.special import softmax

    return softmax(score, axis=1)


def cells(prob: np.ndarray, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(centres [m,r], cell of each row) by k-means on p(d|x), 5 starts of 100 rounds."""
    from sklearn.cluster import KMeans

    made = KMeans(
        min(m, len(np.unique(prob, axis=0))), n_init=5, max_iter=100, random_state=seed
    ).fit(prob)
    return made.cluster_centers_, made.labels_


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

    from core.stats.bootstrap import FEWEST, drawn_again, units

    unit, got = units(len(sites), groups), []
    for i in range(DRAWS):
        run.check()
        parts = []
        for j in range(q.shape[1]):
            own = cell[sites == j]
            again = own[drawn_again(unit[sites == j], run.rng)] if len(own) else own
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
