"""Nearest neighbours in latent space, computed once per embedding and shared by maps, measures and galleries."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from core.store.files import make_folder, write_array

EXACT = 50_000  # rows up to which the search is exact; above it an HNSW graph (M = 32) is searched


def prepared(z: np.ndarray, metric: str) -> np.ndarray:
    """float32 rows in which Euclidean order is the metric's order: unit length for cosine."""
    z = np.ascontiguousarray(z, dtype=np.float32)
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12) if metric == "cosine" else z


def neighbours(z: np.ndarray, k: int, metric: str = "euclidean", cache: Path | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other rows of each row: positions int64 [n,k] and Euclidean distances float32 [n,k] (of unit rows for cosine), near first.

    k is cut to n - 1. Cost: O(n^2 d) up to 50,000 rows. `cache` is a folder; what was computed with a larger k is reused.
    """
    k = min(k, len(z) - 1)
    x = prepared(z, metric)
    name = hashlib.sha256(x.tobytes() + str(x.shape).encode()).hexdigest()[:24]
    if cache is not None:
        stored = sorted(cache.glob(f"{name}-*-index.npy"), key=lambda p: int(p.name.split("-")[1]))
        for path in stored:
            if int(path.name.split("-")[1]) >= k:
                index, distance = np.load(path, mmap_mode="r"), np.load(path.with_name(path.name.replace("index", "distance")), mmap_mode="r")
                return np.asarray(index[:, :k]).astype(np.int64), np.asarray(distance[:, :k])
    index, distance = _search(x, k)
    if cache is not None:
        make_folder(cache)
        write_array(cache / f"{name}-{k}-distance.npy", distance)
        write_array(cache / f"{name}-{k}-index.npy", index.astype(np.int32))
    return index, distance


def nearest(base: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of `base` [m,d] for each of `queries` [n,d], float32: positions int64 [n,k] (-1 = none) and squared distances, near first.

    Exact up to 50,000 rows of `base`; above it 8 of 1,024 cells are searched (k-means, seeded; of 4,096 from half a million rows), which finds copies
    all but surely and most of the true neighbours.
    """
    import faiss

    base, queries, k = np.ascontiguousarray(base, np.float32), np.ascontiguousarray(queries, np.float32), min(k, len(base))
    if len(base) <= EXACT:
        index: Any = faiss.IndexFlatL2(base.shape[1])
    else:
        cells = 1024 if len(base) < 500_000 else 4096
        index = faiss.IndexIVFFlat(faiss.IndexFlatL2(base.shape[1]), base.shape[1], cells)
        index.nprobe = 8
        index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = 0, 6, 40
        index.train(base[np.unique(np.linspace(0, len(base) - 1, 40 * cells).astype(int))])
    index.add(base)
    square, at = index.search(queries, k)
    return at.astype(np.int64), square


def _search(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    import faiss

    search = faiss.IndexFlatL2(x.shape[1]) if len(x) <= EXACT else faiss.IndexHNSWFlat(x.shape[1], 32)
    search.add(x)
    square, index = search.search(x, k + 1)
    return others(index.astype(np.int64), square)


def others(at: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Found neighbours [n,k+1] of each row among all rows, without the row itself: positions [n,k] and distances (from squared ones)."""
    itself = at == np.arange(len(at))[:, None]
    itself[~itself.any(1), -1] = True  # among exact copies a row may not find itself: drop its farthest instead
    keep = np.arange(at.shape[1])[None] != itself.argmax(1)[:, None]
    shape = (len(at), at.shape[1] - 1)
    return at[keep].reshape(shape), np.sqrt(np.maximum(square[keep].reshape(shape), 0))
