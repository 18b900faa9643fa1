"""Synthetic lesions in normal pictures, and the features of a pixel that a classifier gets."""

from __future__ import annotations

import numpy as np

SCALES = (1, 2, 4, 8)  # pixels at a side of 128: widths of the local means
LARGEST = 8.0  # pixels at a side of 128: the largest width of the noise that shapes a spot
SPOTS = (1, 5)  # in a picture, least and most
STRENGTH = (1.5, 5.0)  # robust standard deviations in the channel looked at
OTHER_STRENGTH = 3.0  # robust standard deviations, at most, in each other channel
INSIDE, OUTSIDE = 0.5, 0.1  # of the strength: from here a pixel is of a spot, up to there it is not


def spots(body: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How strongly each pixel belongs to a synthetic spot, in [0, 1], float32 [n,S,S]: one to five
    soft discs a picture with uneven borders, anywhere in the foreground `body` bool [n,S,S].
    """
    from scipy.ndimage import gaussian_filter

    side = body.shape[-1]
    y, x = np.mgrid[:side, :side]
    unit = side / 128
    out = np.zeros(body.shape, np.float32)
    for picture in out:
        for _ in range(rng.integers(SPOTS[0], SPOTS[1] + 1)):
            width = rng.uniform(1, LARGEST) * unit
            noise = gaussian_filter(rng.normal(size=(side, side)), width)
            middle = rng.uniform(0.2 * side, 0.8 * side, 2)
            radius = rng.uniform(unit, 1.5 * LARGEST * unit)
            away = np.hypot(y - middle[0], (x - middle[1]) * rng.uniform(0.6, 1.6))
            away = away + 0.5 * radius * noise / max(float(noise.std()), 1e-9)
            soft = 1 / (1 + np.exp(np.clip(2 * (away - radius) / unit, -50, 50)))
            np.maximum(picture, soft.astype(np.float32), out=picture)
    return out * body


def with_spots(
    z: np.ndarray, where: np.ndarray, channel: int, sign: int, others: str, rng: np.random.Generator
) -> np.ndarray:
    """Return z [n,C,S,S] with spots `where` [n,S,S] in `channel`, brighter (`sign` 1), darker (-1)
    or either (0, drawn for each picture); in the other channels with a weaker change, `others`
    "the same direction", "either direction" or "unchanged".
    """
    out = z.copy()
    n, channels = z.shape[:2]
    way = np.full(n, sign) if sign else rng.choice([-1, 1], n)
    out[:, channel] += where * (way * rng.uniform(*STRENGTH, n))[:, None, None]
    low = {"the same direction": 0.0, "either direction": -OTHER_STRENGTH}.get(others)
    for c in range(channels):
        if c != channel and low is not None:
            change = way * rng.uniform(low, OTHER_STRENGTH, n)
            out[:, c] += where * change[:, None, None]
    return out


def pixel_features(z: np.ndarray, body: np.ndarray, channel: int) -> np.ndarray:
    """Return the features of each pixel, float32 [n,S,S,d]: the value of each channel, that of
    `channel` first; their local means within the foreground at four scales; the highest and lowest
    value of `channel` nearby; and how far the pixel is from the background.
    """
    from scipy.ndimage import (
        distance_transform_edt,
        gaussian_filter,
        maximum_filter,
        minimum_filter,
    )

    unit, found = z.shape[-1] / 128, []
    widths = [(0, s * unit, s * unit) for s in SCALES]
    share = [np.maximum(gaussian_filter(body.astype(np.float32), w), 1e-3) for w in widths]
    for c in [channel, *(c for c in range(z.shape[1]) if c != channel)]:
        found.append(z[:, c])
        found += [gaussian_filter(z[:, c], w) / s for w, s in zip(widths, share)]
    near, wide = (2 * max(1, round(k * unit)) + 1 for k in (1, 2))
    found.append(maximum_filter(z[:, channel], (1, near, near)))
    found.append(minimum_filter(z[:, channel], (1, near, near)))
    found.append(minimum_filter(z[:, channel], (1, wide, wide)))
    # a border of background: the picture's edge is one too
    padded = np.pad(body, ((0, 0), (1, 1), (1, 1)))
    depth = np.stack([distance_transform_edt(b)[1:-1, 1:-1] for b in padded])
    found.append((depth / unit).astype(np.float32))
    return np.stack(found, -1).astype(np.float32)


def some_pixels(
    features: np.ndarray, where: np.ndarray, body: np.ndarray, many: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """At most `many` pixels [m,d] of `features` [n,S,S,d], and whether each is of a spot, bool [m]:
    all of spots and three times as many others where there is room; the soft borders of spots are
    left out.
    """
    inside = np.flatnonzero(body & (where > INSIDE))
    beside = np.flatnonzero(body & (where < OUTSIDE))
    few = min(len(beside), max(3 * len(inside), many // 4))
    at = np.concatenate([inside, rng.choice(beside, few, replace=False)])
    if len(at) > many:
        at = rng.choice(at, many, replace=False)
    return features.reshape(-1, features.shape[-1])[at], where.ravel()[at] > INSIDE
