"""Batch predictive inference: what an earlier classifier can promise about a batch of m new cases
as a whole.

Objective
    Score S = 1 - p(true class). The ranks of m new scores among n calibration scores are uniform
    over non-decreasing tuples, so the k-th score with P(R_z <= k) >= 1 - alpha, z = ceil((1 -
    delta) m), gives sets of classes of which at least 1 - delta hold the truth in at least 1 -
    alpha of all batches. Shares of a class in a group: mean of 1{y = c} - p_c(x), bounded from both
    sides by the exact law of the rank sum (alpha / 2 each).

Cost
    One pass of the model over all cases; the bound of a mean is O(m q n) for n <= 300 calibration
    cases, seconds.

Differences from the paper
    Shares are bounded by counts above three fixed ranks by default, far tighter for a good
    classifier than the paper's rank sum (kept as a choice). Calibration is one random case of each
    patient of the validation part, so that cases are exchangeable; an empty set gets its likeliest
    class, which only adds; the law of the rank sum is the exact one (the published simulations draw
    ranks with replacement, which is not uniform). Where there are sites, each is calibrated by
    itself, since cases of one site are exchangeable with each other only; a site of too few
    calibration cases takes the threshold of all sites and is promised nothing.

Reference
    Lee, Tchetgen Tchetgen, Dobriban, Batch predictive inference, arXiv 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Metric, Metrics, Model, Predictions
from core.data.labels import codes_among, column_as_words
from core.errors import UserError
from core.method import Method, Takes
from core.methods.conformal._calibration import (
    Calibration,
    make_sets,
    one_of_each_patient,
    say_guarantee,
)
from core.methods.conformal._figures import LEAST, bound_shares, form_batches, measure_coverage
from core.methods.conformal._params import BatchPIParams
from core.registry import open_model

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run


class BatchPI(Method):
    id = "batch_pi"
    title = "Batch conformal prediction sets"
    seed_number = 61
    takes = Takes(
        ("image", "volume", "table", "series"),
        labels="needed",
        on=("Model",),
        min_rows=5,
        trains=False,
        seconds_per_value=2e-8,
    )
    gives = (Predictions, Metrics)
    Params = BatchPIParams
    tiny_on = "classifier"
    tiny = {"batch": 5, "share": 0.6, "certainty": 0.6}
    presets = {"fast": {}, "standard": {}, "thorough": {}}

    def declines(self, data: Dataset) -> str | None:
        n = len(one_of_each_patient(data.part("val"), 0))
        if n >= LEAST:
            return None
        return (
            f"Needs at least {LEAST} validation cases of different patients to calibrate on;"
            f" this data has {n}."
        )

    def declines_on(self, on: dict[str, Artifact]) -> str | None:
        model = next(a for a in on.values() if isinstance(a, Model))
        if "predict" in model.abilities and len(model.classes) > 1:
            return None
        return (
            f"That run’s model ({model.method}) predicts no classes of whole cases; choose a"
            " classifier."
        )

    def fit(self, data: Dataset, run: Run) -> None:
        self.classes_ = list(run.base(Model).classes)
        val = data.part("val")
        prob = ask_model(data, run)[data.splits == "val"]
        if prob.ndim != 2:
            raise UserError(
                "The earlier run's model predicts a class for every pixel; sets need one class a"
                " case."
            )
        y = codes_among(val, self.classes_)
        use = [i for i in one_of_each_patient(val, run.seed) if y[i] >= 0]
        if len(use) < LEAST:
            raise UserError(
                f"Only {len(use)} validation cases have one of the model's classes as label; at"
                f" least {LEAST} are needed to calibrate on."
            )
        self.calibration_, self.truth_ = prob[use].astype(np.float64), y[use]
        self.sites_ = self.sites_of(val)[use]
        self.calibrate()
        run.report(0)

    def calibrate(self) -> None:
        """Work the thresholds out from the calibration cases."""
        p = self.params
        self.made = Calibration(
            self.calibration_, self.truth_, self.sites_, p.batch, p.share, p.certainty
        )

    def sites_of(self, data: Dataset) -> np.ndarray:
        """Words [n], object: each row's site, or its value of `by`; "" where there is none.
        UserError for a column that is not there.
        """
        column = self.params.by or data.roles.get("domain", "")
        return (
            column_as_words(data, column, "by") if column else np.full(len(data), "", dtype=object)
        )

    # -- artifacts ---------------------------------------------------------------------------------
    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        prob = ask_model(data, run).astype(np.float64)
        sites = self.sites_of(data)
        sets = make_sets(prob, self.made.thresholds(sites))
        yield Predictions(
            rows=data.rows,
            name="sets",
            prob=prob.astype(np.float32),
            classes=list(self.classes_),
            sets=sets,
            coverage=self.params.share,
            promise=say_guarantee(self.made, sites, data.groups is not None),
        )
        yield Metrics.of(self.figures(data, prob, sets, sites, run), data.rows)

    def figures(
        self, data: Dataset, prob: np.ndarray, sets: np.ndarray, sites: np.ndarray, run: Run
    ) -> list[Metric]:
        """Coverage and size of the sets on test, beside plain conformal ones; and each group's
        share of each class with its bounds.
        """
        made, n = self.made, len(self.truth_)
        title = "calibration cases"
        found = [Metric(title, float(n), n=n, higher_is_better=None, split="val")]
        y, test = codes_among(data, self.classes_), np.flatnonzero(data.splits == "test")
        at = test[y[test] >= 0]
        if len(at) >= 5:
            part, few = data.take(at), ""
            if not np.isfinite(made.single):
                few = (
                    f"{n} calibration cases are too few for single sets at"
                    f" {self.params.share:.0%}: every class is in the set"
                )
            about = y[at], sites[at], part, made, run
            found += measure_coverage("batch sets", sets[at], *about, each_site=True)
            single = make_sets(prob, made.single)[at]
            found += measure_coverage("one-by-one sets", single, *about, note=few)
        one_each = test[one_of_each_patient(data.take(test), run.seed)]
        by_ranks = self.params.bound == "counts above ranks"
        for group, rows in form_batches(sites, one_each, made.batch):
            run.check()
            found += bound_shares(group, prob[rows], self.classes_, made, by_ranks, run)
        return found

    @classmethod
    def upgrade(cls, state: dict[str, Any]) -> dict[str, Any]:
        sites = state.get("sites", [""] * len(state["truth"]))
        return state | {"sites": np.array(sites, dtype=object)}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.calibrate()


def ask_model(data: Dataset, run: Run) -> np.ndarray:
    """Return the earlier model's class probabilities of every row."""
    opened = open_model(run.base(Model), str(run.where))
    return np.asarray(run.map(opened.predict, data))
