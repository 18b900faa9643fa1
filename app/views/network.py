"""A network of groups joined by cases: who is taken for whom, as a picture whose lines can be
pressed, and as a table ordered by community.
"""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.state import Context
from core.artifacts import Network
from core.imaging.palette import ACCENT, BLACK, CIVIDIS, GREY, WHITE, category_colours

TITLE = "Network"
MOST = 60  # lines drawn, the strongest first


def show(artifact: Network, context: Context) -> None:
    """The network beside its table; a pressed line selects its cases."""
    counts = artifact.counts
    rate = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    pairs = [(int(i), int(j)) for i, j in np.argwhere(counts > 0) if i != j]
    if not pairs:
        st.caption("No case leads from one group to another.")
        return
    pairs.sort(key=lambda p: -rate[p])
    group = artifact.community or [0] * len(artifact.names)
    colours = category_colours(max(group) + 1)
    st.caption(
        f"An arrow from A to B: cases of A that were {artifact.link} B, thicker for a larger share"
        f" of A. Groups of one colour are mostly {artifact.link} each other. Press the dot on an"
        " arrow, or a cell, to select its cases."
    )
    left, right = st.columns([5, 4])
    with left:
        event = st.plotly_chart(
            _picture(artifact, counts, rate, pairs[:MOST], group, colours),
            key=context.key(f"network-{artifact.slug}"),
            on_select="rerun",
            selection_mode="points",
            config={"displayModeBar": False},
        )
        if len(pairs) > MOST:
            st.caption(
                f"The {MOST} strongest of {len(pairs):,} arrows are drawn; the table has them all."
            )
    with right:
        order = sorted(range(len(artifact.names)), key=lambda j: (group[j], -counts[j].sum()))
        cell = st.plotly_chart(
            _table(artifact, counts, rate, order),
            key=context.key(f"matrix-{artifact.slug}"),
            on_select="rerun",
            selection_mode="points",
            config={"displayModeBar": False},
        )
    pressed = _pressed(event, cell, order)
    if pressed is not None and pressed != st.session_state.get(context.key("pair")):
        st.session_state[context.key("pair")] = pressed
    chosen = st.session_state.get(context.key("pair"))
    names = {
        p: (
            f"{text.plain(artifact.names[p[0]], 30)} → {text.plain(artifact.names[p[1]], 30)}"
            f" ({counts[p]:,})"
        )
        for p in pairs
    }
    at = pairs.index(chosen) if chosen in pairs else 0
    picked = st.selectbox(
        "Look at one pair",
        pairs,
        index=at,
        format_func=names.__getitem__,
        key=context.key(f"pick-{artifact.slug}-{at}"),
    )
    rows = artifact.cases(*picked)
    back = int(counts[picked[1], picked[0]])
    st.markdown(
        f"**{counts[picked]:,}** of {counts[picked[0]].sum():,} cases of"
        f" {text.label(artifact.names[picked[0]], 40)} were {artifact.link}"
        f" {text.label(artifact.names[picked[1]], 40)}; the other way round: {back:,}."
    )
    if note := artifact.pair_notes.get(f"{picked[0]}-{picked[1]}"):
        st.caption(text.label(note, 200))
    st.button(
        f"Select these {len(rows):,} cases",
        key=context.key(f"select-pair-{artifact.slug}"),
        type="primary",
        on_click=state.select,
        args=(rows, names[picked]),
    )
    st.dataframe(
        context.data.of(rows[:200]).shown, width="stretch", height=min(300, 40 + 35 * len(rows))
    )


def _pressed(event: object, cell: object, order: list[int]) -> tuple[int, int] | None:
    """The pair whose dot or cell was pressed last, if any."""
    points = getattr(event, "selection", {}).get("points", []) if event else []
    if points and points[0].get("customdata"):
        i, j = points[0]["customdata"][:2]
        return (int(i), int(j)) if j >= 0 else None
    points = getattr(cell, "selection", {}).get("points", []) if cell else []
    if points and points[0].get("customdata"):
        i, j = points[0]["customdata"][:2]
        return (int(i), int(j)) if i != j else None
    return None


def _picture(
    artifact: Network,
    counts: np.ndarray,
    rate: np.ndarray,
    pairs: list[tuple[int, int]],
    group: list[int],
    colours: list[str],
) -> go.Figure:
    """Nodes sized by their cases; each line bends to its right, so that both directions can be
    seen, with a dot to press.
    """
    k = len(artifact.names)
    angle = np.linspace(0, 2 * np.pi, k, endpoint=False)
    xy = (
        np.asarray(artifact.xy, float)
        if artifact.xy is not None
        else np.stack([np.cos(angle), np.sin(angle)], 1)
    )
    figure = go.Figure()
    dots = []
    for i, j in pairs:
        a, b = xy[i], xy[j]
        across = np.array([-(b - a)[1], (b - a)[0]])
        middle = (a + b) / 2 + 0.14 * across
        t = np.linspace(0, 1, 24)[:, None]
        curve = (1 - t) ** 2 * a + 2 * t * (1 - t) * middle + t**2 * b
        figure.add_scatter(
            x=curve[:, 0],
            y=curve[:, 1],
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            line={"width": 1 + 9 * rate[i, j], "color": colours[group[i]]},
            opacity=0.35 + 0.5 * float(rate[i, j]),
        )
        tip, before = curve[19], curve[16]
        figure.add_annotation(
            x=tip[0],
            y=tip[1],
            ax=before[0],
            ay=before[1],
            xref="x",
            yref="y",
            axref="x",
            ayref="y",
            showarrow=True,
            arrowhead=2,
            arrowsize=1.2,
            arrowwidth=1.5,
            arrowcolor=colours[group[i]],
            text="",
        )
        dots.append((curve[10], i, j))
    figure.add_scatter(
        x=[d[0][0] for d in dots],
        y=[d[0][1] for d in dots],
        mode="markers",
        showlegend=False,
        marker={
            "size": 11,
            "color": [colours[group[i]] for _, i, _ in dots],
            "line": {"width": 1, "color": WHITE},
        },
        customdata=[[i, j] for _, i, j in dots],
        hovertemplate="%{text}<extra></extra>",
        text=[
            f"{counts[i, j]:,} of {counts[i].sum():,} cases of"
            f" {text.chart(artifact.names[i], 30)}<br>{artifact.link}"
            f" {text.chart(artifact.names[j], 30)} ({text.percent(rate[i, j])})"
            for _, i, j in dots
        ],
    )
    size = counts.sum(1)
    figure.add_scatter(
        x=xy[:, 0],
        y=xy[:, 1],
        mode="markers+text",
        showlegend=False,
        text=[text.chart(n, 18) for n in artifact.names],
        textposition="top center",
        textfont={"size": 14},
        marker={
            "size": 16 + 28 * np.sqrt(size / max(size.max(), 1)),
            "color": [colours[g] for g in group],
            "line": {"width": 2, "color": ACCENT},
        },
        customdata=[[j, -1] for j in range(k)],
        hovertext=[
            f"{text.chart(name, 40)}<br>{text.chart(note, 80)}"
            for name, note in zip_longest(artifact.names, artifact.notes, fillvalue="")
        ],
        hoverinfo="text",
    )
    figure.update_layout(
        height=520,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        dragmode="pan",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    for axis in (figure.update_xaxes, figure.update_yaxes):
        axis(visible=False, range=[float(xy.min()) - 0.25, float(xy.max()) + 0.25])
    return figure


def _table(artifact: Network, counts: np.ndarray, rate: np.ndarray, order: list[int]) -> go.Figure:
    shown = [text.chart(artifact.names[j], 16) for j in order]
    part = rate[np.ix_(order, order)]
    pairs = [[[order[i], order[j]] for j in range(len(order))] for i in range(len(order))]
    y, x = np.mgrid[: len(order), : len(order)]
    figure = go.Figure(
        go.Heatmap(
            z=part,
            x=list(range(len(order))),
            y=list(range(len(order))),
            colorscale=CIVIDIS,
            zmin=0,
            hoverinfo="skip",
            showscale=False,
        )
    )
    at = np.ix_(order, order)
    figure.add_scatter(
        x=x.ravel(),
        y=y.ravel(),
        mode="markers+text",
        showlegend=False,
        marker={"size": 22, "symbol": "square", "opacity": 0.01, "color": GREY},
        text=[str(v) if v else "" for v in counts[at].ravel()],
        textfont={
            "size": 10,
            "color": [WHITE if v < 0.5 else BLACK for v in (part / max(part.max(), 1e-9)).ravel()],
        },
        customdata=[p for line in pairs for p in line],
        hovertemplate="%{hovertext}<extra></extra>",
        hovertext=[
            f"{text.chart(artifact.names[i], 30)} {artifact.link}"
            f" {text.chart(artifact.names[j], 30)}: {counts[i, j]:,} ({text.percent(rate[i, j])})"
            for line in pairs
            for i, j in line
        ],
    )
    ticks = {"tickvals": list(range(len(order))), "ticktext": shown}
    figure.update_layout(
        height=520,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        xaxis={"title": artifact.link, "automargin": True, **ticks},
        yaxis={"title": "is truly", "autorange": "reversed", "automargin": True, **ticks},
    )
    return figure
