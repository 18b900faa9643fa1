"""Measured numbers with what lies about them, as dots and as a table."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import text
from app.components import download
from app.state import Context
from core.artifacts import Metric, Metrics
from core.artifacts.tables import KINDS
from core.cards import load_card
from core.export import SAFE, safe_csv
from core.imaging.palette import NONE, OKABE_ITO
from core.registry import measures

TITLE = "Measured"


def show(artifact: Metrics, context: Context) -> None:
    """Dots of the shares between 0 and 1 with what lies about them, then everything as a table."""
    metrics = list(artifact)
    shares = [
        m
        for m in metrics
        if m.value is not None
        and 0 <= m.value <= 1
        and (m.low is not None or m.units)
        and m.varied is None
    ]
    if shares:
        st.plotly_chart(
            dots(shares),
            key=context.key(f"metrics-{artifact.slug}"),
            config={"displayModeBar": False},
        )
        if any(m.low is None for m in shares):
            st.caption("Hollow: no interval; the note in the table says why.")
    _sweeps(metrics, artifact.slug, context)
    st.dataframe(table(artifact), hide_index=True, width="stretch")
    download.button(
        st,
        "Figures as CSV",
        lambda: safe_csv(pd.DataFrame(artifact.table)),
        f"{artifact.slug}.csv",
        "text/csv",
        key=context.key(f"csv-{artifact.slug}"),
        icon=":material/download:",
        help=SAFE,
        what=f"run {context.job.id}: figures",
    )
    with st.expander("What do these mean?"):
        about = load_card(context.job.method)
        if about:
            st.markdown(
                f"**{text.label(about.title)}** ·"
                f" {text.explain(text.label(about.sections.get('How to read it', ''), 1200))}"
            )
        given = {slug.partition("-")[0] for slug in context.ws.slugs(context.job.id)}
        for one in measures().values():
            if {kind.__name__.lower() for kind in one.takes} <= given:
                st.markdown(text.explain(f"**{one.title}** · {one.help}"))


def dots(shares: list[Metric]) -> go.Figure:
    """A dot a metric with value in [0, 1], by part; 95 % intervals as bars, ranges and guaranteed
    bounds as thin grey ones, hollow without any.
    """
    first = {name: i for i, name in enumerate(dict.fromkeys(m.name for m in shares))}
    # one figure of several models stands together
    shares = sorted(shares, key=lambda m: first[m.name])
    called = {
        id(m): text.chart(m.name if m.group == "all" else f"{m.name} · {m.group}", 60)
        for m in shares
    }
    figure = go.Figure()
    kinds = list(dict.fromkeys((m.split, m.kind if m.low is not None else None) for m in shares))
    splits = list(dict.fromkeys(m.split for m in shares))
    for split, kind in kinds:
        part = [
            m for m in shares if (m.split, m.kind if m.low is not None else None) == (split, kind)
        ]
        place = splits.index(split)
        about = "no interval" if kind is None else KINDS[kind]
        sure = kind == "interval"
        colour = OKABE_ITO[place % len(OKABE_ITO)]
        bars = {
            "type": "data",
            "symmetric": False,
            "array": [_above(m) for m in part],
            "arrayminus": [_below(m) for m in part],
        }
        look = {"thickness": 2, "width": 4} if sure else {"thickness": 1, "width": 0, "color": NONE}
        figure.add_scatter(
            x=[m.value for m in part],
            y=[called[id(m)] for m in part],
            mode="markers",
            name=text.part(split) if sure else f"{text.part(split)}, {about}",
            marker={
                "size": 10,
                "symbol": place if kind is not None else 100 + place,
                "color": colour,
            },
            error_x=bars | look if kind is not None else None,
            hovertext=[text.chart(m.note, 120) for m in part],
        )
    drawn = [KINDS[k] for k in dict.fromkeys(k for _, k in kinds if k is not None)]
    figure.update_layout(
        height=90 + 26 * len(set(called.values())),
        xaxis={
            "range": [0, 1.02],
            "title": f"value with its {' or '.join(drawn)}" if drawn else "value",
        },
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        yaxis={
            "autorange": "reversed",
            "automargin": True,
            "categoryarray": list(dict.fromkeys(called.values())),
        },
        showlegend=True,
    )
    return figure


def _above(m: Metric) -> float:
    return 0.0 if m.high is None or m.value is None else m.high - m.value


def _below(m: Metric) -> float:
    return 0.0 if m.low is None or m.value is None else m.value - m.low


def _sweeps(metrics: list[Metric], slug: str, context: Context) -> None:
    """Measures taken at several values of one quantity, as curves with their band."""
    found: dict[tuple[str, str], list[tuple[float, Metric]]] = {}
    for m in metrics:
        if m.varied is not None and m.value is not None:
            found.setdefault((m.name, m.varied[0]), []).append((m.varied[1], m))
    curves = [
        (name, varied, sorted(points, key=lambda p: p[0]))
        for (name, varied), points in found.items()
        if len(points) > 1
    ]
    across = min(3, len(curves))
    row: list[DeltaGenerator] = []
    for i, (name, varied, points) in enumerate(curves):
        row = row if i % across else list(st.columns(across))
        x = [p[0] for p in points]
        figure = go.Figure()
        if all(m.low is not None for _, m in points):
            figure.add_scatter(
                x=[*x, *x[::-1]],
                y=[*(m.high for _, m in points), *(m.low for _, m in points[::-1])],
                fill="toself",
                mode="none",
                fillcolor="rgba(86,180,233,.25)",
                hoverinfo="skip",
            )
        figure.add_scatter(
            x=x, y=[m.value for _, m in points], mode="lines+markers", line={"color": OKABE_ITO[1]}
        )
        ticks = {"tickvals": x, "tickformat": "~r"} if len(x) <= 8 else {}
        figure.update_layout(
            height=240,
            showlegend=False,
            xaxis={"title": text.chart(varied, 30), **ticks},
            title={"text": text.chart(name, 40), "font": {"size": 14}},
            margin={"l": 10, "r": 10, "t": 34, "b": 10},
        )
        row[i % across].plotly_chart(
            figure, key=context.key(f"sweep-{slug}-{name}"), config={"displayModeBar": False}
        )


def table(artifact: Metrics) -> pd.DataFrame:
    """The metrics in words, one line each."""
    better = {True: "higher", False: "lower", None: ""}
    lines = []
    for m in artifact:
        spread = KINDS[m.kind] if m.low is not None else ""
        lines.append(
            {
                "measure": m.name,
                "value": text.measured(m),
                "in brackets": spread,
                "of": text.part(m.split),
                "group": m.group,
                "cases": m.n,
            }
            | {
                "patients": m.units if m.units and m.units != m.n else None,
                "better": better[m.higher_is_better],
                "note": m.note,
            }
        )
    return pd.DataFrame(lines)
