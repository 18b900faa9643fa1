"""The map as Plotly figures: in three dimensions, or where the map's component cannot draw."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.components import latent_map as component
from app.state import Context
from core.artifacts import Map
from core.columns import Column, map_points
from core.data.dataset import Dataset
from core.imaging.palette import CIVIDIS, NONE, SYMBOLS, category_colours

HEIGHT = 540


def encode_column(column: Column, at: np.ndarray) -> tuple[np.ndarray, list[str], list[str], str]:
    """(codes or amounts, names, palette, kind) of the cases at positions `at`; missing is a grey
    class of its own.
    """
    if column.kind == "amount":
        return column.values[at].astype(float), [], [], "amount"
    code, names = column.codes()
    code = code[at]
    if (code < 0).any():
        code = np.where(code < 0, len(names), code)
        return (
            code.astype(float),
            [*names, "missing"],
            [*category_colours(len(names)), NONE],
            "category",
        )
    return code.astype(float), names, category_colours(len(names)), "category"


def scale_points(made: Map) -> tuple[np.ndarray, np.ndarray | None]:
    """The places of a map, and of the cases beside them, in the component's space."""
    if made.beside is None:
        return component.unit(np.asarray(made.xy)), None
    both = component.unit(np.concatenate([np.asarray(made.xy), np.asarray(made.beside)]))
    return both[: len(made.xy)], both[len(made.xy) :]


def name_points(made: Map, data: Dataset) -> list[str]:
    """What each point is: the name of its case, and for a slice which of how many."""
    names = data.of(made.rows).names()
    if made.place is None:
        return [text.plain(n, 36) for n in names]
    return [
        f"{text.plain(n, 30)}, slice {k + 1}/{data.shape[1]}" for n, k in zip(names, made.place)
    ]


def figure(made: Map, context: Context, column: Column) -> go.Figure:
    """The map as a Plotly figure, one trace a class with its own symbol, or one with a colour
    bar.
    """
    code, names, palette, kind = encode_column(column, map_points(column, context.data, made))
    three = made.xy.shape[1] == 3
    make = go.Scatter3d if three else go.Scattergl
    xyz = dict(zip("xyz", np.asarray(made.xy, dtype=np.float32).T))
    size = 2.5 if three else 4
    drawn = go.Figure()
    if made.beside is not None:
        under = dict(zip("xyz", np.asarray(made.beside, dtype=np.float32).T))
        drawn.add_trace(
            make(
                **under,
                mode="markers",
                name="learned from",
                marker={"size": size, "color": NONE, "opacity": 0.35},
                hoverinfo="skip",
            )
        )
    if kind == "amount":
        drawn.add_trace(
            make(
                **xyz,
                mode="markers",
                marker={"size": size, "color": code, "colorscale": CIVIDIS, "showscale": True},
                hoverinfo="skip",
            )
        )
    for j, name in enumerate(names):
        part = {k: v[code == j] for k, v in xyz.items()}
        symbol = ("circle", "square", "diamond", "cross", "x")[j % 5] if three else SYMBOLS[j % 8]
        drawn.add_trace(
            make(
                **part,
                mode="markers",
                name=text.chart(name, 24),
                marker={"size": size, "color": palette[j], "symbol": symbol},
                hoverinfo="name",
            )
        )
    drawn.update_layout(
        height=HEIGHT,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        scene={"aspectmode": "data"},
        legend={"itemsizing": "constant"},
    )
    drawn.update_xaxes(visible=False)
    drawn.update_yaxes(visible=False, scaleanchor="x")
    return drawn


def draw_in_3d(made: Map, context: Context, column: Column, key: str) -> None:
    st.plotly_chart(figure(made, context, column), key=f"three-{key}")
    st.caption("Turn it by dragging. To select, use the two-dimensional map or “select by rule”.")


def draw_with_plotly(
    made: Map,
    xy: np.ndarray,
    under: np.ndarray | None,
    code: np.ndarray,
    names: list[str],
    palette: list[str],
    kind: str,
    chosen: np.ndarray,
    key: str,
) -> None:
    st.caption(
        ":material/info: The fast map is not built here (run `make component`); this plain one"
        " selects up to 20,000 cases."
    )
    marker = {
        "size": 5,
        "color": code if kind == "amount" else [palette[int(c)] for c in code],
        "colorscale": CIVIDIS,
    }
    drawn = go.Figure(
        go.Scattergl(
            x=xy[:, 0],
            y=xy[:, 1],
            mode="markers",
            marker=marker,
            selectedpoints=np.flatnonzero(chosen) if chosen.any() else None,
        )
    )
    if under is not None:
        drawn.add_trace(
            go.Scattergl(
                x=under[:, 0],
                y=under[:, 1],
                mode="markers",
                marker={"size": 4, "color": NONE, "opacity": 0.35},
                hoverinfo="skip",
            )
        )
        drawn.data = drawn.data[::-1]
    drawn.update_layout(
        height=HEIGHT, margin={"l": 0, "r": 0, "t": 0, "b": 0}, dragmode="lasso", showlegend=False
    )
    if len(xy) > 20_000:
        st.plotly_chart(drawn, key=f"plain-{key}")
        return
    event = st.plotly_chart(
        drawn, key=f"plain-{key}", on_select="rerun", selection_mode=("points", "lasso", "box")
    )
    picked = event.get("selection", {}).get("point_indices", []) if event else []
    if picked and picked != st.session_state.get(f"seen-{key}"):
        st.session_state[f"seen-{key}"] = picked
        state.select(np.unique(np.asarray(made.rows)[picked]), "outline on the map")
        st.rerun()
