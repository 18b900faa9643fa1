"""Maps: an embedding drawn in two or three dimensions by UMAP, t-SNE, PCA or PaCMAP, with a
faithfulness score for the map and for each point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Embedding, Map
from core.errors import UserError
from core.maps.card import WHOLE, Card, compute
from core.maps.projections import (
    AUTOMATIC,
    LINEAR,
    NONLINEAR,
    PROJECTIONS,
    check_projection,
    find_more_faithful,
)
from core.neighbours import BLOCK, Finder, neighbours, prepared

if TYPE_CHECKING:
    from core.workspace.catalogue import Job
    from core.workspace.workspace import Workspace

SLICES = 20_000  # shown of volumes' slices; above it a seeded sample
LANDMARKS = 100_000
# different rows that UMAP, t-SNE and PaCMAP need: of fewer there are no neighbours to tell apart
FEWEST_PLACES = 5
GRID_LEAST = 50  # rows from which t-SNE is ours; scikit-learn's settles fewer better
COMPARED = 1_000  # rows of the sample that projections are compared on
PACMAP_LEAST = 35  # rows: each is paired with 10 near, 5 middling and 20 far ones


def make_map(
    embedding: Embedding,
    how: str = AUTOMATIC,
    dims: int = 2,
    seed: int = 0,
    *,
    limit: int | None = None,
    cache: Path | None = None,
    report: Callable[[float], None] = lambda fraction: None,
    card: Card | None = None,
) -> Map:
    """Draw `embedding`; the same seed gives the same map. With `limit`, a seeded sample of that
    many rows (Map.total tells of how many).

    Where `how` is "auto", projections are compared on a sample (`compare_projections`; of fewer
    than 50 rows none is), and the map is by UMAP unless another keeps clearly more of the 15
    nearest (`core.maps.projections.find_more_faithful`); Map.compared holds the scores.

    On a graphics `card` (see `core.maps.card`) UMAP lays out all rows, and its map is another one
    than the processors'. These draw, above 200,000 rows, 100,000 landmarks and place the others by
    their nearest landmarks (Map.landmarks; principal components need none). What `how` cannot draw
    (see `unfit`) is drawn by principal components, and Map.reason says why. Raises UserError for
    fewer than 5 rows, for coordinates that are no finite numbers, or an unknown way. Cost:
    neighbours about O(n^1.5 d) once (cached, not those of a card), then linear; all threads.
    """
    from core.maps.faithfulness import faithfulness

    check_projection(how, dims)
    rows = embedding.rows
    z = np.asarray(embedding.z, dtype=np.float32)
    total = len(embedding.rows)
    place = embedding.place
    if limit is not None and total > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(total, limit, replace=False))
        rows, z, place = rows[chosen], z[chosen], None if place is None else place[chosen]
    if len(z) < 5:
        raise UserError(
            f"A map needs at least 5 {'cases' if place is None else 'slices'}; this run has"
            f" {len(z)}."
        )
    broken = int((~np.isfinite(z).all(1)).sum())
    if broken:
        raise UserError(
            f"{broken:,} of {len(z):,} cases have latent coordinates that are no finite numbers, so"
            " no map can be drawn; train again, with a smaller step size where there is one."
        )
    z, landmarks = prepared(z, embedding.metric), 0
    reason = unfit(z, how, dims)
    compared: dict[str, dict[str, float]] = {}
    if how == AUTOMATIC:
        how = NONLINEAR
        if not reason and len(z) >= GRID_LEAST:
            compared = compare_projections(z, dims, seed)
            how = find_more_faithful(NONLINEAR, compared) or NONLINEAR
            report(0.1)
    if reason:
        how, reason = LINEAR, f"projected by principal components: {reason}"
    if how == LINEAR:
        xy = _along(z, _axes(z, dims, seed))
    else:
        xy, landmarks = compute(
            card if how == "umap" else None,
            lambda device, room: (_umap_on_card(z, dims, seed, device, room, report), 0),
            lambda: _draw_all(z, how, dims, seed, cache, report),
        )
    report(0.8)
    trust, recall, scores = faithfulness(z, xy)
    return Map(
        rows=rows,
        name="",
        xy=xy.astype(np.float32, copy=False),
        how=how,
        trust=trust,
        recall=recall,
        scores=scores,
        total=total,
        landmarks=landmarks,
        reason=reason,
        place=None if place is None else np.asarray(place),
        compared=compared,
    )


def compare_projections(z: np.ndarray, dims: int, seed: int) -> dict[str, dict[str, float]]:
    """Faithfulness of UMAP, t-SNE (two dimensions only: in three it is slow) and principal
    components on the same seeded sample of at most 1,000 of the rows `z` [n,d], by projection; none
    where the sample lies at too few places to be drawn.
    PaCMAP is not among them: it takes ten times as long to begin. Cost: about 2 s of one core.
    """
    from core.maps.faithfulness import faithfulness

    if len(z) > COMPARED:
        chosen = np.random.default_rng(seed).choice(len(z), COMPARED, replace=False)
        z = z[np.sort(chosen)]
    if unfit(z, NONLINEAR, dims):  # the sample may have fewer places than all rows
        return {}
    found = {}
    for how in (NONLINEAR, "tsne", LINEAR) if dims == 2 else (NONLINEAR, LINEAR):
        if how == LINEAR:
            xy = _along(z, _axes(z, dims, seed))
        else:
            xy = _draw(z, how, dims, seed, None, lambda fraction: None)
        found[how] = faithfulness(z, xy)[2]
    return found


def count_sampled(made: Map) -> int:
    """How many cases were in the sample that `made.compared` was measured on; 0 where it was all
    that the map was drawn of. Cases placed on it afterwards count for nothing.
    """
    if made.beside is not None:
        drawn = len(made.beside)
    else:
        drawn = len(made.rows) if made.added is None else int((~np.asarray(made.added)).sum())
    return COMPARED if drawn > COMPARED else 0


def unfit(z: np.ndarray, how: str, dims: int) -> str:
    """Why `how` cannot draw the rows `z` [n,d], finite float32, in `dims` dimensions, in words; ""
    where it can.
    """
    if how == LINEAR:
        return ""
    how = NONLINEAR if how == AUTOMATIC else how
    places = count_places(z)
    if places < FEWEST_PLACES:
        return (
            f"all cases lie at {places} place{'' if places == 1 else 's'} of the latent space, too"
            f" few for {PROJECTIONS[how]}"
        )
    if how == "pacmap" and len(z) < PACMAP_LEAST:
        return f"PaCMAP needs at least {PACMAP_LEAST} cases, these are {len(z)}"
    if how == "pacmap" and z.shape[1] < dims:
        return f"PaCMAP needs at least {dims} latent dimensions, here is {z.shape[1]}"
    return ""


def count_places(z: np.ndarray) -> int:
    """How many different rows `z` has; where an even sample of 1,000 has enough for any map, those
    of the sample.
    """
    some = len(np.unique(z[:: -(-len(z) // 1000)], axis=0))
    return some if some >= FEWEST_PLACES else len(np.unique(z, axis=0))


def add(earlier: Map, old: Embedding, new: Embedding, seed: int = 0) -> Map:
    """`earlier`, drawn from `old`, with the rows of `new` (coordinates in the same latent space)
    after its own, which stay where they are, bit for bit.

    A new row's place comes from its nearest rows on the map and never from other new ones.
    Map.added marks the new rows, and the scores are those of all rows together. Raises UserError
    for a map of slices, other dimensions, or when `old` lacks rows of the map.
    """
    from core.maps.faithfulness import faithfulness

    if earlier.place is not None or new.place is not None:
        raise UserError("Cases can be added to maps whose points are cases, not slices.")
    if old.z.shape[1] != new.z.shape[1] or len(at := old.at(earlier.rows)) != len(earlier.rows):
        raise UserError("The new cases were not embedded by the run of this map.")
    z = prepared(np.asarray(old.z)[at], old.metric)
    z_new = prepared(new.z, old.metric)
    xy = np.asarray(earlier.xy)
    own = z if earlier.added is None else z[~np.asarray(earlier.added)]
    if earlier.how == LINEAR:
        found = _along(z_new, _axes(own, xy.shape[1], seed))
    else:
        find = Finder(z)
        found = np.concatenate(
            [
                _placed(z_new[i : i + BLOCK], find, xy, earlier.how, seed)
                for i in range(0, len(z_new), BLOCK)
            ]
        )
    every = np.concatenate([xy, found.astype(np.float32)])
    trust, recall, scores = faithfulness(np.concatenate([z, z_new]), every)
    new_trust, new_recall = trust[len(z) :], recall[len(z) :]
    was = np.zeros(len(z), bool) if earlier.added is None else np.asarray(earlier.added)
    return replace(
        earlier,
        rows=np.concatenate([earlier.rows, new.rows]),
        xy=every,
        added=np.concatenate([was, np.ones(len(z_new), bool)]),
        trust=new_trust if earlier.trust is None else np.concatenate([earlier.trust, new_trust]),
        recall=new_recall
        if earlier.recall is None
        else np.concatenate([earlier.recall, new_recall]),
        scores=scores | {"added_trustworthiness": float(new_trust.mean())},
        total=max(earlier.total or 0, len(every)),
    )


def of_slices(ws: Workspace, job: Job) -> dict[str, Any]:
    """Return what to add to a map job's spec so that it draws the slices of volumes, of this run or
    the one it builds upon. UserError when there are none.
    """
    if job.kind == "apply":
        raise UserError(
            "Other data is placed on the map of the training data case by case, not by slices."
        )
    for slug in ws.slugs(job.id):
        if slug.startswith("embedding") and slug.endswith("slices"):
            return {"artifact": slug, "limit": SLICES}
    if job.on_run and ws.job(job.on_run).dataset == job.dataset:
        return of_slices(ws, ws.job(job.on_run))
    raise UserError(
        f"Run {job.id} knows no slices; only a run that takes volumes slice by slice does."
    )


def _draw_all(
    z: np.ndarray,
    how: str,
    dims: int,
    seed: int,
    cache: Path | None,
    report: Callable[[float], None],
) -> tuple[np.ndarray, int]:
    """Places [n,dims] of all rows `z` [n,d] by the processors, and how many landmarks the others
    were placed by, 0 where all were laid out together.
    """
    if len(z) <= WHOLE:
        return _draw(z, how, dims, seed, cache, report), 0
    chosen = np.sort(np.random.default_rng(seed).choice(len(z), LANDMARKS, replace=False))
    xy, base = np.empty((len(z), dims), np.float32), z[chosen]
    xy[chosen] = base_xy = _draw(base, how, dims, seed, cache, report)
    other = np.delete(np.arange(len(z)), chosen)
    find = Finder(base)
    for i in range(0, len(other), BLOCK):
        xy[other[i : i + BLOCK]] = _placed(z[other[i : i + BLOCK]], find, base_xy, how, seed)
        report(0.6 + 0.2 * i / len(other))
    return xy, LANDMARKS


def _draw(
    z: np.ndarray,
    how: str,
    dims: int,
    seed: int,
    cache: Path | None,
    report: Callable[[float], None],
) -> np.ndarray:
    """Places [n,dims] of all rows `z` [n,d], laid out together."""
    near = neighbours(z, 90 if how == "tsne" else 30, cache=cache)
    report(0.2)
    return {"umap": _umap, "tsne": _tsne, "pacmap": _pacmap}[how](
        z, near, dims, seed, lambda fraction: report(0.2 + 0.4 * fraction)
    )


def _placed(z: np.ndarray, find: Finder, base: np.ndarray, how: str, seed: int) -> np.ndarray:
    """Places [n,dims] of rows `z` [n,d] by their nearest on the map: the weighted mean of their
    places, and with UMAP some epochs of its layout.
    """
    from core.maps import layout

    index, square = find(z, min(layout.NEAR, len(base)))
    weight = layout.weights(np.sqrt(np.maximum(square, 0)))
    start = (base[index] * (weight / weight.sum(1, keepdims=True))[:, :, None]).sum(1)
    return layout.settle(start, base, index, weight, seed) if how == "umap" else start


def _umap(
    z: np.ndarray, near: Any, dims: int, seed: int, report: Callable[[float], None]
) -> np.ndarray:
    from core.maps import layout

    return layout.umap(_start(z, dims, seed), near, seed, report)


def _umap_on_card(
    z: np.ndarray,
    dims: int,
    seed: int,
    device: str,
    room: int,
    report: Callable[[float], None],
) -> np.ndarray:
    from core.maps.layout_on_card import draw_umap

    start = _start(z, dims, seed)
    return draw_umap(z, start, seed, device, room, lambda fraction: report(0.8 * fraction))


def _start(z: np.ndarray, dims: int, seed: int) -> np.ndarray:
    """Where UMAP begins, [n,dims]: principal components, 10 wide, each row moved a little."""
    start = _along(z, _axes(z, dims, seed))
    start = 10 * start / max(float(np.ptp(start, axis=0).max()), 1e-12)
    return start + np.random.default_rng(seed).normal(scale=1e-3, size=start.shape)


def _tsne(
    z: np.ndarray, near: Any, dims: int, seed: int, report: Callable[[float], None]
) -> np.ndarray:
    start = _along(z, _axes(z, dims, seed)).astype(float)
    start = 1e-4 * start / max(float(start[:, 0].std()), 1e-12) + np.random.default_rng(
        seed
    ).normal(scale=1e-8, size=start.shape)
    if dims == 2 and len(z) >= GRID_LEAST:
        from core.maps.tsne import tsne

        return tsne(start, near, report)
    from sklearn.manifold import TSNE

    if len(z) > 10_000:
        raise UserError(
            "t-SNE in three dimensions is too slow above 10,000 cases; choose UMAP, or two"
            " dimensions."
        )
    return TSNE(
        dims,
        perplexity=min(30, (len(z) - 1) / 3),
        random_state=seed,
        init=start.astype(np.float32),
    ).fit_transform(z)


def _axes(z: np.ndarray, dims: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(mean [d], principal axes [d,dims] float64, largest first, those beyond d zero). In one
    thread: BLAS' last digits depend on their number.
    """
    from threadpoolctl import threadpool_limits

    mean, d = z.mean(0, dtype=np.float64), z.shape[1]
    axes = np.zeros((d, dims))
    with threadpool_limits(1, "blas"):
        if d <= 500:
            around = np.zeros((d, d))
            for i in range(0, len(z), BLOCK):
                block = z[i : i + BLOCK] - mean
                around += block.T @ block
            found = np.linalg.eigh(around)[1][:, ::-1][:, :dims]
        else:
            from sklearn.decomposition import PCA

            found = (
                PCA(min(dims, len(z)), svd_solver="randomized", random_state=seed)
                .fit(z)
                .components_.T
            )
    axes[:, : found.shape[1]] = found * np.sign(
        found[np.abs(found).argmax(0), np.arange(found.shape[1])]
    )
    return mean, axes


def _along(z: np.ndarray, by: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """float32 [n,dims]: rows `z` along principal axes."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        return np.concatenate(
            [
                ((z[i : i + BLOCK] - by[0]) @ by[1]).astype(np.float32)
                for i in range(0, len(z), BLOCK)
            ]
        )


def _pacmap(
    z: np.ndarray, near: Any, dims: int, seed: int, report: Callable[[float], None]
) -> np.ndarray:
    import warnings

    from pacmap import PaCMAP

    k = min(10, near[0].shape[1])
    pairs = np.stack(
        [np.repeat(np.arange(len(z)), k), np.asarray(near[0][:, :k]).ravel()], 1
    ).astype(np.int32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = PaCMAP(
            n_components=dims,
            n_neighbors=k,
            random_state=seed,
            pair_neighbors=pairs,
            save_tree=False,
        )
        return fit.fit_transform(z, init="pca" if z.shape[1] > dims else "random")
