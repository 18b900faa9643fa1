"""Cases that came after a map was drawn: which they are, and their places on it. What is on the map
stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Embedding, Map, Model
from core.errors import UserError
from core.maps.make import add, make_map
from core.registry import open_model
from core.training.run import Run

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.workspace.catalogue import Job
    from core.workspace.workspace import Workspace

# rows on which the model must give the coordinates of the run, before it is asked for those of
# others
AGREE = 50


def missing(ws: Workspace, run: Job, whole: Map, embedding: Embedding) -> np.ndarray:
    """int64 ids, sorted, of cases in use that the map `whole` of `run` lacks: excluded when it
    was drawn and taken back since, or held back and released since. Empty for maps of slices or of
    a sample.
    """
    from core.workspace import review

    if whole.place is not None or embedding.place is not None:
        return np.zeros(0, np.int64)
    lacks = (
        embedding.rows[:0]
        if np.array_equal(embedding.rows, whole.rows)
        else np.setdiff1d(embedding.rows, whole.rows)
    )
    released = [
        np.asarray(d.rows, np.int64)
        for d in review.list_decisions(ws, run.dataset)
        if d.what == "release"
    ]
    if "only" in run.spec or not released:
        return lacks
    came = np.intersect1d(np.concatenate(released), ws.dataset(run.dataset).rows)
    return np.union1d(lacks, np.setdiff1d(came, whole.rows))


def with_missing(
    ws: Workspace, run: Job, whole: Map, embedding: Embedding, model: Model | None, seed: int = 0
) -> Map:
    """`whole` with the cases it lacks, whose coordinates come from the run's embedding, or from its
    model where they were not in use when it ran. UserError where none is missing, or there is no
    model that could embed them.
    """
    rows = missing(ws, run, whole, embedding)
    if not len(rows):
        raise UserError("Every case in use is on this map already.")
    at = embedding.at(rows)
    z, rest = np.asarray(embedding.z)[at], np.setdiff1d(rows, embedding.rows)
    if len(rest):
        z = np.concatenate(
            [
                z,
                embedded(
                    model, embedding, ws.dataset(run.dataset), ws.dataset(run.dataset).of(rest)
                ),
            ]
        )
    return add(
        whole,
        embedding,
        replace(embedding, rows=np.concatenate([embedding.rows[at], rest]), z=z, std=None),
        seed,
    )


def embedded(model: Model | None, embedding: Embedding, own: Dataset, other: Dataset) -> np.ndarray:
    """Latent coordinates float32 [n,d] of the cases of `other` by the model that gave `embedding`
    of `own`. UserError where it cannot give them: no model that embeds, another kind or shape of
    data, volumes taken by slices, or a model that does not give what the run gave.
    """
    if model is None or "embed" not in model.abilities or embedding.place is not None:
        raise UserError(
            "This run keeps no model that can embed other cases; train with one that does, e.g."
            " principal components or an autoencoder."
        )
    if own.modality != other.modality or list(own.shape) != list(other.shape):
        raise UserError(
            f"“{other.name}” holds {other.modality} data of shape {tuple(other.shape)}; this run"
            f" learned from {own.modality} data of shape {tuple(own.shape)}."
        )
    method = open_model(model)
    if method.slicewise:
        raise UserError(
            "This model takes volumes slice by slice; other cases cannot be put on its map."
        )
    known = embedding.rows[np.isin(embedding.rows, own.rows)][:AGREE]
    z = np.asarray(embedding.z)[embedding.at(known)]
    if not len(known) or not np.allclose(
        _embed(method, own.of(known)), z, rtol=1e-2, atol=1e-2 * float(np.abs(z).max())
    ):
        raise UserError(
            "This run's model does not give the coordinates its map was drawn from, so other cases"
            " cannot be put on it."
        )
    return _embed(method, other)


def _embed(method: Any, data: Dataset) -> np.ndarray:
    return np.asarray(Run(device="cpu").map(method.embed, data))


def place_cases(
    ws: Workspace,
    trained: Job,
    learned: Embedding,
    new: Embedding,
    how: str,
    dims: int,
    seed: int,
    report: Callable[[float], None],
) -> Map:
    """Return a map of cases of other data, each placed among those the model learned from.

    These get the places of their own map of that kind and seed, which is drawn where it is not
    there yet; none of them moves for the new cases. `learned` and `new` hold the coordinates of
    the two by the model of `trained`. UserError for latents of slices.
    """
    if learned.place is not None or new.place is not None:
        raise UserError("Other data can be placed on maps whose points are cases, not slices.")
    whole = _find_whole_map(ws, trained, how, dims, seed)
    if whole is None:
        cache = ws.home / "cache" / "neighbours"
        whole = make_map(learned, how, dims, seed, cache=cache, report=report)
    more = add(whole, learned, new, seed)
    own = len(whole.rows)
    return replace(
        more,
        rows=new.rows,
        xy=np.asarray(more.xy)[own:],
        trust=None if more.trust is None else np.asarray(more.trust)[own:],
        recall=None if more.recall is None else np.asarray(more.recall)[own:],
        scores={**whole.scores, "added_trustworthiness": more.scores["added_trustworthiness"]},
        added=None,
        total=len(new.rows),
        beside=np.asarray(whole.xy, dtype=np.float32),
    )


def _find_whole_map(ws: Workspace, trained: Job, how: str, dims: int, seed: int) -> Map | None:
    """Return the whole map of a run of this kind and seed, where it was drawn already."""
    for job in ws.catalogue.jobs(on_run=trained.id, kind="map", status="done", seed=seed):
        if job.spec == {"how": how, "dims": dims}:
            found = ws.artifact(job.id, "map")
            assert isinstance(found, Map)
            return found
    return None
