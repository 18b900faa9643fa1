"""Beside an unusual case the normal ones most like it: what it might have looked like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from app import state, text
from app.panels import threshold
from app.panels.gallery import small_tile, thumbs
from app.state import Context
from core.artifacts import AnomalyMaps, Embedding
from core.errors import UserError
from core.explain.normal_neighbours import (
    NormalNeighbours,
    embed_grey_levels,
    embed_values,
    find_normal_neighbours,
)
from core.imaging import render

SHOWN = 3
TILE = 256  # pixels of a picture beside a failure
DIFFERING = 4  # values of a table set side by side


@dataclass(frozen=True)
class Found:
    """The nearest normal cases of a case, which cases are taken as normal, and by what they are
    near: the latent space ("") or else in words.
    """

    near: NormalNeighbours
    words: str
    by: str


@st.cache_resource(max_entries=4, show_spinner="Comparing the cases")
def _values(home: str, hash: str, run: str) -> Embedding:
    """The values of the open table, or the grey levels of its pictures, as coordinates, once for
    all its cases.
    """
    data = state.context_of(run).data
    return embed_values(data) if data.modality == "table" else embed_grey_levels(data)


def _without_latent(modality: str) -> str:
    """By what cases of a run without a latent space are compared; "" where they cannot be."""
    return {
        "table": "the values of the table",
        "image": "grey levels in 16 × 16 places",
        "volume": "grey levels in 8 × 8 × 8 places",
        "series": "values in 64 stretches of time",
    }.get(modality, "")


@st.cache_data(max_entries=512, show_spinner=False)
def _found(home: str, run: str, hash: str, slug: str, at: float, row: int) -> Found | None:
    from core.jobs.run_folder import find_artifact

    context = state.context_of(run)
    scores = context.ws.artifact(run, slug)
    assert isinstance(scores, AnomalyMaps)
    by = ""
    try:
        embedding: Embedding = find_artifact(context.ws, run, Embedding)
    except UserError:
        by = _without_latent(context.data.modality)
        if not by:
            return None
        embedding = _values(home, hash, run)
    normal, words = normal_rows(scores, context, at)
    held = np.isin(embedding.rows, context.data.rows)
    groups = None
    if context.data.groups is not None:
        place = np.searchsorted(context.data.rows, embedding.rows[held])
        groups = np.full(len(held), None, dtype=object)
        groups[held] = context.data.groups[place]
    normal = normal[np.isin(normal, embedding.rows[held])]
    return Found(find_normal_neighbours(embedding, row, normal, groups, SHOWN), words, by)


def nearest_of(scores: AnomalyMaps, context: Context, row: int) -> Found | None:
    """The nearest normal cases of `row`; None where neither a latent space nor the data let cases
    be compared. Cached.
    """
    at = threshold.threshold_of(scores, context)
    return _found(str(context.ws.home), context.job.id, context.data.hash, scores.slug, at, row)


def normal_rows(scores: AnomalyMaps, context: Context, at: float) -> tuple[np.ndarray, str]:
    """Row ids of the cases taken as normal, and which these are, in words: those known as normal,
    else training cases below the threshold `at`.
    """
    data = context.data
    truth, _ = threshold.known(context)
    if truth is not None:
        return data.rows[threshold.has_known_truth(context, data.rows) & ~truth], "known normal"
    train = data.part("train").rows
    rows, words = (train, "training ") if len(train) else (data.rows, "")
    rows = rows[np.isin(rows, scores.rows)]
    below = rows[np.asarray(scores.score)[scores.at(rows)] <= at]
    return below, f"{words}cases below the threshold, since it is not known which are normal"


def show(scores: AnomalyMaps, context: Context, row: int) -> None:
    """The nearest normal cases of `row`, with their distance in the run's latent space, or by what
    the data hold where it has none; nothing where neither can be.
    """
    found = nearest_of(scores, context, row)
    if found is None:
        return
    near, words = found.near, found.words
    others = " of other patients" if context.data.groups is not None else ""
    cases = f"{near.among:,} {name_normal(found)}{others}"
    if not len(near.rows):
        if np.isin(row, scores.rows):
            st.caption(f"No normal case to set beside it ({words}{others}).")
        return
    by = f" by {found.by}" if found.by else ""
    st.caption(f"Nearest normal{by}, among {cases}:", help=explain(found))
    data = context.data
    pics = thumbs(data, near.rows, small_tile(data)) if render.is_drawable(data) else None
    names = data.of(near.rows).names()
    for i, (cell, other) in enumerate(zip(st.columns(SHOWN), near.rows.tolist())):
        with cell, st.container(key=f"picture-normal-{i}", gap="small"):
            if pics is not None:
                st.image(pics[i], width="stretch", alt=text.plain(names[i], 60))
            times = near.distance[i] / near.usual if near.usual > 0 else float("nan")
            far = text.figures(float(near.distance[i])) + (
                f" ({times:.1f}×)" if np.isfinite(times) else ""
            )
            st.button(
                far if pics is not None else f"{text.label(names[i], 12)} {far}",
                key=f"normal-{i}",
                on_click=state.look_at,
                args=(other,),
                type="tertiary",
                help=f"Look at {text.label(names[i])}",
                width="stretch",
            )
    if data.modality == "table":
        _compare_values(context, row, int(near.rows[0]))


def name_normal(found: Found) -> str:
    """Which cases are taken as normal, for the middle of a sentence."""
    return f"{found.words} cases" if found.words == "known normal" else found.words


def explain(found: Found) -> str:
    """What nearest means and what the figures are."""
    what = {
        "": "Nearest in the latent space of the run.",
        _without_latent("table"): (
            "This run has no latent space, so nearest is by the values of the table, each measured"
            " by its spread."
        ),
    }.get(
        found.by,
        f"This run has no latent space, so nearest is by {found.by}: brightness and position count,"
        " not what is shown.",
    )
    return (
        f"What a normal case like this one looks like. {what} The figure is the distance, in"
        " brackets how many times as far that is as normal cases usually lie from their own nearest"
        " normal case."
    )


def _compare_values(context: Context, row: int, normal: int) -> None:
    """The values in which a case of a table differs most from its nearest normal one."""
    data, both = context.data, np.array([row, normal])
    z = _values(str(context.ws.home), data.hash, context.job.id)
    x = data.of(both).inputs()
    apart = np.abs(np.subtract(*z.z[z.at(both)]))
    most = [j for j in np.argsort(-apart, kind="stable")[:DIFFERING] if apart[j] > 0]
    if not most:
        return
    lines = "\n".join(
        f"| {text.label(data.features[j], 40)} | {text.number(float(x[0, j]))} |"
        f" {text.number(float(x[1, j]))} |"
        for j in most
    )
    st.markdown(f"| Differs most in | This case | Nearest normal |\n|---|---|---|\n{lines}")
