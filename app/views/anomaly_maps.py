"""Unusual cases in the order of their anomaly score: pictures with heat laid over, on one scale for
all; cases of a table with the values that are unusual in them.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.panels import by_value, failures, heat, threshold, threshold_bench, unusual_values
from app.panels.gallery import gallery
from app.state import Context
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.imaging import render

TITLE = "Unusual cases"
PAGE = 18  # pictures shown at once


def fits(artifact: AnomalyMaps, data: Dataset) -> bool:
    """Scores that speak of the case, not of the model's doubt."""
    return artifact.shows != "doubt"


def show(artifact: AnomalyMaps, context: Context) -> None:
    """The cases in the order of their score, and the threshold."""
    data = context.data
    splits = [s for s in ("test", "val", "train") if (data.splits == s).any()]
    controls = st.container(key="controls-anomalies")
    top = controls.columns([2.7, 2, 1.3, 1.5], vertical_alignment="bottom")
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
    style: heat.Style = "none"
    opacity = 0.0
    if heat.has_heat(artifact, data):
        style, opacity = heat.choose(context, top[2:])
    rows = data.rows if part == "all" else data.part(str(part)).rows
    below = controls.columns([2.7, 2, 2.8], vertical_alignment="bottom")
    rows = rows[np.isin(rows, data.rows[by_value.choose(context, below[0])])]
    chosen = state.selection()
    if len(chosen) and below[1].checkbox(
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
    if style != "none":
        heat.scale(artifact, context, opacity, style, at)
    if data.modality == "table":
        unusual_values.ranked(artifact, context, ranked, at, context.key("ranked"))
    else:
        _pictures(artifact, context, ranked, flagged, style, opacity, at)
    st.button(
        f"Select the {len(flagged):,} shown above the threshold",
        on_click=state.select,
        args=(np.sort(flagged), "above the threshold"),
        disabled=not len(flagged),
    )
    with st.container(border=True):
        threshold_bench.bench(artifact, context, rows)
    failures.show(artifact, context, style, opacity)
    by_value.show(artifact, context)


def _pictures(
    artifact: AnomalyMaps,
    context: Context,
    ranked: np.ndarray,
    flagged: np.ndarray,
    style: heat.Style,
    opacity: float,
    at: float,
) -> None:
    """The gallery of the cases `ranked`, in pages, each with its score; `flagged`, those above
    `at`, are marked.
    """
    data, key = context.data, context.key("ranked")
    pages = -(-len(ranked) // PAGE)
    now = st.session_state.get(f"{key}-page", 1) - 1 if pages > 1 else 0
    shown = ranked[now * PAGE : (now + 1) * PAGE]
    volumes = heat.has_heat(artifact, data) and data.modality == "volume"
    told = heat.slices_shown(artifact, data, shown) if volumes else {}
    if told:
        st.caption(
            "Of each volume the hottest slice, its number after the score; press it to scroll"
            " through all of them."
        )
    images = None
    if render.is_drawable(data):
        images = heat.overlays(artifact, context, shown, opacity, style, at)
    score = np.asarray(artifact.score)[artifact.at(ranked)]
    marked = set(flagged.tolist())
    gallery(
        context,
        ranked,
        key,
        images=images,
        across=6,
        page_size=PAGE,
        captions=[f"{text.figures(s)}{told.get(int(r), '')}" for r, s in zip(ranked, score)],
        marked=lambda row: ":material/flag:" if row in marked else None,
    )
