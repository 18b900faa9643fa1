"""Calibration: probabilities that mean what they say."""

from __future__ import annotations

import numpy as np


def fit_temperature(
    logits: np.ndarray, y: np.ndarray, most: float, balanced: bool = False
) -> float:
    """The temperature in [0.2, most] by which logits [n,k], divided, have the least cross-entropy
    with the classes y int64 [n]; `balanced`: each class weighs the same. Guo et al., ICML 2017.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    at = np.arange(len(y))
    weight = 1 / np.bincount(y, minlength=logits.shape[1])[y] if balanced else np.full(len(y), 1.0)

    def loss(log_temperature: float) -> float:
        said = log_softmax(logits / np.exp(log_temperature), axis=1)[at, y]
        return float(-(weight * said).sum())

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(most)), method="bounded")
    return float(np.exp(found.x))


def validation_threshold(score: np.ndarray, splits: np.ndarray) -> float | None:
    """The score below which 95 % of the validation cases lie, of `score` [n] and the part each case
    is of, `splits` [n]; None where there are none.
    """
    held = score[splits == "val"]
    return float(np.quantile(held, 0.95)) if len(held) else None
