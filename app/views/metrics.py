"""Measured numbers with their intervals, as dots and as a table."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import text
from app.palette import OKABE_ITO
from app.state import Context
from core.artifacts import Metric, Metrics
from core.cards import card
from core.export import SAFE, csv
from core.registry import measures

TITLE = "Measured"


def show(artifact: Metrics, context: Context) -> None:
    """Dots with 95 % intervals for shares between 0 and 1, then everything as a table."""
    metrics = list(artifact)
    shares = [m for m in metrics if m.value is not None and 0 <= m.value <= 1 and m.low is not None and m.varied is None]
    first = {name: i for i, name in enumerate(dict.fromkeys(m.name for m in shares))}
    shares.sort(key=lambda m: first[m.name])  # one figure of several models stands together
    called = {id(m): m.name if m.group == "all" else f"{m.name} · {m.group}" for m in shares}
    if shares:
        figure = go.Figure()
        for i, split in enumerate(dict.fromkeys(m.split for m in shares)):
            part = [m for m in shares if m.split == split]
            figure.add_scatter(
                x=[m.value for m in part], y=[text.chart(called[id(m)], 60) for m in part], mode="markers", name=text.part(split), marker={"size": 10, "symbol": i, "color": OKABE_ITO[i]},
                error_x={"type": "data", "symmetric": False, "array": [m.high - m.value for m in part], "arrayminus": [m.value - m.low for m in part]},
            )  # fmt: skip
        figure.update_layout(height=90 + 26 * len(set(called.values())), xaxis={"range": [0, 1.02], "title": "value with its 95 % interval"},
                             margin={"l": 10, "r": 10, "t": 10, "b": 10}, yaxis={"autorange": "reversed", "automargin": True, "categoryarray": list(dict.fromkeys(text.chart(w, 60) for w in called.values()))})  # fmt: skip
        st.plotly_chart(figure, key=context.key(f"metrics-{artifact.slug}"), config={"displayModeBar": False})
    _sweeps(metrics, artifact.slug, context)
    st.dataframe(table(artifact), hide_index=True, width="stretch")
    st.download_button("Figures as CSV", lambda: csv(pd.DataFrame(artifact.table)), f"{artifact.slug}.csv", "text/csv", key=context.key(f"csv-{artifact.slug}"),
                       icon=":material/download:", help=SAFE)  # fmt: skip
    with st.expander("What do these mean?"):
        about = card(context.job.method)
        if about:
            st.markdown(f"**{text.label(about.title)}** · {text.label(about.sections.get('How to read it', ''), 1200)}")
        given = {slug.partition("-")[0] for slug in context.ws.slugs(context.job.id)}
        for one in measures().values():
            if {kind.__name__.lower() for kind in one.takes} <= given:
                st.markdown(f"**{one.title}** · {one.help}")


def _sweeps(metrics: list[Metric], slug: str, context: Context) -> None:
    """Measures taken at several values of one quantity, as curves with their band."""
    found: dict[tuple[str, str], list[tuple[float, Metric]]] = {}
    for m in metrics:
        if m.varied is not None and m.value is not None:
            found.setdefault((m.name, m.varied[0]), []).append((m.varied[1], m))
    curves = [(name, varied, sorted(points, key=lambda p: p[0])) for (name, varied), points in found.items() if len(points) > 1]
    across, row = min(3, len(curves)), []
    for i, (name, varied, points) in enumerate(curves):
        row = row if i % across else st.columns(across)
        x = [p[0] for p in points]
        figure = go.Figure()
        if all(m.low is not None for _, m in points):
            figure.add_scatter(x=[*x, *x[::-1]], y=[*(m.high for _, m in points), *(m.low for _, m in points[::-1])], fill="toself", mode="none", fillcolor="rgba(86,180,233,.25)", hoverinfo="skip")
        figure.add_scatter(x=x, y=[m.value for _, m in points], mode="lines+markers", line={"color": OKABE_ITO[1]})
        ticks = {"tickvals": x, "tickformat": "~r"} if len(x) <= 8 else {}
        figure.update_layout(height=240, showlegend=False, xaxis={"title": text.chart(varied, 30), **ticks}, title={"text": text.chart(name, 40), "font": {"size": 14}}, margin={"l": 10, "r": 10, "t": 34, "b": 10})
        row[i % across].plotly_chart(figure, key=context.key(f"sweep-{slug}-{name}"), config={"displayModeBar": False})


def table(artifact: Metrics) -> pd.DataFrame:
    """The metrics in words, one line each."""
    better = {True: "higher", False: "lower", None: ""}
    return pd.DataFrame([
        {"measure": m.name, "value": text.interval(m.value, m.low, m.high), "of": text.part(m.split), "group": m.group, "cases": m.n, "better": better[m.higher_is_better],
         "note": m.note} for m in artifact
    ])  # fmt: skip
