"""How two runs see the same cases: which cases have other neighbours, and which other groups or
decisions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.artifacts import Embedding, Map
from core.neighbours import neighbours


def measure_neighbour_change(
    a: Embedding, b: Embedding, k: int = 15
) -> tuple[np.ndarray, np.ndarray]:
    """(row ids both hold, share of each one's k neighbours in `a` that are none in `b`: 0 = the
    same neighbours, 1 = all new).

    Neighbours are looked for in each latent space among the shared rows; the order of rows does not
    matter. Cost: that of `neighbours`, twice.
    """
    rows = np.intersect1d(a.rows, b.rows)
    k = min(k, len(rows) - 1)
    found = [neighbours(np.asarray(e.z)[e.at(rows)], k, e.metric)[0] for e in (a, b)]
    shared = np.array([len(np.intersect1d(p, q)) for p, q in zip(*found)])
    return rows, (1 - shared / max(1, k)).astype(np.float32)


def align_map(other: Map, onto: Map) -> Map:
    """`other` turned, mirrored and scaled to lie over `onto` as well as its shared rows allow
    (orthogonal Procrustes); distances within it keep their proportions. Given back as it is where
    fewer than three rows are shared or the dimensions differ.
    """
    from scipy.linalg import orthogonal_procrustes

    _, a, b = np.intersect1d(other.rows, onto.rows, return_indices=True)
    if len(a) < 3 or other.xy.shape[1] != onto.xy.shape[1]:
        return other
    here, there = np.asarray(other.xy, dtype=float), np.asarray(onto.xy, dtype=float)
    middle, target = here[a].mean(0), there[b].mean(0)
    rotation, size = orthogonal_procrustes(here[a] - middle, there[b] - target)
    scale = size / max(float(np.square(here[a] - middle).sum()), 1e-12)
    return replace(other, xy=((here - middle) @ rotation * scale + target).astype(np.float32))
