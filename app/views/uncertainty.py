"""Where a model doubts its own answer: the most doubtful cases first, with the doubt laid over, on
one scale for all.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from app.panels.gallery import gallery
from app.panels.heat import OPACITY, colour_bar, overlays, reach
from app.state import Context
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.imaging import render

TITLE = "Doubt"
PAGE = 12


def fits(artifact: AnomalyMaps, data: Dataset) -> bool:
    """Maps and scores that speak of the model, not of the case."""
    return artifact.shows == "doubt"


def show(artifact: AnomalyMaps, context: Context) -> None:
    """Cases by doubt; bright is where to look before the answer is believed."""
    data, slug = context.data, artifact.slug
    splits = [s for s in ("test", "val", "train") if (data.splits == s).any()]
    left, right = st.columns([3, 3], vertical_alignment="bottom")
    part = left.segmented_control(
        "Cases of",
        [*splits, "all"],
        default=splits[0],
        key=context.key(f"doubt-part-{slug}"),
        required=True,
        help="test: never seen in training",
    )
    order = right.selectbox(
        "First", ["most doubtful", "least doubtful"], key=context.key(f"doubt-order-{slug}")
    )
    rows = data.rows if part == "all" else data.part(str(part)).rows
    rows = rows[np.isin(rows, artifact.rows)]
    if not len(rows):
        st.caption("None of these cases was looked at.")
        return
    score = np.asarray(artifact.score)[artifact.at(rows)]
    by = np.argsort(-score if order == "most doubtful" else score, kind="stable")
    rows, score = rows[by], score[by]
    images, key = None, context.key(f"doubt-{slug}")
    if artifact.map is not None and data.modality == "image":
        low, high = reach(str(context.ws.home), context.job.id, slug)
        bar, words = st.columns([1, 2], vertical_alignment="center")
        bar.image(
            colour_bar(low, high, OPACITY), width="stretch", alt="Colours of doubt, low to high"
        )
        words.caption(
            f"{text.number(low)} to {text.number(high)}, {text.label(artifact.unit, 60)}: one scale"
            " for all pictures of this run."
        )
        now = st.session_state.get(f"{key}-page", 1) - 1 if len(rows) > PAGE else 0
        images = overlays(artifact, context, rows[now * PAGE : (now + 1) * PAGE])
    gallery(
        context,
        rows,
        key,
        images=images if render.is_drawable(data) else None,
        across=6,
        page_size=PAGE,
        captions=[text.figures(s) for s in score],
    )
    most = (
        rows[: max(1, len(rows) // 10)]
        if order == "most doubtful"
        else rows[-max(1, len(rows) // 10) :]
    )
    st.button(
        f"Select the most doubtful tenth ({len(most):,})",
        on_click=state.select,
        args=(most, "most doubtful"),
        key=context.key(f"doubt-pick-{slug}"),
    )
