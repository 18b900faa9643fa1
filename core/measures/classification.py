"""How good a model's own predictions are: accuracy, AUC, Brier score and calibration error on
held-out cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Metric, Predictions
from core.evaluate import held_out
from core.measure import Measure
from core.measures.probes import auc
from core.stats.bootstrap import interval, mean_interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error: bins of equal width over [0, 1], weighted by their
    count.
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    gap = np.abs(np.bincount(place, confidence, bins) - np.bincount(place, right, bins))
    return float(gap.sum() / max(1, count.sum()))


def by_chance(confidence: np.ndarray, rng: np.random.Generator, draws: int = 200) -> float:
    """Return the calibration error of calibrated probabilities on as many cases: each is right as
    often as its `confidence` [n] says (Bröcker and Smith 2007).
    """
    return float(
        np.mean(
            [
                calibration_error(confidence, rng.random(len(confidence)) < confidence)
                for _ in range(draws)
            ]
        )
    )


class Classification(Measure):
    id = "classification"
    headline = ("predicted class accuracy",)
    title = "Classification"
    takes = (Predictions,)
    labels = True
    help = (
        "How often the predicted class is right, how well probabilities rank (AUC) and are"
        " calibrated (Brier score, calibration error; lower is better)."
    )

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        (said,) = artifacts
        assert isinstance(said, Predictions)
        if said.prob is None or said.prob.ndim != 2:
            return "these are no class probabilities"
        return None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (said,) = artifacts
        assert isinstance(said, Predictions)
        assert said.prob is not None
        part, at = held_out(data, said.rows)
        whole = data.of(said.rows[at])
        code = np.array([said.classes.index(c) if c in said.classes else -1 for c in data.classes])
        truth = np.where(whole.labels >= 0, code[whole.labels], -1)
        known = truth >= 0
        if known.sum() < 2:
            return []
        truth, prob = truth[known], np.asarray(said.prob[at][known], dtype=float)
        groups = whole.groups[known] if whole.groups is not None else None
        right, sure, n = prob.argmax(1) == truth, prob.max(1), len(truth)
        brier = np.square(prob - np.eye(prob.shape[1])[truth]).sum(1)
        classes = np.arange(prob.shape[1])
        rank = said.log_odds(said.rows[at][known])
        found = [
            Metric("predicted class accuracy", float(right.mean()), split=part, n=n).within(
                mean_interval(right, groups)
            )
        ]
        ranked = auc(truth, rank, classes)
        if ranked == ranked:
            one = Metric("predicted class AUC", ranked, split=part, n=n)
            found.append(
                one.within(
                    interval(
                        lambda i: auc(truth[i], rank[i], classes), n, groups, (0, 1), classes=truth
                    )
                )
            )
        score = Metric("Brier score", float(brier.mean()), split=part, n=n, higher_is_better=False)
        error, alone = calibration_error(sure, right), by_chance(sure, rng)
        note = (
            "no interval: it comes out too high on few cases; calibrated probabilities would"
            f" show about {alone:.3f} here"
        )
        return [
            *found,
            score.within(mean_interval(brier, groups, (0, 2))),
            Metric("calibration error", error, split=part, n=n, higher_is_better=False, note=note),
        ]
