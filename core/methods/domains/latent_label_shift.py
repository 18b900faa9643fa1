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
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Clusters, Embedding, Grid, Metrics, Model
from core.data.scaling import Standardise
from core.errors import UserError
from core.method import Method, Takes
from core.methods.domains._factorise import (
    cells,
    factorised,
    frequencies,
    posterior,
    resampled,
)
from core.methods.domains._figures import figures
from core.methods.domains._params import LatentLabelShiftParams
from core.stats.calibration import fit_temperature

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Batch, Run


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
    shares_batches = True
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
        from core.nets.encoders import dropout_classifier

        return dropout_classifier(
            self.shape_, self.params.width, len(self.sites_), self.params.dropout
        )

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
        from scipy.special import softmax
        from torch.nn import functional as F

        from core.methods.domains._best import Best
        from core.nets.losses.class_weights import class_weights

        p, train = self.params, data.part("train")
        self.shape_ = tuple(data.shape)
        known = (
            [str(d) for d in train.domains if d is not None] if train.domains is not None else []
        )
        self.sites_ = sorted(set(known))
        if len(self.sites_) < p.k:
            raise UserError(
                f"{p.k} classes cannot be separated by {len(self.sites_)} sites: there must be at"
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
        prob = softmax(both / self.temperature_, axis=1)
        self.cells_, cell = cells(prob, p.cells, run.seed)
        q = frequencies(cell, sites, len(self.cells_), len(self.sites_))
        self.prior_, self.error_ = factorised(q, p.k, p.restarts, run.seed)
        groups = data.of(np.concatenate([train.rows, val.rows])).groups
        self.bound_ = resampled(q, sites, cell, self.prior_, groups, run)

    def _logits(self, data: Dataset, run: Run) -> np.ndarray:
        if not len(data):
            return np.zeros((0, len(self.sites_)))
        return np.asarray(run.map(lambda x: self.net_(self.scale_(x)), data), dtype=np.float64)

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        from scipy.special import softmax

        z, logits = run.map(lambda x: (z := self.embed(x), self.net_.head(z)), data)
        sites = self.codes(data)
        site_prob = softmax(np.asarray(logits, dtype=np.float64) / self.temperature_, axis=1)
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
        yield Metrics.of(figures(self, data, site_prob, sites), data.rows)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        return self.net_.encoder(self.scale_(x))
