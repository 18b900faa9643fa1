"""Conformal prediction sets: how many cases get one class, how often the truth is inside, and which
cases are ambiguous.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.panels.gallery import gallery
from app.state import Context
from core.artifacts import Predictions
from core.data.dataset import Dataset
from core.evaluate import held_out
from core.imaging.palette import ACCENT, AMBER, GREY, OKABE_ITO
from core.imaging.render import is_drawable
from core.stats.proportions import wilson

TITLE = "Prediction sets"


def fits(artifact: Predictions, data: Dataset) -> bool:
    """Predictions with sets of classes."""
    return artifact.sets is not None


def show(artifact: Predictions, context: Context) -> None:
    """The guarantee, the sizes of the sets (a pressed bar selects its cases), how often the truth
    is inside by class, and the ambiguous cases.
    """
    if artifact.sets is None:
        st.caption("These predictions are no sets of classes.")
        return
    part, at = held_out(context.data, artifact.rows)
    part = text.part(part)
    sets, rows = np.asarray(artifact.sets)[at], artifact.rows[at]
    size = sets.sum(1)
    if artifact.promise:
        st.markdown(f"**Coverage guarantee:** {text.label(artifact.promise, 300)}")
    truth = _truth(artifact, context.data, rows)
    known = truth >= 0
    left, right = st.columns(2)
    with left:
        _sizes(artifact, context, rows, size, part)
    with right:
        if known.any():
            _inside(artifact, context, sets[known], truth[known], part)
        else:
            st.caption(
                "The held-out cases have none of these classes as labels, so no one can say how"
                " often the truth is inside."
            )
    order = np.argsort(-size, kind="stable")
    still = rows[order][size[order] > 1]
    if not len(still):
        st.markdown(
            f"**Ambiguous cases** · none: each of the {len(rows):,} {part} cases has one class or"
            " none."
        )
        return
    st.markdown(
        f"**Ambiguous cases** · {len(still):,} of {len(rows):,} {part} cases have more than one"
        " class"
    )
    st.button(
        f"Select these {len(still):,}",
        on_click=state.select,
        args=(still, "more than one class"),
        key=context.key(f"open-{artifact.slug}"),
    )
    words = [
        " / ".join(text.plain(artifact.classes[j], 12) for j in np.flatnonzero(s))
        for s in sets[order][size[order] > 1]
    ]
    if is_drawable(context.data):
        gallery(context, still, context.key(f"open-gallery-{artifact.slug}"), captions=words)
    else:
        st.dataframe(
            context.data.of(still[:200]).shown.assign(answers=words[:200]), width="stretch"
        )


def _truth(artifact: Predictions, data: Dataset, rows: np.ndarray) -> np.ndarray:
    place = {c: i for i, c in enumerate(artifact.classes)}
    return np.array(
        [place.get(data.classes[c], -1) if c >= 0 else -1 for c in data.of(rows).labels]
    )


def _sizes(
    artifact: Predictions, context: Context, rows: np.ndarray, size: np.ndarray, part: str
) -> None:
    """A bar for each number of answers."""
    there = np.unique(size)
    names = {0: "none", 1: "one answer"} | {int(k): f"{int(k)} answers" for k in there if k > 1}
    figure = go.Figure(
        go.Bar(
            x=[names[int(k)] for k in there],
            y=[(size == k).mean() for k in there],
            customdata=[int(k) for k in there],
            marker_color=[ACCENT if k == 1 else AMBER for k in there],
            text=[f"{(size == k).sum():,}" for k in there],
            hovertemplate="%{x}: %{text} cases<extra></extra>",
        )
    )
    figure.update_layout(
        height=320,
        margin={"t": 30, "b": 10, "l": 10, "r": 10},
        yaxis={"tickformat": ".0%", "title": f"share of {part} cases"},
        title={"text": "How many answers a case gets", "font": {"size": 14}},
    )
    event = st.plotly_chart(
        figure,
        key=context.key(f"sizes-{artifact.slug}"),
        on_select="rerun",
        selection_mode="points",
        config={"displayModeBar": False},
    )
    points = event["selection"]["points"] if event else []
    if points:
        k = int(points[0]["customdata"])
        st.button(
            f"Select the {(size == k).sum():,} cases with {names[k]}",
            on_click=state.select,
            args=(rows[size == k], names[k]),
            key=context.key(f"size-{artifact.slug}-{k}"),
        )


def _inside(
    artifact: Predictions, context: Context, sets: np.ndarray, truth: np.ndarray, part: str
) -> None:
    """How often the truth is inside, for all and by class, each with its 95 % interval (Wilson),
    beside the guaranteed share.
    """
    hit = sets[np.arange(len(truth)), truth]
    groups = [
        ("all", np.ones(len(truth), bool)),
        *((artifact.classes[c], truth == c) for c in np.unique(truth)[:12]),
    ]
    figure = go.Figure()
    for i, (name, own) in enumerate(groups):
        bound = wilson(int(hit[own].sum()), int(own.sum()))
        low, high = bound.low or 0.0, bound.high or 1.0
        value = float(hit[own].mean())
        figure.add_scatter(
            x=[value],
            y=[f"{text.chart(name, 20)} ({own.sum():,})"],
            mode="markers",
            showlegend=False,
            marker={"size": 11, "color": OKABE_ITO[1 if i else 0]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - value],
                "arrayminus": [value - low],
            },
            hovertemplate=(
                f"{text.percent(value, 1)} ({text.percent(low, 1)} to {text.percent(high, 1)})"
                "<extra></extra>"
            ),
        )
    if artifact.coverage is not None:
        figure.add_vline(
            x=artifact.coverage,
            line={"dash": "dot", "color": GREY},
            annotation_text="guaranteed for a batch as a whole",
            annotation_position="top",
        )
    figure.update_layout(
        height=320,
        margin={"t": 30, "b": 10, "l": 10, "r": 10},
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
        xaxis={
            "range": [0, 1.02],
            "tickformat": ".0%",
            "title": f"share of {part} sets that hold the truth",
        },
        title={"text": "Coverage: how often the truth is inside", "font": {"size": 14}},
    )
    st.plotly_chart(
        figure, key=context.key(f"inside-{artifact.slug}"), config={"displayModeBar": False}
    )
