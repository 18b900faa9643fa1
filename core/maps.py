"""Maps: an embedding drawn in two or three dimensions by UMAP, t-SNE, PCA or PaCMAP, with a faithfulness score for the map and for each point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Embedding, Map
from core.errors import UserError
from core.neighbours import neighbours, prepared

if TYPE_CHECKING:
    from core.store.catalogue import Job
    from core.store.workspace import Workspace

HOW = {"umap": "UMAP", "tsne": "t-SNE", "pca": "principal components", "pacmap": "PaCMAP"}
K = 15  # neighbours the faithfulness looks at
SLICES = 20_000  # shown of volumes' slices; above it a seeded sample
CHECKED = 5_000  # rows whose faithfulness is computed; above it a seeded sample


def make_map(
    embedding: Embedding, how: str = "umap", dims: int = 2, seed: int = 0, *, limit: int | None = None, cache: Path | None = None,
    report: Callable[[float], None] = lambda fraction: None,
) -> Map:  # fmt: skip
    """Draw `embedding`; the same seed gives the same map. With `limit`, a seeded sample of that many rows (Map.total tells of how many).

    Raises UserError for fewer than 5 rows or an unknown way. Cost: neighbours O(n^2 d) once (cached), then about linear.
    """
    if how not in HOW or dims not in (2, 3):
        raise UserError(f"A map is made by {', '.join(HOW)}, in 2 or 3 dimensions.")
    rows, z, total, place = embedding.rows, np.asarray(embedding.z, dtype=np.float32), len(embedding.rows), embedding.place
    if limit is not None and total > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(total, limit, replace=False))
        rows, z, place = rows[chosen], z[chosen], None if place is None else place[chosen]
    if len(z) < 5:
        raise UserError(f"A map needs at least 5 {'cases' if place is None else 'slices'}; this run has {len(z)}.")
    near = neighbours(z, max(90, K) if how == "tsne" else max(30, K), embedding.metric, cache)
    report(0.2)
    xy = {"umap": _umap, "tsne": _tsne, "pca": _pca, "pacmap": _pacmap}[how](prepared(z, embedding.metric), near, dims, seed)
    report(0.8)
    trust, recall, scores = faithfulness(prepared(z, embedding.metric), xy, near[0])
    return Map(rows=rows, name="", xy=xy.astype(np.float32), how=how, trust=trust, recall=recall, scores=scores, total=total, place=None if place is None else np.asarray(place))


def of_slices(ws: Workspace, job: Job) -> dict[str, Any]:
    """What to add to a map job's spec so that it draws the slices of volumes, of this run or the one it builds upon. UserError when there are none."""
    for slug in ws.slugs(job.id):
        if slug.startswith("embedding") and slug.endswith("slices"):
            return {"artifact": slug, "limit": SLICES}
    if job.on_run and ws.job(job.on_run).dataset == job.dataset:
        return of_slices(ws, ws.job(job.on_run))
    raise UserError(f"Run {job.id} knows no slices; only a run that takes volumes slice by slice does.")


def _umap(z: np.ndarray, near: Any, dims: int, seed: int) -> np.ndarray:
    import warnings

    from umap import UMAP

    k = min(15, near[0].shape[1])
    itself = np.arange(len(z))[:, None]
    index = np.concatenate([itself, near[0][:, : k - 1]], 1).astype(np.int32)  # umap counts the row itself as its first neighbour
    distance = np.concatenate([np.zeros((len(z), 1), np.float32), near[1][:, : k - 1]], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = UMAP(n_neighbors=k, n_components=dims, random_state=seed, n_jobs=1, init="pca" if len(z) > dims + 2 else "random", precomputed_knn=(index, distance, None))
        return fit.fit_transform(z)


def _tsne(z: np.ndarray, near: Any, dims: int, seed: int) -> np.ndarray:
    if dims == 3 or len(z) < 50:  # openTSNE's fast gradient is for two dimensions
        from sklearn.manifold import TSNE

        if len(z) > 10_000:
            raise UserError("t-SNE in three dimensions is too slow above 10,000 cases; choose UMAP, or two dimensions.")
        return TSNE(dims, perplexity=min(30, (len(z) - 1) / 3), random_state=seed, init="pca" if z.shape[1] >= dims else "random").fit_transform(z)
    from openTSNE import TSNEEmbedding, affinity, initialization, nearest_neighbors

    perplexity = min(30, near[0].shape[1] // 3)
    found = nearest_neighbors.PrecomputedNeighbors(near[0][:, : 3 * perplexity], near[1][:, : 3 * perplexity].astype(float))
    joint = affinity.PerplexityBasedNN(perplexity=perplexity, knn_index=found, n_jobs=1)
    start = initialization.pca(z, random_state=seed) if z.shape[1] >= 2 else initialization.random(len(z), random_state=seed)
    made = TSNEEmbedding(start, joint, negative_gradient_method="fft" if len(z) > 2000 else "bh", n_jobs=1, random_state=seed)
    made = made.optimize(250, exaggeration=12, momentum=0.5).optimize(500, exaggeration=1, momentum=0.8)
    return np.asarray(made)


def _pca(z: np.ndarray, near: Any, dims: int, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    made = PCA(min(dims, *z.shape), svd_solver="full" if z.shape[1] <= 500 else "randomized", random_state=seed).fit_transform(z)
    return np.pad(made, ((0, 0), (0, dims - made.shape[1])))


def _pacmap(z: np.ndarray, near: Any, dims: int, seed: int) -> np.ndarray:
    import warnings

    from pacmap import PaCMAP

    k = min(10, near[0].shape[1])
    pairs = np.stack([np.repeat(np.arange(len(z)), k), near[0][:, :k].ravel()], 1).astype(np.int32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = PaCMAP(n_components=dims, n_neighbors=k, random_state=seed, pair_neighbors=pairs, save_tree=False)
        return fit.fit_transform(z, init="pca" if z.shape[1] > dims else "random")


def faithfulness(z: np.ndarray, xy: np.ndarray, near: np.ndarray | None = None, k: int = K, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Per point trust and recall in [0, 1] and the map's trustworthiness, continuity (Venna and Kaski 2001) and k-neighbour recall.

    Trust of a point: 1 minus the penalty of its map neighbours that are none in truth; its mean over points is the trustworthiness. Above 5,000
    rows the scores are of a seeded sample and points outside it get the score of the nearest sampled point on the map. O(m^2) for m rows.
    """
    n = len(z)
    if n > CHECKED:
        chosen = np.sort(np.random.default_rng(seed).choice(n, CHECKED, replace=False))
        trust, recall, scores = faithfulness(z[chosen], xy[chosen], None, k, seed)
        from scipy.spatial import cKDTree

        _, stand_in = cKDTree(xy[chosen]).query(xy)
        return trust[stand_in], recall[stand_in], scores | {"sampled": float(CHECKED)}
    k = max(1, min(k, (n - 1) // 2 - 1 if n > 6 else 1))
    penalty = 2.0 / (k * (2 * n - 3 * k - 1))
    trust, back, recall = np.empty(n), np.empty(n), np.empty(n)
    for rows in np.array_split(np.arange(n), max(1, n // 512)):
        high, low = _ranks(z, rows), _ranks(xy, rows)
        near_low, near_high = low <= k, high <= k
        trust[rows] = 1 - penalty * np.where(near_low, np.maximum(high - k, 0), 0).sum(1)
        back[rows] = 1 - penalty * np.where(near_high, np.maximum(low - k, 0), 0).sum(1)
        recall[rows] = (near_low & near_high).sum(1) / k
    scores = {"trustworthiness": float(trust.mean()), "continuity": float(back.mean()), "knn_recall": float(recall.mean()), "k": float(k)}
    return trust.clip(0, 1).astype(np.float32), recall.astype(np.float32), scores


def _ranks(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rank of every row as a neighbour of `rows`: int [len(rows), n], nearest other = 1, the row itself = n (never near)."""
    from scipy.spatial.distance import cdist

    distance = cdist(x[rows].astype(np.float64), x.astype(np.float64), "sqeuclidean")
    distance[np.arange(len(rows)), rows] = np.inf
    order = distance.argsort(1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1, len(x) + 1), order.shape), 1)
    return ranks
