"""Tissue label images: brain mask, bias removal, three ordered classes by intensity. What FAST does
for StRegA, in numpy, per slice.

Cost: about 1 ms per 64x64 slice (a few Gaussian filters and one labelling each).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

CLASSES = 3
CENTRES = np.array([-0.6, 0.1, 1.6])  # of the normalised intensity, start of the estimation


def brain_mask(image: np.ndarray) -> np.ndarray:
    """`bool [H,W]`: the largest component above a quarter of the robust maximum, holes filled.
    All-dark pictures give an empty mask.
    """
    top = np.percentile(image, 98)
    if top <= 1e-6:
        return np.zeros(image.shape, bool)
    bright = ndimage.binary_opening(image > 0.25 * top, iterations=1)
    parts, k = ndimage.label(bright)
    if not k:
        return np.zeros(image.shape, bool)
    filled = [ndimage.binary_fill_holes(parts == j) for j in range(1, k + 1)]
    # a closed ring of scalp fills to the whole head, so components are compared by their own area,
    # and filled only then
    own = np.bincount(parts.ravel(), minlength=k + 1)[1:]
    return filled[int(own.argmax())]


def flattened(image: np.ndarray, mask: np.ndarray, smooth: float) -> np.ndarray:
    """In-brain intensity divided by its own heavy blur (the bias estimate), then centred on the
    median and scaled by the 5-95 % spread.
    """
    weight = ndimage.gaussian_filter(mask.astype(float), smooth)
    bias = ndimage.gaussian_filter(np.where(mask, image, 0.0), smooth) / np.maximum(weight, 1e-3)
    level = float(np.median(bias[mask]))
    even = np.where(mask, image / np.maximum(bias / max(level, 1e-6), 0.2), 0.0)
    inside = even[mask]
    low, middle, high = np.percentile(inside, [5, 50, 95])
    return np.where(mask, (even - middle) / max(high - low, 1e-6), 0.0)


def centres_of(
    even: np.ndarray, mask: np.ndarray, start: np.ndarray, prior: float = 0.05, rounds: int = 4
) -> np.ndarray:
    """Three ordered class centres of one slice: Lloyd's rounds held near `start` by a prior worth
    `prior` of the pixels.
    """
    values = even[mask]
    centres = start.copy()
    for _ in range(rounds):
        nearest = np.abs(values[:, None] - centres).argmin(1)
        count = np.bincount(nearest, minlength=CLASSES)
        total = np.bincount(nearest, values, CLASSES)
        centres = (total + prior * len(values) * start) / (count + prior * len(values))
    return np.sort(centres)


def tissue(
    image: np.ndarray, start: np.ndarray, smooth: float, soft: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(tissue picture float32 [H,W], brain bool [H,W]): 0 outside, 1/3, 2/3, 1 for the classes from
    dark to bright.

    hard: nearest class, then the commonest value in 3x3. soft (our own choice): the value between
    the two nearest centres, so that a boundary pixel is in between rather than thrown to one side.
    """
    mask = brain_mask(image)
    if mask.sum() < 20:
        return np.zeros(image.shape, np.float32), mask
    even = flattened(image, mask, smooth)
    centres = centres_of(even, mask, start)
    levels = np.arange(1, CLASSES + 1) / CLASSES
    if soft:
        made = np.interp(even, centres, levels)
    else:
        nearest = np.abs(even[..., None] - centres).argmin(-1)
        votes = np.stack(
            [ndimage.uniform_filter((nearest == c).astype(float) * mask, 3) for c in range(CLASSES)]
        )
        made = levels[votes.argmax(0)]
    return np.where(mask, made, 0.0).astype(np.float32), mask


def learned_centres(images: np.ndarray, smooth: float) -> np.ndarray:
    """Median over slices [n,H,W] of their class centres, each estimated from quantiles: the start
    for every slice.
    """
    found = []
    for image in images:
        mask = brain_mask(image)
        if mask.sum() >= 20:
            even = flattened(image, mask, smooth)
            found.append(
                centres_of(
                    even, mask, np.percentile(even[mask], [20, 65, 96]), prior=0.0001, rounds=10
                )
            )
    return np.median(found, axis=0) if found else CENTRES
