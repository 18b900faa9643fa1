"""Values over two named axes (layer by step, class by site) as a heat grid, and the curves that
belong to it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import text
from app.components import download
from app.state import Context
from core.artifacts import Grid
from core.export import SAFE, safe_csv
from core.imaging.palette import CIVIDIS, OKABE_ITO, PALE, RED, category_colours

TITLE = "Grid"
SIGNED = [[0.0, OKABE_ITO[4]], [0.5, PALE], [1.0, RED]]  # below nothing, nothing, above
BARS = 25  # rows shown as bars when the second axis is one step


def show(artifact: Grid, context: Context) -> None:
    """The heat grid (a bar chart where one axis has one entry) with values on it where there is
    room; below it the paths, if any.
    """
    value = np.asarray(artifact.value)
    name = artifact.name.replace("-", " ") or artifact.unit
    st.markdown(
        f"**{text.label(name[:1].upper() + name[1:], 80)}** · {text.label(artifact.unit, 120)}"
    )
    if value.shape[1] == 1:
        figure = go.Figure(
            go.Bar(
                x=value[:BARS, 0],
                y=[text.chart(v, 40) for v in artifact.y[:BARS]],
                orientation="h",
                marker_color=OKABE_ITO[1],
            )
        )
        figure.update_layout(
            height=80 + 24 * min(BARS, len(artifact.y)),
            yaxis={"autorange": "reversed", "automargin": True},
            xaxis_title=text.chart(artifact.unit, 60),
            margin={"t": 10, "b": 10},
        )
    else:
        roomy = value.size <= 200
        # below and above nothing are two colours
        signed = artifact.low is None and np.nanmin(value, initial=0) < 0 < np.nanmax(
            value, initial=0
        )
        reach = float(np.nanmax(np.abs(value), initial=0)) or 1.0
        low, high = (-reach, reach) if signed else (artifact.low, artifact.high)
        figure = go.Figure(
            go.Heatmap(
                z=value,
                x=[text.chart(v, 32) for v in artifact.x],
                y=[text.chart(v, 32) for v in artifact.y],
                colorscale=SIGNED if signed else CIVIDIS,
                zmin=low,
                zmax=high,
                text=(
                    np.where(np.isnan(value), "", np.char.mod("%.2f", np.nan_to_num(value)))
                    if roomy
                    else None
                ),
                texttemplate="%{text}" if roomy else None,
                xgap=1,
                ygap=1,
                colorbar={"thickness": 12},
                hovertemplate=(
                    f"{text.chart(artifact.y_title, 30)}"
                    f" %{{y}}<br>{text.chart(artifact.x_title, 30)}"
                    " %{x}<br>%{z:.3f}<extra></extra>"
                ),
            )
        )
        figure.update_layout(
            height=int(np.clip(110 + 30 * len(artifact.y), 220, 900)),
            xaxis={"title": text.chart(artifact.x_title, 60), "type": "category"},
            yaxis={
                "title": text.chart(artifact.y_title, 60),
                "autorange": "reversed",
                "automargin": True,
                "type": "category",
            },
            margin={"t": 10, "b": 10},
        )
    st.plotly_chart(
        figure, key=context.key(f"grid-{artifact.slug}"), config={"displayModeBar": False}
    )
    frame = pd.DataFrame(value, columns=[text.plain(v) for v in artifact.x])
    frame.insert(
        0, artifact.y_title or "row", [text.plain(v) for v in artifact.y], allow_duplicates=True
    )
    download.button(
        st,
        "Values as CSV",
        lambda: safe_csv(frame),
        f"{artifact.slug}.csv",
        "text/csv",
        key=context.key(f"csv-{artifact.slug}"),
        icon=":material/download:",
        help=SAFE,
        what=f"run {context.job.id}: values",
    )
    if artifact.paths:
        _paths(artifact, context)


def _paths(artifact: Grid, context: Context) -> None:
    """Each path from its first point (open) to its last (filled)."""
    groups = list(dict.fromkeys(str(p.get("group", p["name"])) for p in artifact.paths))
    colours = dict(zip(groups, category_colours(len(groups))))
    figure = go.Figure()
    for p in artifact.paths:
        colour = colours[str(p.get("group", p["name"]))]
        steps = len(p["x"])
        figure.add_scatter(
            x=p["x"],
            y=p["y"],
            mode="lines+markers",
            name=text.chart(p["name"], 24),
            line={"color": colour, "width": 2},
            marker={
                "size": [7] * (steps - 1) + [14],
                "symbol": ["circle-open"] + ["circle"] * (steps - 1),
                "color": colour,
            },
            text=[
                f"{text.chart(artifact.x_title, 20)}"
                f" {text.chart(artifact.x[i], 16) if i < len(artifact.x) else i}"
                for i in range(steps)
            ],
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
        )
    figure.update_layout(
        height=420,
        margin={"t": 10, "b": 10},
        xaxis_title="first component",
        yaxis_title="second component",
    )
    st.caption(
        "Each path: where the middle of a group lies along the way, from its open point to its"
        " large one. Paths that part early are told apart early."
    )
    st.plotly_chart(
        figure, key=context.key(f"paths-{artifact.slug}"), config={"displayModeBar": False}
    )
