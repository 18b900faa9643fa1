"""How far off a followed outline is, by the scores of the TrackRAD2025 challenge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.stats.overlap import mask_overlap

if TYPE_CHECKING:
    pass

HIGHER = {
    "Dice": True,
    "centroid error": False,
    "95 % surface distance": False,
    "mean surface distance": False,
    "relative D98": True,
}


def dice(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Dice [T] of bool masks [T,H,W]; 0 where nothing is marked, NaN where the truth is empty."""
    return mask_overlap(predicted, truth)[0]


def centroids(masks: np.ndarray) -> np.ndarray:
    """(y, x) [T,2] of the middle of bool masks [T,H,W]; NaN where one is empty."""
    area = masks.sum((1, 2))
    y, x = (masks.sum(2) @ np.arange(masks.shape[1]), masks.sum(1) @ np.arange(masks.shape[2]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([y / area, x / area], 1)


def surface_distances(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """(95 % surface distance, both ways, the larger; mean distance from the predicted edge to the
    true edge) in pixels of two masks [H,W], neither empty.
    """
    from scipy.ndimage import binary_erosion, distance_transform_edt

    one, other = predicted & ~binary_erosion(predicted), truth & ~binary_erosion(truth)
    there, back = distance_transform_edt(~other)[one], distance_transform_edt(~one)[other]
    return float(max(np.percentile(there, 95), np.percentile(back, 95))), float(there.mean())


def relative_d98(given: np.ndarray, errors: np.ndarray) -> float:
    """Dose that reaches 98 % of the given outline when the beam is off by `errors` (y, x) [T,2]
    pixels, as a share of the dose without error.

    The beam covers the outline grown by 3 pixels, smoothed (sigma 4) and cut at a quarter.
    """
    from scipy.ndimage import binary_dilation, gaussian_filter, shift

    beam = (gaussian_filter(binary_dilation(given, iterations=3).astype(float), 4) > 0.25).astype(
        float
    )
    planned = np.percentile(beam[given], 2)
    given_dose = np.mean([shift(beam, e, order=1) for e in errors], 0)
    return float(np.percentile(given_dose[given], 2) / planned) if planned > 0 else float("nan")
