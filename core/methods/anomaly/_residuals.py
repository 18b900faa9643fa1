"""How unusual a residual is: in standard deviations of healthy ones at its place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SIGNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "both": np.abs,
    "brighter": lambda r: np.maximum(r, 0),
    "darker": lambda r: np.maximum(-r, 0),
}


def healthy_statistics(residual: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation float32 [S,S] at each place of healthy residuals [n,S,S], `brain`
    bool [n,S,S]; smoothed, and no deviation below a quarter of the usual one.
    """
    from scipy.ndimage import gaussian_filter

    mean = gaussian_filter(residual.mean(0), 1.5).astype(np.float32)
    spread = np.sqrt(gaussian_filter(np.square(residual - mean).mean(0), 1.5))
    usual = brain.mean(0) > 0.5
    floor = 0.25 * float(np.median(spread[usual if usual.any() else ...])) + 1e-4
    return mean, np.maximum(spread, floor).astype(np.float32)


def unusualness(
    residual: np.ndarray,
    brain: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    sign: str,
    smooth: float,
) -> np.ndarray:
    """float32 [n,S,S]: residuals [n,S,S] of the wanted `sign` in standard deviations of healthy
    ones, blurred by `smooth` pixels; 0 outside the `brain`.
    """
    from scipy.ndimage import gaussian_filter

    score = (residual - mean) / spread
    blurred = gaussian_filter(score, (0, smooth, smooth)) if smooth else score
    return (SIGNS[sign](blurred) * brain).astype(np.float32)


def pixel_threshold(heat: np.ndarray, brain: np.ndarray, healthy: float) -> float:
    """Return what the share `healthy` of the brain's pixels of healthy maps [n,S,S] stays below."""
    return float(np.quantile(heat[brain], healthy)) if brain.any() else float(heat.max())


def case_score(heat: np.ndarray) -> np.ndarray:
    """Mean of the top 1 % of pixels of each map [n,S,S]: [n]."""
    flat = np.sort(heat.reshape(len(heat), -1), axis=1)
    return flat[:, -max(1, flat.shape[1] // 100) :].mean(1)
