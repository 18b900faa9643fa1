"""How much of each picture a run hid from its network, normal beside abnormal cases: where all is
hidden, or nothing, the run cannot find much.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.panels import threshold
from app.state import Context
from core.columns import HIDDEN
from core.imaging.palette import NONE, OKABE_ITO, RED

BINS = 30


def fits(context: Context) -> bool:
    """Whether the run itself hid some of each picture, not the same of all."""
    return HIDDEN in context.columns


def kinds(context: Context, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Which of `rows` are known normal, known abnormal and neither: bool like `rows`, by name; all
    of them as “cases” where the truth is not known.
    """
    truth, _ = threshold.known(context)
    if truth is None:
        return {"cases": np.ones(len(rows), bool)}
    ill = truth[np.searchsorted(context.data.rows, rows)]
    sure = threshold.has_known_truth(context, rows)
    found = {"known normal": sure & ~ill, "known abnormal": sure & ill}
    return found if sure.all() else found | {"not known": ~sure}


def show(context: Context) -> None:
    """The histogram, the case looked at as a line, and the most and least hidden to select."""
    data, share = context.data, context.columns[HIDDEN].values
    with st.container(border=True):
        words, pick = st.columns([2, 1], vertical_alignment="center")
        words.markdown("**How much was hidden** of each picture before it was filled in again")
        parts = [s for s in ("test", "val", "train") if (data.splits == s).any()]
        part = "all"
        if parts:
            part = str(
                pick.segmented_control(
                    "Cases",
                    [*parts, "all"],
                    default=parts[0],
                    key=context.key("hidden-part"),
                    required=True,
                    label_visibility="collapsed",
                )
            )
        use = np.isfinite(share) & ((data.splits == part) | (part == "all"))
        rows, share = data.rows[use], share[use]
        if not len(rows):
            st.caption("None of these cases was looked at by the run.")
            return
        found = kinds(context, rows)
        case = state.selection().primary
        own = share[rows == case] if case is not None else share[:0]
        st.plotly_chart(
            draw_histogram(share, found, float(own[0]) if len(own) else None),
            key=context.key("hidden-histogram"),
            config={"displayModeBar": False},
        )
        line = f"Line: the case looked at, {text.percent(own[0], 1)}. " if len(own) else ""
        st.caption(line + describe(share, found))
        left, right, _ = st.columns([1, 1, 1])
        many = min(20, len(rows))
        order = np.argsort(share, kind="stable")
        for cell, which, at in (
            (left, "most", order[::-1][:many]),
            (right, "least", order[:many]),
        ):
            cell.button(
                f"Select the {many} {which} hidden",
                key=context.key(f"hidden-{which}"),
                on_click=state.select,
                args=(np.sort(rows[at]), f"{which} hidden"),
                width="stretch",
            )


def draw_histogram(share: np.ndarray, found: dict[str, np.ndarray], own: float | None) -> go.Figure:
    """Cases by the share hidden, stacked by what is known of them; `own` as a line."""
    low, high = float(share.min()), float(share.max())
    edges = np.linspace(max(0.0, low - 0.01), min(1.0, high + 0.01), BINS + 1)
    figure = go.Figure()
    looks = {"known abnormal": (OKABE_ITO[0], "/"), "not known": (NONE, "")}
    for name, mask in found.items():
        colour, shape = looks.get(name, (OKABE_ITO[1], ""))
        count, _ = np.histogram(share[mask], edges)
        figure.add_bar(
            x=100 * (edges[1:] + edges[:-1]) / 2,
            y=count,
            name=name,
            marker={"color": colour, "pattern": {"shape": shape}},
            width=100 * np.diff(edges),
            hovertemplate="%{x:.1f} % hidden: %{y} cases<extra>%{fullData.name}</extra>",
        )
    if own is not None:
        figure.add_vline(100 * own, line={"color": RED, "width": 3})
    figure.update_layout(
        barmode="stack",
        height=250,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        bargap=0.02,
        legend={"orientation": "h", "y": 1.25},
        xaxis={"title": "% of the picture hidden", "tickformat": "~r", "nticks": 10},
        yaxis_title="cases",
    )
    return figure


def describe(share: np.ndarray, found: dict[str, np.ndarray]) -> str:
    """The middle half of each kind in words, and what that means."""
    said = []
    for name, mask in found.items():
        if mask.any():
            low, middle, high = np.quantile(share[mask], [0.25, 0.5, 0.75])
            n = f"n = {int(mask.sum()):,}"
            said.append(
                f"{text.label(name)} {text.percent(middle)}"
                f" ({text.percent(low)} to {text.percent(high)}, {n})"
            )
    return (
        f"Median share hidden, in brackets that of the middle half: {'; '.join(said)}. What is not"
        " hidden may be copied, so a mark there is missed; what is hidden is shown as blocks and"
        " filled in, so where much is hidden, detail is lost in normal pictures too. The map can be"
        f" coloured by “{HIDDEN}”."
    )
