"""How far two outlines agree, case by case and object by object."""

from __future__ import annotations

import numpy as np


def mask_overlap(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Dice [n], IoU [n]) of bool masks [n,*spatial]; NaN where the truth is empty."""
    axes = tuple(range(1, truth.ndim))
    both, one, other = (predicted & truth).sum(axes), predicted.sum(axes), truth.sum(axes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(other > 0, 2 * both / (one + other), np.nan), np.where(
            other > 0, both / (one + other - both), np.nan
        )


def object_overlap(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(area in pixels, Dice) of every object of one case; bool masks [*spatial]. One distance
    transform, O(pixels).
    """
    from scipy.ndimage import distance_transform_edt, generate_binary_structure, label

    parts, k = label(truth, generate_binary_structure(truth.ndim, truth.ndim))
    if not k:
        return np.zeros(0, int), np.zeros(0)
    nearest = distance_transform_edt(~truth, return_distances=False, return_indices=True)
    home = parts[tuple(nearest)]
    area, one = (np.bincount(a.ravel(), minlength=k + 1)[1:] for a in (parts, home * predicted))
    both = np.bincount((parts * (predicted & truth)).ravel(), minlength=k + 1)[1:]
    return area, 2 * both / (one + area)
