"""Moving along latent axes: the start case, the decoded picture live, the difference, and how far
from anything real one has gone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.panels.gallery import thumbs
from app.state import Context
from core.artifacts import Embedding, Traversal
from core.errors import UserError
from core.explain import traversal
from core.imaging import render
from core.imaging.palette import GREY, OKABE_ITO, RED
from core.registry import open_model

TITLE = "Path"
KNOBS = 6  # sliders shown before "more"


@st.cache_resource(max_entries=4, show_spinner="Opening the model")
def opened(home: str, run: str) -> tuple[Any, Any]:
    """The fitted method of a run on the processor, and its embedding, None where it has none."""
    from core.artifacts import Model
    from core.jobs.run_folder import find_artifact

    model = open_model(find_artifact(state.workspace(), run, Model))
    try:
        return model, find_artifact(state.workspace(), run, Embedding)
    except UserError:
        return model, None


@st.cache_data(max_entries=16, show_spinner="Measuring what each latent axis does")
def effects(home: str, run: str) -> np.ndarray:
    return np.asarray(traversal.axis_effects(*opened(home, run)))


def draw_generated(frame: np.ndarray, context: Context, side: int = 320) -> np.ndarray:
    """A decoded input as a picture, marked GENERATED in its pixels."""
    return render.draw_generated(np.asarray(frame), context.data, side, look=state.look())


def gauge(percent: float) -> None:
    """How far from anything real: the step's distance to the nearest training case, as a percentile
    of the training cases' own distances.
    """
    st.progress(
        min(100, max(0, int(percent))) / 100,
        text=f"Distance to real cases: {traversal.describe_distance(percent)}.",
    )


def strip(path: Traversal, context: Context) -> None:
    """All frames of a path in a row, generated ones marked, with the axis value under each."""
    many = len(path.frames)
    for cell, frame, value in zip(st.columns(many, gap="small"), path.frames, path.value):
        with cell:
            if render.is_drawable(context.data):
                st.image(
                    draw_generated(frame, context, 110),
                    width="stretch",
                    alt=f"Generated, at {value:.2g}",
                )
            st.caption(f"{value:.2g}")
    if not render.is_drawable(context.data):
        table_path(path, context)


def values_table(
    context: Context, row: int, before: np.ndarray, now: np.ndarray, top: int = 40
) -> None:
    """A case of a table, its reconstruction, and what becomes of it at the place in latent space
    that is set: largest change first, in training standard deviations. `before`, `now`: float [d].
    """
    data = context.data
    sd = np.nanstd(data.reference.inputs(), axis=0)
    change = (np.asarray(now) - np.asarray(before)) / np.where(sd > 0, sd, 1)
    given = data.of(np.array([row])).raw()[0]
    moved = bool(np.abs(change).max() > 1e-6)
    off = np.abs(np.nan_to_num(np.asarray(before) - given)) / np.where(sd > 0, sd, 1)
    order = np.argsort(-(np.abs(change) if moved else off), kind="stable")[:top]
    st.dataframe(
        pd.DataFrame(
            {
                "column": [data.features[j] for j in order],
                "the case": ["missing" if np.isnan(given[j]) else f"{given[j]:.4g}" for j in order],
                "reconstruction": [f"{before[j]:.4g}" for j in order],
                "at this place": [f"{now[j]:.4g}" for j in order],
                "change": change[order],
            }
        ),
        hide_index=True,
        height=36 * min(len(order), 14) + 38,
        column_config={
            "change": st.column_config.NumberColumn(
                format="%+.2f SD", help="In standard deviations of the training cases"
            )
        },
    )
    if not moved:
        st.caption("Move an axis to see what changes with it.")


def table_path(path: Traversal, context: Context, top: int = 10) -> None:
    """For tables: the columns that change most along the path, in training standard deviations."""
    frames = np.asarray(path.frames)
    train = context.data.reference.inputs()
    sd = np.nanstd(train, axis=0)
    change = (frames - frames[:1]) / np.where(sd > 0, sd, 1)
    order = np.argsort(-np.abs(change).max(0))[:top]
    figure = go.Figure()
    for i, j in enumerate(order):
        figure.add_scatter(
            x=path.value,
            y=change[:, j],
            name=text.chart(context.data.features[j]),
            mode="lines+markers",
            marker={"symbol": i},
            line={"color": OKABE_ITO[i % len(OKABE_ITO)]},
        )
    figure.update_layout(
        height=320,
        yaxis_title="change (training standard deviations)",
        xaxis_title=text.chart(path.axis),
        margin={"t": 10, "b": 10},
    )
    st.plotly_chart(figure, key=f"path-{path.axis}", config={"displayModeBar": False})


def curves(path: Traversal, classes: list[str]) -> None:
    """Prediction and distance to real cases along the path."""
    figure = go.Figure()
    if path.output is not None:
        for j, name in enumerate(classes[:8]):
            figure.add_scatter(
                x=path.value,
                y=np.asarray(path.output)[:, j],
                name=f"predicted {text.chart(name, 20)}",
                mode="lines+markers",
                marker={"symbol": j},
            )
    if path.distance is not None:
        figure.add_scatter(
            x=path.value,
            y=np.asarray(path.distance) / 100,
            name="distance to real cases",
            line={"dash": "dot", "color": GREY},
        )
        figure.add_hrect(0.99, 1.0, fillcolor=RED, opacity=0.2, line_width=0)
    figure.update_layout(
        height=220,
        margin={"t": 10, "b": 10, "l": 10, "r": 10},
        yaxis={"range": [0, 1.02]},
        xaxis_title=text.chart(path.axis),
        showlegend=True,
        legend={"orientation": "h", "y": 1.25},
    )
    key = f"curves-{path.axis}-{len(path.value)}"
    st.plotly_chart(figure, key=key, config={"displayModeBar": False})


def real_cases(context: Context, rows: np.ndarray) -> None:
    """The nearest real cases beside a generated picture."""
    st.caption("Nearest real cases (these may be training cases):")
    names = context.data.of(rows).names()
    pics = (
        thumbs(context.data, rows, 240 if context.data.modality == "series" else 96)
        if render.is_drawable(context.data)
        else None
    )
    for i, cell in enumerate(st.columns(max(3, len(rows)))[: len(rows)]):
        with cell:
            if pics is not None:
                st.image(pics[i], width="stretch", alt=text.plain(names[i], 60))
            st.button(
                text.label(names[i], 12),
                key=f"real-{i}-{rows[i]}",
                on_click=state.look_at,
                args=(int(rows[i]),),
                type="tertiary",
            )


def show(artifact: Traversal, context: Context) -> None:
    """A stored path: its strip and its curves."""
    strip(artifact, context)
    curves(artifact, [])
