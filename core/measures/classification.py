"""How good a model's own predictions are: accuracy, AUC, Brier score and calibration error on held-out cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Metric, Predictions
from core.measure import Measure, bootstrap
from core.measures.probes import DRAWS, auc
from core.measuring import held_out

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: bins of equal width over [0, 1], weighted by their count."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    gap = np.abs(np.bincount(place, confidence, bins) - np.bincount(place, right, bins))
    return float(gap.sum() / max(1, count.sum()))


class Classification(Measure):
    id = "classification"
    title = "Predicted classes"
    takes = (Predictions,)
    labels = True
    help = "How often the predicted class is right, how well probabilities rank (AUC) and how honest they are (Brier, calibration error; lower is better)."

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        (said,) = artifacts
        assert isinstance(said, Predictions)
        if said.prob is None or said.prob.ndim != 2:
            return "these are no class probabilities"
        return None

    def compute(self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator) -> list[Metric]:
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
        groups = whole.groups[known].astype(str) if whole.groups is not None else None
        right, sure = prob.argmax(1) == truth, prob.max(1)
        brier = np.square(prob - np.eye(prob.shape[1])[truth]).sum(1)
        classes = np.arange(prob.shape[1])
        values = {
            "predicted class accuracy": (lambda i: float(right[i].mean()), True),
            "predicted class AUC": (lambda i: auc(truth[i], prob[i], classes), True),
            "Brier score": (lambda i: float(brier[i].mean()), False),
            "calibration error": (lambda i: calibration_error(sure[i], right[i]), False),
        }
        found = []
        for name, (value, better) in values.items():
            every = value(np.arange(len(truth)))
            if every == every:
                low, high = bootstrap(value, len(truth), rng, groups, DRAWS)
                found.append(Metric(name, every, low, high, part, n=len(truth), higher_is_better=better))
        return found
