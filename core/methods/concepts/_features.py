"""Features of sparse codes: what they are called, and figures on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Metric
from core.stats.bootstrap import interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset

TOP = 20  # strongest cases that name a pole of a feature


def both_sides(codes: np.ndarray) -> np.ndarray:
    """Bool [m]: features whose codes are positive and negative, each in at least a tenth of the
    cases where they are on.
    """
    plus, minus = (codes > 0).sum(0), (codes < 0).sum(0)
    return (np.minimum(plus, minus) >= 0.1 * np.maximum(plus + minus, 1)) & (plus + minus >= 10)


def name_features(codes: np.ndarray, data: Dataset) -> list[str]:
    """Return a name for each feature: its number, and the class its poles lean to where a class is
    twice as frequent among the 20 strongest cases as overall. `codes` [n,m] of the rows of `data`.
    """
    known, on = np.flatnonzero(data.labels >= 0), (codes != 0).any(0)
    count = np.bincount(data.labels[known], minlength=len(data.classes))
    share = count / max(len(known), 1)
    found = []
    for j in range(codes.shape[1]):
        words = []
        for sign, mark in ((1, "+"), (-1, "−")):
            name = _leaning(sign * codes[known, j], data.labels[known], data.classes, share)
            words += [f"{mark} {name}"] if name else []
        found.append(
            f"feature {j + 1}"
            + (f" ({', '.join(words)})" if words else "")
            + ("" if on[j] else " (never on)")
        )
    return found


def _leaning(
    strength: np.ndarray, labels: np.ndarray, classes: list[str], share: np.ndarray
) -> str:
    """Return the class that most of the strongest cases are of, "" = none stands out; `strength`
    [n], `labels` int64 [n], `share` [k] of each class in all cases.
    """
    top = np.argsort(-strength, kind="stable")[:TOP]
    top = top[strength[top] > 0]
    if len(top) < 5 or len(classes) < 2:
        return ""
    own = np.bincount(labels[top], minlength=len(classes)) / len(top)
    best = int(own.argmax())
    return classes[best] if own[best] >= min(0.9, 2 * share[best]) and own[best] > 0.5 else ""


def measure_features(
    x: np.ndarray, back: np.ndarray, codes: np.ndarray, on: np.ndarray, data: Dataset
) -> list[Metric]:
    """Variance explained on test, features on per case, and how many are never on.

    `x`, `back` [n,d] are scaled coordinates of the rows of `data` and what their `codes` [n,m] give
    back; `on` [m] how often each feature is on in training.
    """
    part = "test" if (data.splits == "test").sum() >= 5 else "train"
    at = np.flatnonzero(data.splits == part)
    wrong = np.square(x - back).sum(1)[at]
    whole = np.square(x - x[at].mean(0)).sum(1)[at]

    def left(i: np.ndarray) -> float:
        return float(wrong[i].sum() / max(whole[i].sum(), 1e-12))

    explained = Metric(
        "variance of the latent space explained",
        1 - left(np.arange(len(at))),
        split=part,
        n=len(at),
    )
    bounds = interval(left, len(at), data.take(at).groups, (0, np.inf)).turned(1.0)
    dead, size = float((on == 0).mean()), len(on)
    return [
        explained.within(bounds),
        Metric(
            "features on per case",
            float((codes[at] != 0).sum(1).mean()),
            split=part,
            n=len(at),
            higher_is_better=None,
        ),
        Metric(
            "features that are never on",
            dead,
            split="train",
            n=size,
            higher_is_better=False,
            note=f"{round(dead * size)} of {size}",
        ),
        Metric(
            "features used from both sides",
            float(both_sides(codes).mean()),
            split="all",
            n=size,
            higher_is_better=None,
            note="at least a tenth of the cases on each side",
        ),
    ]
