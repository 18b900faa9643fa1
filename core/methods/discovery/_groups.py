"""Groups of novel rows: k-means, the nearest centre, and how many groups there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.training.run import Run

DRAWS, SHARE, ROWS = 5, 0.8, 2000  # draws of this share of at most so many rows


def fit_centres(z: np.ndarray, k: int, seed: int) -> np.ndarray:
    """float32 [k,d]: centres of k-means on z [n,d], the best of ten starts; k is at most n."""
    from sklearn.cluster import KMeans

    clusters = KMeans(min(k, len(z)), n_init=10, random_state=seed).fit(z)
    return clusters.cluster_centers_.astype(np.float32)


def nearest_centre(z: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """int64 [n]: which of `centres` [k,d] each row of z [n,d] lies nearest to."""
    if not len(z):
        return np.zeros(0, int)
    return np.square(z[:, None] - centres[None]).sum(-1).argmin(1)


def estimate_k(x: np.ndarray, most: int, run: Run) -> tuple[int, dict[str, list[float]]]:
    """Return (the k in 2..most with the best mean silhouette of k-means over five draws of 80 % of
    at most 2,000 rows of x [n,d], the curve of silhouettes over k).
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    x = x if len(x) <= ROWS else x[run.rng.choice(len(x), ROWS, replace=False)]
    ks = list(range(2, min(most, len(x) - 1) + 1))
    size = max(3, int(SHARE * len(x)))
    draws = [run.rng.choice(len(x), size, replace=False) for _ in range(DRAWS)]
    scores = np.zeros((len(ks), len(draws)))
    for i, k in enumerate(ks):
        run.check()
        for j, draw in enumerate(draws):
            part = x[draw]
            label = KMeans(min(k, len(part)), n_init=4, random_state=run.seed + j).fit_predict(part)
            if 1 < len(np.unique(label)) < len(part):
                scores[i, j] = silhouette_score(part, label)
    mean = scores.mean(1)
    return ks[int(mean.argmax())], {"k": [float(k) for k in ks], "silhouette": mean.tolist()}
