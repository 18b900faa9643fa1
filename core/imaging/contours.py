"""Heat as lines over a picture: one line a level of the scale, so that what lies beneath stays
untouched.
"""

from __future__ import annotations

import numpy as np

LEVELS = (0.25, 0.5, 0.75)  # shares of the scale at which lines are drawn


def contour_levels(low: float, high: float) -> list[float]:
    """Return the heat at which lines are drawn on the scale `low` to `high`, ascending."""
    return [low + share * (high - low) for share in LEVELS]


def draw_contours(
    image: np.ndarray,
    heat: np.ndarray,
    low: float,
    high: float,
    colours: np.ndarray,
    width: int = 0,
) -> np.ndarray:
    """Lines around the parts of `heat` [h,w] above each level of the scale, over `image` uint8
    [k*h,k*w,3].

    Parameters: `low` and `high`, the ends of the scale, which is the caller's, never a picture's
    own; `colours`, uint8 [256,3], the colours of the scale, of which each line has that of its
    level; `width` of the lines in pixels, 0 = `max(1, k*h // 200)`. They lie within what they
    surround. Returns: uint8 like `image`; what lies between the lines is unchanged.
    """
    from scipy.ndimage import binary_erosion

    factor, out = image.shape[0] // heat.shape[0], image.copy()
    width = width or max(1, image.shape[0] // 200)
    for share, level in zip(LEVELS, contour_levels(low, high), strict=True):
        above = heat >= level
        if not above.any():
            continue
        above = above.repeat(factor, 0).repeat(factor, 1)
        inner = binary_erosion(above, iterations=width, border_value=1)
        out[above & ~inner] = colours[round(255 * (0.35 + 0.65 * share))]
    return out
