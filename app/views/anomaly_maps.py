"""Unusual cases in the order of their anomaly score: pictures with heat laid over, on one scale for
all; cases of a table with the values that are unusual in them.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.panels import threshold, threshold_bench, unusual_values
from app.panels.gallery import gallery, thumbs
from app.state import Context
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.geometry import case_geometry
from core.imaging import orientation, render

TITLE = "Unusual cases"
PAGE = 18  # pictures shown at once


def fits(artifact: AnomalyMaps, data: Dataset) -> bool:
    """Scores that speak of the case, not of the model's doubt."""
    return artifact.shows != "doubt"


@st.cache_data(max_entries=64, show_spinner=False)
def reach(home: str, run: str, slug: str) -> tuple[float, float]:
    """The one heat scale of a run, cached."""
    artifact = state.workspace().artifact(run, slug)
    assert isinstance(artifact, AnomalyMaps)
    return artifact.heat_range()


def overlays(
    artifact: AnomalyMaps,
    context: Context,
    rows: np.ndarray,
    opacity: float,
    truth: bool,
    tile: int = 256,
) -> np.ndarray:
    """Pictures uint8 [n,tile,tile,3] of `rows` with their heat, all on the run's scale; `truth`
    outlines the mask.
    """

    data = context.data
    if artifact.map is None or artifact.map.shape[1:] != data.shape[1:]:
        return thumbs(data, rows, tile)
    scale = reach(str(context.ws.home), context.job.id, artifact.slug)
    out = np.zeros((len(rows), tile, tile, 3), np.uint8)
    for i, made in enumerate(
        render.draw_heat_maps(
            data, artifact.map[artifact.at(rows)], rows, scale, opacity, tile, truth, state.look()
        )
    ):
        out[i] = render.fit_into_square(made, tile, smooth=True)
    return out


def slices_shown(artifact: AnomalyMaps, data: Dataset, rows: np.ndarray) -> dict[int, str]:
    """For each volume, which of its slices `overlays` shows, in words for the end of a caption."""
    assert artifact.map is not None
    found = {}
    for row, i in zip(rows.tolist(), artifact.at(rows)):
        at = orientation.display_planes(case_geometry(data, row), 3)[0]
        hottest = render.hottest_slice(np.asarray(artifact.map[i]), at) + 1
        found[row] = f" · {hottest}/{data.shape[1:][at.order[0]]}"
    return found


def colour_bar(low: float, high: float, opacity: float) -> np.ndarray:
    """The heat scale over mid grey, uint8 [18,360,3]."""
    ramp = np.tile(np.linspace(low, high, 360), (18, 1))
    return render.overlay_heat(np.full((18, 360, 3), 90, np.uint8), ramp, low, high, opacity)


def show(artifact: AnomalyMaps, context: Context) -> None:
    """The cases in the order of their score, and the threshold."""
    data = context.data
    splits = [s for s in ("test", "val", "train") if (data.splits == s).any()]
    top = st.columns([3, 2, 1.2, 2], vertical_alignment="bottom")
    part = (
        top[0].segmented_control(
            "Cases of",
            [*splits, "all"],
            default=splits[0],
            key=context.key("part"),
            required=True,
            help="test: never seen in training",
        )
        if splits
        else "all"
    )
    order = top[1].selectbox(
        "First", ["most unusual", "least unusual", "near the threshold"], key=context.key("order")
    )
    heat = artifact.map is not None and artifact.map.shape[1:] == data.shape[1:]
    on = (
        top[2].toggle(
            "Heat",
            True,
            key=context.key("heat"),
            help="Show where in the picture the model sees something unusual",
        )
        if heat
        else False
    )
    opacity = (
        top[3].slider("Opacity", 0.1, 1.0, 0.7, 0.05, key=context.key("opacity")) if heat else 0.0
    )
    rows = data.rows if part == "all" else data.part(str(part)).rows
    chosen = state.selection()
    if len(chosen) and st.checkbox(
        f"Only the {len(chosen):,} selected cases", key=context.key("only")
    ):
        rows = np.intersect1d(rows, chosen.rows)
    rows = rows[np.isin(rows, artifact.rows)]
    if not len(rows):
        st.caption("None of these cases has a score.")
        return
    at = float(state.value(context.key("threshold"), threshold.threshold_of(artifact, context)))
    score = np.asarray(artifact.score)[artifact.at(rows)]
    rank = {
        "most unusual": -score,
        "least unusual": score,
        "near the threshold": np.abs(score - at),
    }[str(order)]
    best = np.argsort(rank, kind="stable")[:480]
    ranked, flagged = rows[best], rows[best][score[best] > at]
    if heat and on:
        _scale(artifact, context, opacity)
    if data.modality == "table":
        unusual_values.ranked(artifact, context, ranked, at, context.key("ranked"))
    else:
        _pictures(artifact, context, ranked, flagged, opacity if on else 0.0)
    st.button(
        f"Select the {len(flagged):,} shown above the threshold",
        on_click=state.select,
        args=(np.sort(flagged), "above the threshold"),
        disabled=not len(flagged),
    )
    with st.container(border=True):
        threshold_bench.bench(artifact, context, rows)


def _scale(artifact: AnomalyMaps, context: Context, opacity: float) -> None:
    """The one heat scale of the pictures."""
    low, high = reach(str(context.ws.home), context.job.id, artifact.slug)
    bar, words = st.columns([1, 2], vertical_alignment="center")
    bar.image(colour_bar(low, high, opacity), width="stretch")
    words.caption(
        f"{text.number(low)} to {text.number(high)} {text.label(artifact.unit)}: one scale for"
        " all pictures of this run, clear below it."
        + (" Blue outline: the marked truth." if context.data.masks is not None else "")
    )


def _pictures(
    artifact: AnomalyMaps, context: Context, ranked: np.ndarray, flagged: np.ndarray, opacity: float
) -> None:
    """The gallery of the cases `ranked`, in pages, each with its score; `flagged` are marked."""
    data, key = context.data, context.key("ranked")
    pages = -(-len(ranked) // PAGE)
    now = st.session_state.get(f"{key}-page", 1) - 1 if pages > 1 else 0
    shown = ranked[now * PAGE : (now + 1) * PAGE]
    heat = artifact.map is not None and artifact.map.shape[1:] == data.shape[1:]
    told = slices_shown(artifact, data, shown) if heat and data.modality == "volume" else {}
    if told:
        st.caption(
            "Of each volume the hottest slice, its number after the score; press it to scroll"
            " through all of them."
        )
    images = None
    if render.is_drawable(data):
        images = overlays(artifact, context, shown, opacity, truth=True)
    score = np.asarray(artifact.score)[artifact.at(ranked)]
    marked = set(flagged.tolist())
    gallery(
        context,
        ranked,
        key,
        images=images,
        across=6,
        page_size=PAGE,
        captions=[f"{s:.3g}{told.get(int(r), '')}" for r, s in zip(ranked, score)],
        marked=lambda row: ":material/flag:" if row in marked else None,
    )
