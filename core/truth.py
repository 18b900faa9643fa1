"""What is known about which cases are abnormal, and how often an alarm is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.data.dataset import Dataset


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % Wilson interval; None where nothing was counted."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def abnormal(data: Dataset) -> tuple[np.ndarray | None, str]:
    """bool [n] over `data.rows`, True = abnormal, and the rule in words; (None, why) when the truth is not known.

    With masks a case is abnormal when any pixel is marked. Otherwise, when the training cases all belong to one class, every other class is
    abnormal.
    """
    if data.masks is not None:
        marked = np.concatenate([data.mask(np.arange(i, min(i + 512, len(data)))).reshape(min(512, len(data) - i), -1).any(1) for i in range(0, len(data), 512)])
        if marked.any() and not marked.all():
            return marked, "a case is abnormal when its mask marks anything"
    trained = np.unique(data.part("train").labels)
    trained = trained[trained >= 0]
    if len(trained) == 1 and len(data.classes) > 1:
        return (data.labels != trained[0]) & (data.labels >= 0), f"abnormal = any class but “{data.classes[int(trained[0])]}”, the only one trained on"
    return None, "Nothing says which cases are truly abnormal, so how often it is right cannot be counted."


def wilson(k: int, n: int) -> Rate:
    """Wilson score interval of k successes in n."""
    if n == 0:
        return Rate(None, None, None, 0)
    z, p = 1.959964, k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Rate(p, float(max(0.0, middle - half)), float(min(1.0, middle + half)), n)


def rates(alarm: np.ndarray, truth: np.ndarray) -> dict[str, Rate]:
    """Sensitivity and specificity of bool alarms against bool truth."""
    return {
        "sensitivity": wilson(int((alarm & truth).sum()), int(truth.sum())),
        "specificity": wilson(int((~alarm & ~truth).sum()), int((~truth).sum())),
    }
