"""How often each value of a column occurs among two sets of cases, side by side."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from app import text
from core.columns import Column
from core.imaging.palette import ACCENT, AMBER

BINS = 20
MOST = 20  # words of a category


def paired_chart(
    column: Column, rows: np.ndarray, sides: dict[str, np.ndarray], height: int = 220
) -> go.Figure:
    """Shares of each of two sets, name -> row ids, by the values of a column over `rows`."""
    drawn = go.Figure()
    within = {name: np.isin(rows, ids) for name, ids in sides.items()}
    looks = zip(within.items(), (AMBER, ACCENT), ("", "/"))  # not told apart by colour alone
    if column.kind == "amount":
        there = np.isfinite(column.values)
        of_any = there & np.logical_or.reduce(list(within.values()))
        edges = np.histogram_bin_edges(column.values[of_any], BINS)
        x = (edges[1:] + edges[:-1]) / 2
    else:
        code, words = column.codes()
        x = [text.chart(w, 20) for w in words[:MOST]]
        drawn.update_xaxes(type="category")
    for (name, side), colour, pattern in looks:
        if column.kind == "amount":
            count, _ = np.histogram(column.values[there & side], edges)
        else:
            count = np.bincount(code[side & (code >= 0)], minlength=len(words))
        drawn.add_bar(
            x=x,
            y=(count / max(1, count.sum()))[: len(x)],
            name=f"{name} (n = {count.sum():,})",
            marker={"color": colour, "pattern": {"shape": pattern}},
        )
    drawn.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        yaxis={"title": "share", "tickformat": ".0%"},
        legend={"orientation": "h", "y": 1.15},
    )
    return drawn
