"""Folds of cases that keep patients together."""

from __future__ import annotations

import numpy as np

from core.stats.bootstrap import units

FOLDS = 5


def draw_folds(n: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Return the fold of each of `n` rows, int64 0..4: patients (`groups`, object [n], or None) are
    dealt at random, the same each time.
    """
    unit = units(n, groups)
    return np.random.default_rng(0).permutation(unit.max() + 1)[unit] % FOLDS
