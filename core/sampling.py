"""Which of many are looked at."""

from __future__ import annotations

import numpy as np


def evenly_spaced(n: int, most: int) -> np.ndarray:
    """Return `min(n, most)` different positions of n, int64 [k] in order, evenly apart, the first
    and the last among them (of one, the first).
    """
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)
