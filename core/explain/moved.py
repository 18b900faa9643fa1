"""How two runs see the same cases: which cases have other neighbours, and which other groups or decisions."""

from __future__ import annotations

import numpy as np

from core.artifacts import Embedding
from core.neighbours import neighbours


def neighbour_change(a: Embedding, b: Embedding, k: int = 15) -> tuple[np.ndarray, np.ndarray]:
    """(row ids both hold, share of each one's k neighbours in `a` that are none in `b`: 0 = same company, 1 = all new).

    Neighbours are looked for in each latent space among the shared rows; the order of rows does not matter. O(n^2 d).
    """
    rows = np.intersect1d(a.rows, b.rows)
    k = min(k, len(rows) - 1)
    found = [neighbours(np.asarray(e.z)[e.at(rows)], k, e.metric)[0] for e in (a, b)]
    kept = np.array([len(np.intersect1d(p, q)) for p, q in zip(*found)])
    return rows, (1 - kept / max(1, k)).astype(np.float32)
