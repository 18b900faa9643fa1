"""Calibration: probabilities that mean what they say."""

from __future__ import annotations

import numpy as np


def fit_temperature(
    logits: np.ndarray, y: np.ndarray, most: float, balanced: bool = False, least: float = 0.2
) -> float:
    """Return the temperature in [least, most] by which logits [n,k], divided, have the least
    cross-entropy with the classes y int64 [n]; `balanced`: each class weighs the same. Guo et al.,
    ICML 2017.
    """
    from scipy.optimize import minimize_scalar

    loss = balanced_cross_entropy if balanced else cross_entropy
    found = minimize_scalar(
        lambda log_temperature: loss(logits / np.exp(log_temperature), y),
        bounds=(np.log(least), np.log(most)),
        method="bounded",
    )
    return float(np.exp(found.x))


def cross_entropy(logits: np.ndarray, y: np.ndarray) -> float:
    """Mean over the rows of -log softmax(logits [n,k])[y], where a probability counts as at least
    1e-12: a few rows that are wholly wrong do not outweigh the rest.
    """
    from scipy.special import softmax

    prob = softmax(logits, axis=1)[np.arange(len(y)), y]
    return float(-np.log(np.maximum(prob, 1e-12)).mean())


def balanced_cross_entropy(logits: np.ndarray, y: np.ndarray) -> float:
    """Sum over the classes of y of the mean of -log softmax(logits [n,k])[y] over their rows."""
    from scipy.special import log_softmax

    weight = 1 / np.bincount(y, minlength=logits.shape[1])[y]
    return float(-(weight * log_softmax(logits, axis=1)[np.arange(len(y)), y]).sum())


def validation_threshold(score: np.ndarray, splits: np.ndarray) -> float | None:
    """Return the score below which 95 % of the validation cases lie, of `score` [n] and the part
    each case is of, `splits` [n]; None where there are none.
    """
    held = score[splits == "val"]
    return float(np.quantile(held, 0.95)) if len(held) else None
