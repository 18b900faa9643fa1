"""Nearest neighbours in latent space, computed once per embedding and shared by maps, measures and
galleries.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from core import nearest_cells
from core.io.files import make_folder, write_array
from core.sampling import evenly_spaced

EXACT = 50_000  # rows up to which `nearest` is exact
CELLED = 5_000  # rows above which `neighbours` and `Finder` look into the nearest cells only
RECALL = 0.97  # share of true neighbours they find at least, measured on a sample
BLOCK = 65_536  # rows searched at a time, so that memory does not grow with copies of the result


def prepared(z: np.ndarray, metric: str) -> np.ndarray:
    """float32 rows in which Euclidean order is the metric's order: unit length for cosine. No copy
    where nothing has to change.
    """
    z = np.ascontiguousarray(z, dtype=np.float32)
    return (
        z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12) if metric == "cosine" else z
    )


def neighbours(
    z: np.ndarray, k: int, metric: str = "euclidean", cache: Path | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest other rows of each row: positions int32 [n,k] and Euclidean distances
    float32 [n,k] (of unit rows for cosine), near first.

    k is cut to n - 1. Exact up to 5,000 rows; above, about 98 in 100 true neighbours are found, and
    at least 97 of a sample's (`nearest_cells`). The same for any number of threads. Cost: for
    clustered rows about O(n^1.5 d), where they have no near ones O(n^2 d), with all threads.
    `cache` is a folder; what was computed for the same rows and k is read from there,
    memory-mapped.
    """
    k = min(k, len(z) - 1)
    x = prepared(z, metric)
    if cache is None:
        return _search(x, k)
    name = hashlib.sha256(x.data)
    name.update(str(x.shape).encode())
    index, distance = (
        cache / f"{name.hexdigest()[:24]}-{k}-{what}.npy" for what in ("index", "distance")
    )
    if not index.exists():
        found = _search(x, k)
        make_folder(cache)
        write_array(distance, found[1])
        write_array(index, found[0])
        del found
    return np.load(index, mmap_mode="r", allow_pickle=False), np.load(
        distance, mmap_mode="r", allow_pickle=False
    )


def has_faiss() -> bool:
    """Whether the search for large data is installed (extra `train`); without it the neighbours of
    queries are found exactly, which takes longer from some ten thousand rows on.
    """
    return find_spec("faiss") is not None


class _Exact:
    """Searches all of `base` [m,d]: what faiss' flat index does, with scikit-learn."""

    def __init__(self, base: np.ndarray) -> None:
        from sklearn.neighbors import NearestNeighbors

        self.base = NearestNeighbors(algorithm="brute").fit(base)
        self.n = len(base)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances float32 [q,k] and positions int64 [q,k], near first; -1 = none."""
        found = min(k, self.n)
        distance, at = self.base.kneighbors(queries, found)
        none = ((0, 0), (0, k - found))
        square = np.pad(distance.astype(np.float32) ** 2, none, constant_values=np.inf)
        return square, np.pad(at.astype(np.int64), none, constant_values=-1)


class Finder:
    """Finds the nearest of `base` [m,d] float32 for any queries, with all threads, at least 97 in
    100 of the true ones; exact up to 5,000 rows.
    """

    def __init__(self, base: np.ndarray) -> None:
        if not has_faiss():
            self.index: Any = _Exact(base)
            return
        import faiss

        # Trap: faiss takes BLAS for many queries at once, whose last digits depend on the number of
        # threads; then so would maps
        faiss.cvar.distance_compute_blas_threshold = 2**31 - 1
        flat: Any = faiss.IndexFlatL2(base.shape[1])
        if len(base) <= CELLED:
            self.index = flat
            flat.add(base)
        else:
            self.index = _cells(faiss, flat, base, round(len(base) ** 0.5), 8)
            self._widen(base)

    def __call__(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions int64 [q,k] (-1 = none) and squared distances float32 [q,k], near first."""
        queries = np.ascontiguousarray(queries, np.float32)
        square, at = self.index.search(queries, k)
        short = np.flatnonzero((at < 0).any(1))  # the cells looked into held fewer than k rows
        if len(short) and len(queries) and hasattr(self.index, "nlist"):
            usual, self.index.nprobe = self.index.nprobe, self.index.nlist
            square[short], at[short] = self.index.search(queries[short], k)
            self.index.nprobe = usual
        return at, square

    def _widen(self, base: np.ndarray) -> None:
        """Look into more cells until a sample of rows finds enough of its true neighbours; equal
        distances count as found.
        """
        import faiss

        some, k = base[np.linspace(0, len(base) - 1, 100).astype(int)], 16
        far = faiss.knn(some, base, k)[0][:, -1:] * (1 + 1e-4)
        while (
            self.index.nprobe < self.index.nlist
            and (self.index.search(some, k)[0] <= far).mean() < RECALL
        ):
            self.index.nprobe = min(2 * self.index.nprobe, self.index.nlist)


def nearest(base: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest rows of `base` [m,d] for each of `queries` [n,d], float32: positions
    int64 [n,k] (-1 = none) and squared distances, near first.

    Exact up to 50,000 rows of `base`; above it 8 of 1,024 cells are searched (k-means, seeded; of
    4,096 from half a million rows), which finds copies all but surely and most of the true
    neighbours.
    """
    base, queries, k = (
        np.ascontiguousarray(base, np.float32),
        np.ascontiguousarray(queries, np.float32),
        min(k, len(base)),
    )
    if not has_faiss():
        square, at = _Exact(base).search(queries, k)
        return at, square
    import faiss

    index: Any = faiss.IndexFlatL2(base.shape[1])
    if len(base) <= EXACT:
        index.add(base)
    else:
        index = _cells(faiss, index, base, 1024 if len(base) < 500_000 else 4096, 8)
    square, at = index.search(queries, k)
    return at.astype(np.int64), square


def _cells(faiss: Any, flat: Any, base: np.ndarray, cells: int, looked: int) -> Any:
    """Return `base` parted into `cells` by a seeded k-means, of which the `looked` nearest are
    searched.
    """
    index = faiss.IndexIVFFlat(flat, base.shape[1], cells)
    index.nprobe = looked
    (
        index.cp.seed,
        index.cp.niter,
        index.cp.max_points_per_centroid,
        index.cp.min_points_per_centroid,
    ) = (0, 6, 40, 1)
    index.train(base[evenly_spaced(len(base), 40 * cells)])
    for i in range(0, len(base), BLOCK):
        index.add(base[i : i + BLOCK])
    return index


def _search(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    if len(x) > CELLED:
        return nearest_cells.search(x, k)
    index, distance = others(*Finder(x)(x, k + 1))
    return index.astype(np.int32), distance


def others(at: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Found neighbours [n,k+1] of each row among all rows, without the row itself: positions [n,k]
    and distances (from squared ones).
    """
    itself = at == np.arange(len(at))[:, None]
    # among exact copies a row may not find itself: drop its farthest instead
    itself[~itself.any(1), -1] = True
    keep = np.arange(at.shape[1])[None] != itself.argmax(1)[:, None]
    shape = (len(at), at.shape[1] - 1)
    return at[keep].reshape(shape), np.sqrt(np.maximum(square[keep].reshape(shape), 0))
