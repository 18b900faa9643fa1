"""How far a map may be believed, per point and as a whole."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from core.maps.layout import _one

K = 15  # neighbours looked at
CHECKED = 5_000  # rows whose faithfulness is computed; above it a seeded sample


def faithfulness(
    z: np.ndarray, xy: np.ndarray, k: int = K, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Per point trust and recall in [0, 1] and the map's trustworthiness, continuity (Venna and
    Kaski 2001) and k-neighbour recall.

    Trust of a point: 1 minus the penalty of its map neighbours that are none in truth; its mean
    over points is the trustworthiness. Above 5,000 rows the scores are of a seeded sample and
    points outside it get the score of the nearest sampled point on the map. O(m^2) for m rows, all
    threads.
    """
    n = len(z)
    if n > CHECKED:
        chosen = np.sort(np.random.default_rng(seed).choice(n, CHECKED, replace=False))
        trust, recall, scores = faithfulness(z[chosen], xy[chosen], k, seed)
        from scipy.spatial import cKDTree

        tree, stand_in = cKDTree(xy[chosen]), np.empty(n, np.int32)
        for i in range(0, n, 65_536):
            stand_in[i : i + 65_536] = tree.query(xy[i : i + 65_536], workers=-1)[1]
        return trust[stand_in], recall[stand_in], scores | {"sampled": float(CHECKED)}
    k = max(1, min(k, (n - 1) // 2 - 1 if n > 6 else 1))
    with _one:
        false, torn, recalled = _penalties(
            np.ascontiguousarray(z, np.float64), np.ascontiguousarray(xy, np.float64), k
        )
    penalty = 2.0 / (k * (2 * n - 3 * k - 1))
    trust, back, recall = 1 - penalty * false, 1 - penalty * torn, recalled / k
    scores = {
        "trustworthiness": float(trust.mean()),
        "continuity": float(back.mean()),
        "knn_recall": float(recall.mean()),
        "k": float(k),
    }
    return trust.clip(0, 1).astype(np.float32), recall.astype(np.float32), scores


@numba.njit(parallel=True, error_model="numpy", cache=True)
def _penalties(z: Any, xy: Any, k: int) -> Any:
    """For each row float64: by how many ranks its k map neighbours miss being neighbours in truth,
    the reverse, and how many are neighbours in both.
    """
    n = len(z)
    false, torn, recalled = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in numba.prange(n):
        high, low = _distances(z, i), _distances(xy, i)
        near_high, near_low = _nearest(high, k), _nearest(low, k)
        for m in range(k):
            rank = _rank(high, near_low[m])
            false[i] += max(rank - k, 0)
            recalled[i] += rank <= k
            torn[i] += max(_rank(low, near_high[m]) - k, 0)
    return false, torn, recalled


@numba.njit(fastmath={"reassoc"}, cache=True)
def _distances(x: Any, i: int) -> Any:
    out = np.empty(len(x))
    for j in range(len(x)):
        s = 0.0
        for d in range(x.shape[1]):
            s += (x[i, d] - x[j, d]) * (x[i, d] - x[j, d])
        out[j] = s
    out[i] = np.inf
    return out


@numba.njit(cache=True)
def _nearest(distance: Any, k: int) -> Any:
    """Positions of the k smallest, in order; of equal ones the earlier first."""
    at, best = np.zeros(k, np.int64), np.full(k, np.inf)
    for j in range(len(distance)):
        d = distance[j]
        if d < best[k - 1]:
            p = k - 1
            while p > 0 and d < best[p - 1]:
                best[p], at[p] = best[p - 1], at[p - 1]
                p -= 1
            best[p], at[p] = d, j
    return at


@numba.njit(cache=True)
def _rank(distance: Any, j: int) -> Any:
    """Rank of position j among all: the smallest has 1, and of equal ones the earlier comes
    first.
    """
    rank = 1
    for other in range(len(distance)):
        rank += distance[other] < distance[j]
    for other in range(j):
        rank += distance[other] == distance[j]
    return rank
