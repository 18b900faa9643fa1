"""The walk down trees, compiled."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def walk(
    x: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    root: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add to out [n] float64 what the leaves give that x [n,d] float64 ends in (see `Trees`)."""
    for i in range(len(x)):
        total = 0.0
        for start in root:
            node = start
            while feature[node] >= 0:
                node = left[node] if x[i, feature[node]] <= threshold[node] else right[node]
            total += value[node]
        out[i] += total
