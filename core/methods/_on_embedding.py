"""What methods share that work on the latent coordinates of an earlier run."""

from __future__ import annotations

import numpy as np

from core.artifacts import Embedding


def coordinates(embedding: Embedding, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row ids [m], float64 coordinates [m,d]) of those of `rows` that the embedding holds; unit
    length where its metric is cosine.
    """
    at = embedding.at(rows)
    z = np.asarray(embedding.z, dtype=np.float64)[at]
    return np.asarray(embedding.rows)[at], as_measured(z, embedding.metric)


def as_measured(z: np.ndarray, metric: str) -> np.ndarray:
    """Coordinates [m,d] in which Euclidean distance is that of `metric`."""
    if metric == "cosine":
        return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    return z
