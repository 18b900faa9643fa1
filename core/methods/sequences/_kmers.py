"""Overlapping k-mers of nucleotide sequences."""

from __future__ import annotations

from typing import Any

import numpy as np


def letter_codes(letters: str) -> np.ndarray:
    """int8 [L]: A, C, G, T as 0..3, anything else -1."""
    table = np.full(256, -1, np.int8)
    for i, pair in enumerate(("Aa", "Cc", "Gg", "Tt")):
        table[[ord(c) for c in pair]] = i
    return table[np.frombuffer(letters.encode("ascii", "replace"), np.uint8)]


def count_kmers(texts: Any, k: int) -> Any:
    """CSR float32 [n, 4^k]: how often each k-mer stands in each sequence; windows with an unknown
    letter are left out. O(total letters).
    """
    from scipy.sparse import csr_matrix

    weights = 4 ** np.arange(k - 1, -1, -1)
    data, column, start = [], [], [0]
    for letters in texts:
        code = letter_codes(letters)
        if len(code) >= k:
            windows = np.lib.stride_tricks.sliding_window_view(code, k)
            found, times = np.unique(
                (windows[(windows >= 0).all(1)].astype(np.int64) * weights).sum(1),
                return_counts=True,
            )
        else:
            found, times = np.zeros(0, np.int64), np.zeros(0, np.int64)
        column.append(found)
        data.append(times.astype(np.float32))
        start.append(start[-1] + len(found))
    return csr_matrix(
        (np.concatenate(data) if data else [], np.concatenate(column) if column else [], start),
        shape=(len(start) - 1, 4**k),
        dtype=np.float32,
    )


def name_kmer(code: int, k: int) -> str:
    """Return the k-mer with this number."""
    return "".join("ACGT"[code // 4**i % 4] for i in range(k - 1, -1, -1))


def fit_axes(x: Any, dimensions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(axes float32 [d, 4^k], middle [d]) of a truncated SVD of the rows of counts `x` at unit
    length.
    """
    from sklearn.decomposition import TruncatedSVD

    unit = unit_rows(x)
    svd = TruncatedSVD(min(dimensions, x.shape[0] - 1), random_state=seed).fit(unit)
    axes = svd.components_.astype(np.float32)
    return axes, np.asarray(unit @ axes.T).mean(0).astype(np.float32)


def unit_rows(x: Any) -> Any:
    """Rows of the CSR matrix at unit length."""
    from sklearn.preprocessing import normalize

    return normalize(x)
