"""Predicted classes: who is taken for whom, and whether the probabilities are calibrated."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.state import Context
from core.artifacts import Predictions
from core.data.dataset import Dataset
from core.evaluate import held_out
from core.imaging.palette import CIVIDIS, GREY, OKABE_ITO
from core.stats.proportions import wilson

TITLE = "Predictions"


def fits(artifact: Predictions, data: Dataset) -> bool:
    """Probabilities of whole cases."""
    return artifact.prob is not None and artifact.prob.ndim == 2


def show(artifact: Predictions, context: Context) -> None:
    """Confusion of held-out cases (click a cell's button to select them) and the reliability
    curve.
    """
    assert artifact.prob is not None
    part, at = held_out(context.data, artifact.rows)
    part = text.part(part)
    whole = context.data.of(artifact.rows[at])
    names, prob = artifact.classes, np.asarray(artifact.prob[at])
    truth = np.array(
        [
            (
                names.index(context.data.classes[c])
                if c >= 0 and context.data.classes[c] in names
                else -1
            )
            for c in whole.labels
        ]
    )
    said, known = prob.argmax(1), truth >= 0
    if not known.any():
        st.caption("The held-out cases have none of these classes as labels.")
        return
    table = np.zeros((len(names), len(names)), int)
    np.add.at(table, (truth[known], said[known]), 1)
    shown = [text.chart(n, 18) for n in names]
    left, right = st.columns(2)
    figure = go.Figure(
        go.Heatmap(
            z=table,
            x=shown,
            y=shown,
            colorscale=CIVIDIS,
            text=table,
            texttemplate="%{text}",
            showscale=False,
        )
    )
    figure.update_layout(
        height=380,
        xaxis={"title": "predicted", "type": "category"},
        yaxis={"title": "true", "autorange": "reversed", "type": "category"},
        margin={"t": 10, "b": 10},
    )
    left.plotly_chart(
        figure, key=context.key(f"confusion-{artifact.slug}"), config={"displayModeBar": False}
    )
    wrong = artifact.rows[at][known & (said != truth)]
    left.button(
        f"Select the {len(wrong):,} wrong ones ({part})",
        on_click=state.select,
        args=(wrong, "predicted wrongly"),
        key=context.key(f"wrong-{artifact.slug}"),
    )
    sure, right_ = prob[known].max(1), said[known] == truth[known]
    place = np.minimum((sure * 10).astype(int), 9)
    bins = [b for b in range(10) if (place == b).sum()]
    curve = go.Figure()
    curve.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "color": GREY}, name="calibrated"
    )
    rates = [wilson(int(right_[place == b].sum()), int((place == b).sum())) for b in bins]
    value = np.array([r.value for r in rates], dtype=float)
    low = np.array([r.low for r in rates], dtype=float)
    high = np.array([r.high for r in rates], dtype=float)
    curve.add_scatter(
        x=[sure[place == b].mean() for b in bins],
        y=value,
        mode="markers",
        name="this model, 95 % interval",
        cliponaxis=False,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": high - value,
            "arrayminus": value - low,
        },
        marker={"size": [8 + 12 * (place == b).mean() for b in bins], "color": OKABE_ITO[1]},
        text=[f"{(place == b).sum()} cases" for b in bins],
    )
    curve.update_layout(
        height=380,
        xaxis={"title": "how sure it was", "range": [0, 1.02]},
        yaxis={"title": "how often it was right", "range": [0, 1.02]},
        margin={"t": 30, "b": 10},
        legend={"orientation": "h", "y": 1.12},
    )
    right.plotly_chart(
        curve, key=context.key(f"reliability-{artifact.slug}"), config={"displayModeBar": False}
    )
