"""Figures of a run on series: recognised symbols beside rivals, and where the redrawn signal is
worst.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Metric
from core.stats.metrics import counted_metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.imaging.signals import SignalStyle

WINDOWS = 8  # of the hand-made features, and of the stretches looked at


def window_means(x: np.ndarray) -> np.ndarray:
    """Means of eight equal stretches of every channel: x [n,C,T] -> [n,8C]. The hand-made rival, as
    a potential's window mean is for EEG.
    """
    return np.concatenate([part.mean(2) for part in np.array_split(x, WINDOWS, axis=2)], 1)


def fit_logistic(features: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(weight [f,k], bias [k]) of a logistic regression in which every class of y (codes; -1 = left
    out) weighs the same; features are standardised within.
    """
    from sklearn.linear_model import LogisticRegression

    known = y >= 0
    mean, sd = features[known].mean(0), np.maximum(features[known].std(0), 1e-9)
    model = LogisticRegression(class_weight="balanced", max_iter=2000).fit(
        (features[known] - mean) / sd, y[known]
    )
    weight, bias = (
        (model.coef_, model.intercept_)
        if len(model.classes_) > 2
        else (
            np.stack([-model.coef_[0], model.coef_[0]]),
            np.stack([-model.intercept_[0], model.intercept_[0]]),
        )
    )
    return (weight / sd).T, bias - (weight / sd) @ mean


def fit_rivals(
    z: np.ndarray, x: np.ndarray, y: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Logistic regressions of the same training cases with symbols y int64 [n], by name: on their
    coordinates z [n,d], and on window means of their signals x [n,C,T].
    """
    return {
        "logistic regression on the latent": fit_logistic(z, y),
        "logistic regression on window means": fit_logistic(window_means(x), y),
    }


def balanced_accuracy(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the classes of `truth` of the share of their cases that are said right."""
    return float(np.mean([(predicted[truth == c] == c).mean() for c in np.unique(truth)]))


def measure_recognition(
    data: Dataset, truth: np.ndarray, answers: dict[str, np.ndarray], names: list[str]
) -> list[Metric]:
    """Balanced accuracy of each answer on test cases that bear a symbol, intervals by group where
    there are groups; then the share found of each symbol.
    """
    at = np.flatnonzero((data.splits == "test") & (truth >= 0))
    if len(at) < 5 or len(np.unique(truth[at])) < 2:
        return [
            Metric(
                "balanced accuracy",
                None,
                split="test",
                n=len(at),
                note="fewer than 5 test cases, or one symbol only among them",
            )
        ]
    found = []
    for name, said in answers.items():
        score = lambda i, said=said[at]: balanced_accuracy(said[i], truth[at][i])  # noqa: E731
        found.append(
            counted_metric(
                f"balanced accuracy: {name}",
                score,
                data.take(at),
                (0, 1),
                classes=truth[at],
                split="test",
                note=f"chance {1 / len(names):.2f}",
            )
        )
    said = next(iter(answers.values()))[at]
    for j, name in enumerate(names):
        part = truth[at] == j
        if part.any():
            found.append(
                Metric(
                    "share found",
                    float((said[part] == j).mean()),
                    split="test",
                    group=name,
                    n=int(part.sum()),
                    note="of the cases that bear it",
                )
            )
    return found


def find_worst_stretch(x: np.ndarray, back: np.ndarray, look: SignalStyle, part: str) -> Metric:
    """Where small waves are lost: of eight stretches a channel, the one whose squared error is the
    largest share of the variance between cases there.

    `x`, `back` [n,channels,length] are the signals and how they are redrawn, of the cases of `part`
    ("test", or "train" where there are none).
    """
    from core.imaging import signals

    error, spread = np.square(back - x), np.square(x - x.mean(0))
    edges = np.linspace(0, x.shape[2], WINDOWS + 1).astype(int)
    share = np.stack(
        [
            error[..., a:b].mean((0, 2)) / np.maximum(spread[..., a:b].mean((0, 2)), 1e-12)
            for a, b in pairwise(edges)
        ],
        1,
    )
    c, k = np.unravel_index(int(share.argmax()), share.shape)
    where = look.channels[c] if c < len(look.channels) else f"channel {c + 1}"
    stretch = signals.describe_stretch(look, x.shape[2], int(edges[k]), int(edges[k + 1]) - 1)
    note = f"{where}, {stretch}; above 1: that stretch is better left as the mean"
    return Metric(
        "worst stretch: error of the redrawn signal",
        float(share[c, k]),
        split=part,
        n=len(x),
        higher_is_better=False,
        note=note,
    )
