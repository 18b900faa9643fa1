"""Cases far from all others."""

from __future__ import annotations

import numpy as np

from core.data.dataset import Dataset

FEWEST = 50  # cases needed


def find_outliers(
    data: Dataset, distance: np.ndarray, share: float = 0.01
) -> tuple[list[int], list[float]]:
    """Rows that lie far from all others, the farthest first, and how many times the usual distance
    to the tenth neighbour they have.

    Far = beyond 6 robust standard deviations of the logarithm of that distance, and among the
    `share` farthest.
    """
    if len(data) < FEWEST:
        return [], []
    tenth = np.maximum(distance[:, min(9, distance.shape[1] - 1)].astype(np.float64), 1e-9)
    size = np.log(tenth)
    middle = float(np.median(size))
    spread = max(1.4826 * float(np.median(np.abs(size - middle))), 0.02)
    order = np.argsort(-size, kind="stable")[: max(1, int(share * len(data)))]
    far = order[size[order] > middle + 6 * spread]
    return data.rows[far].tolist(), np.round(np.exp(size[far] - middle), 2).tolist()
