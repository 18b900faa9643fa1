"""Measured numbers with their intervals, as dots and as a table."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import text
from app.palette import OKABE_ITO
from app.state import Context
from core.artifacts import Metrics
from core.registry import measures

TITLE = "Measured"


def show(artifact: Metrics, context: Context) -> None:
    """Dots with 95 % intervals for shares between 0 and 1, then everything as a table."""
    metrics = list(artifact)
    shares = [m for m in metrics if m.value is not None and 0 <= m.value <= 1 and m.low is not None and m.group == "all"]
    if shares:
        figure = go.Figure()
        for i, split in enumerate(dict.fromkeys(m.split for m in shares)):
            part = [m for m in shares if m.split == split]
            figure.add_scatter(
                x=[m.value for m in part], y=[text.chart(m.name, 44) for m in part], mode="markers", name=split, marker={"size": 10, "symbol": i, "color": OKABE_ITO[i]},
                error_x={"type": "data", "symmetric": False, "array": [m.high - m.value for m in part], "arrayminus": [m.value - m.low for m in part]},
            )  # fmt: skip
        figure.update_layout(height=90 + 26 * len({m.name for m in shares}), xaxis={"range": [0, 1.02], "title": "value with its 95 % interval"},
                             margin={"l": 10, "r": 10, "t": 10, "b": 10}, yaxis={"autorange": "reversed", "automargin": True})  # fmt: skip
        st.plotly_chart(figure, key=context.key(f"metrics-{artifact.slug}"), config={"displayModeBar": False})
    st.dataframe(table(artifact), hide_index=True, width="stretch")
    with st.expander("What do these mean?"):
        for one in measures().values():
            st.markdown(f"**{one.title}** · {one.help}")


def table(artifact: Metrics) -> pd.DataFrame:
    """The metrics in words, one line each."""
    better = {True: "higher", False: "lower", None: ""}
    return pd.DataFrame([
        {"measure": m.name, "value": text.interval(m.value, m.low, m.high), "of": m.split, "group": m.group, "cases": m.n, "better": better[m.higher_is_better],
         "note": m.note} for m in artifact
    ])  # fmt: skip
