"""How far each case lies from those the model learned from: counts, the distances, the furthest."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.panels.gallery import gallery
from app.state import Context
from core.artifacts import Scope
from core.imaging.palette import AMBER, NONE, RED
from core.training.scope import USUAL, count_inside

TITLE = "Like the training data?"
COLOURS = (NONE, AMBER, RED)
ICONS = (":material/check:", ":orange[:material/visibility:]", ":red[:material/front_hand:]")
PAGE = 12
BIN = 0.1  # width of a bar, in usual distances


def show(artifact: Scope, context: Context) -> None:
    """One sentence, a bar of the three levels, the histogram, and the furthest cases first."""
    levels, distance = artifact.levels, np.asarray(artifact.distance, dtype=float)
    counts = np.bincount(levels, minlength=3)
    st.markdown(describe(artifact, context.data.of(artifact.rows).groups))
    for column, icon, word, many, level in zip(
        st.columns(3), ICONS, Scope.LEVELS, counts, range(3)
    ):
        with column:
            st.markdown(f"{icon} **{many:,}** {word}")
            rows = artifact.rows[levels == level]
            st.button(
                "Select them",
                key=context.key(f"scope-{level}"),
                disabled=not many,
                on_click=state.select,
                args=(rows, f"cases {word}"),
                width="stretch",
            )
    _histogram(artifact, distance, context)
    order = np.argsort(-distance, kind="stable")
    rows = np.asarray(artifact.rows)[order]
    st.markdown("**The furthest first**")
    captions = [f"{d:.2f} ×" for d in distance[order]]
    gallery(context, rows, context.key("scope"), captions=captions, across=6, page_size=PAGE)


def describe(scope: Scope, groups: np.ndarray | None) -> str:
    """In plain words, whether the model is at home with these cases.

    `groups` [n]: the patient of each case, or None where each case stands for itself.
    """
    n = len(scope.rows)
    if not n:
        return "There are no cases."
    rate = count_inside(scope, groups)
    inside = int((scope.levels == 0).sum())
    share = (
        f"{inside:,} of {n:,} cases lie where its training cases lie (95 of 100 would be usual)."
    )
    if rate.high is None:
        return f"{share} They come from too few patients to say whether that is fewer than usual."
    if rate.high >= USUAL:
        return f"{ICONS[0]} **The model knows cases like these.** {share}"
    if rate.high >= 0.8:
        return (
            f"{ICONS[1]} **More of these cases than usual differ from those the model learned"
            f" from.** {share} What it says of cases at the edge or beyond is less certain."
        )
    return (
        f"{ICONS[2]} **Much of this data is unlike what the model learned from.** {share} "
        "What it says here has not been tested on anything like it."
    )


def _histogram(artifact: Scope, distance: np.ndarray, context: Context) -> None:
    figure = go.Figure()
    top = round(max(2.0, 2 * artifact.outside), 1)
    edges = np.linspace(0, top, round(top / BIN) + 1)
    shown = np.minimum(distance, top - BIN / 2)
    for level, word in enumerate(Scope.LEVELS):
        counts, _ = np.histogram(shown[artifact.levels == level], edges)
        figure.add_bar(
            x=(edges[1:] + edges[:-1])[counts > 0] / 2,
            y=counts[counts > 0],
            width=BIN,
            name=word,
            marker={"color": COLOURS[level], "pattern": {"shape": ("", "/", "x")[level]}},
        )
    figure.add_vline(x=1, line={"dash": "dash"}, annotation_text="usual edge")
    figure.update_layout(
        barmode="stack",
        height=260,
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        xaxis={
            "title": f"distance to the nearest training cases ({top:g} and more at the end)",
            "range": [0, top],
        },
        yaxis_title="cases",
        legend={"orientation": "h", "y": -0.35},
        bargap=0.02,
    )
    st.plotly_chart(figure, key=context.key("scope-bars"), config={"displayModeBar": False})
    st.caption(text.label(f"Distance in the model's latent space; {artifact.rule}.", 300))
