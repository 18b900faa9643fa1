"""The area under the ROC curve from ranks."""

from __future__ import annotations

import numpy as np


def auroc_of_ranks(yes: np.ndarray, rank: np.ndarray) -> float:
    """Return the AUROC by Mann and Whitney's U, ties counted half: `yes` bool [n] with both sides,
    `rank` [n] mean ranks from 1 (scipy's `rankdata`).
    """
    n = int(yes.sum())
    return float((rank[yes].sum() - n * (n + 1) / 2) / (n * (len(yes) - n)))
