"""Naive Bayes on k-mer counts, and what it goes by."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.methods.sequences._kmers import name_kmer


def fit_naive_bayes(x: Any, y: np.ndarray, classes: int, smoothing: float) -> np.ndarray:
    """float32 [classes, 4^k]: log-frequency of each k-mer in each class, from counts `x` CSR
    [n, 4^k] and classes `y` int64 [n] (-1 = none). Each class's counts are those of an average
    genome, plus `smoothing`.
    """
    mean = [np.asarray(x[y == j].sum(0)).ravel() / (y == j).sum() for j in range(classes)]
    total = np.stack(mean) + smoothing
    return np.log(total / total.sum(1, keepdims=True)).astype(np.float32)


def name_reasons(x: Any, theta: np.ndarray, others: np.ndarray, k: int) -> list[list[dict]]:
    """Per row of the counts `x` the five k-mers that speak most for the group it was taken for
    against the next one; `others` [n, classes] is what was made of each, `theta` as fitted.
    """
    first, second = np.argsort(-others, axis=1)[:, :2].T
    found = []
    for i in range(x.shape[0]):
        row = slice(x.indptr[i], x.indptr[i + 1])
        at, times = x.indices[row], x.data[row]
        gain = times * (theta[first[i], at] - theta[second[i], at])
        best = np.argsort(-gain, kind="stable")[:5]
        found.append(
            [
                {"text": name_kmer(int(at[j]), k), "weight": float(gain[j])}
                for j in best
                if gain[j] > 0
            ]
        )
    return found


def name_shared(
    theta: np.ndarray, source: np.ndarray, target: np.ndarray, k: int
) -> dict[str, str]:
    """For each pair "i-j" with cases (groups int64 [n] in `source` taken for those in `target`):
    the k-mers that both groups have and the others lack, by log-ratio to the mean of the others.
    """
    rest, found = theta.mean(0), {}
    for i, j in {(int(a), int(b)) for a, b in zip(source, target) if a >= 0 and a != b}:
        shared = np.minimum(theta[i], theta[j]) - rest
        best = np.argsort(-shared, kind="stable")[:4]
        words = ", ".join(name_kmer(int(b), k) for b in best)
        found[f"{i}-{j}"] = f"k-mers both have and others lack: {words}"
    return found
