"""Whether maps can be trusted: for each way a badge a check, and how far ways agree."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app import text
from app.state import Context
from core.artifacts import Grid, Metric, Metrics
from core.explain.attribution import HOW
from core.explain.map_health import CHECKS, describe, state_of
from core.imaging.palette import CIVIDIS

MARKS = {
    "passes": ":green-badge[:material/check: passes]",
    "doubt": ":orange-badge[:material/warning: may not reflect the model]",
    "unknown": ":grey-badge[:material/help: not known]",
}
# agreement and localisation say nothing of whether the model is shown
SAID = {
    "agreement between ways": ":orange-badge[:material/warning: ways disagree]",
    "completeness gap": ":orange-badge[:material/warning: does not add up]",
    "localisation gain": ":orange-badge[:material/warning: no better than rivals]",
    "localisation of findings": ":orange-badge[:material/warning: not on the finding]",
}


ACROSS = 3  # badges side by side


def name_of(how: str) -> str:
    """A way of attribution in words."""
    return HOW.get(how, how).partition(":")[0]


def badge(metric: Metric) -> str:
    """The outcome of a check as a badge in markdown."""
    state = state_of(metric)
    return SAID.get(metric.name, MARKS[state]) if state == "doubt" else MARKS[state]


def figure_of(metric: Metric) -> str:
    """The value with interval and n, and on which side of our cut-off it should lie."""
    if metric.value is None:
        return ""
    check = CHECKS[metric.name]
    side = "above" if check.above else "below"
    return f"{text.measured(metric, n=True)}; wanted {side} {check.cut:g}"


def badges(metrics: Metrics, how: str) -> None:
    """The checks of one way, few in a row: name (meaning on hover), badge, figure, a sentence."""
    mine = {m.name: m for m in metrics if m.group == how}
    shown = [mine[name] for name in CHECKS if name in mine]
    if not shown:
        st.caption(text.label(f"{name_of(how)} was not among the ways that were checked.", 200))
        return
    across = len(shown) if len(shown) <= ACROSS + 1 else ACROSS  # narrower, words are cut
    cells = [c for _ in range(0, len(shown), across) for c in st.columns(across)]
    for cell, metric in zip(cells, shown):
        with cell.container(border=True):
            title = metric.name[0].upper() + metric.name[1:]
            st.markdown(f"**{text.explain(title)}**  \n{badge(metric)}")
            said = text.label(describe(metric), 300)
            more = text.label(metric.note, 200) if metric.value is not None else ""
            st.caption("  \n".join(w for w in (said, text.label(figure_of(metric)), more) if w))


def overview(metrics: Metrics, agreement: Grid, context: Context) -> None:
    """All ways beside each other, and the matrix of agreement as heat."""
    ways = list(dict.fromkeys(m.group for m in metrics))
    names = [name for name in CHECKS if any(m.name == name for m in metrics)]
    found = {(m.group, m.name): m for m in metrics}
    head, *cells = st.columns([1.7, *[1.6] * len(names)])
    head.markdown("**Way**")
    for cell, name in zip(cells, names):
        cell.caption(text.explain(name[0].upper() + name[1:]))
    for how in ways:
        head, *cells = st.columns([1.7, *[1.6] * len(names)])
        head.markdown(text.label(name_of(how)))
        for cell, name in zip(cells, names):
            one = found.get((how, name))
            if one is None:
                cell.caption("—")
            elif one.value is None:
                cell.markdown(badge(one), help=text.label(describe(one), 300))
            else:
                cell.markdown(
                    f"{badge(one)} {text.number(one.value)}",
                    help=f"{text.label(describe(one), 300)} {text.label(figure_of(one))}",
                )
    st.plotly_chart(
        heat(agreement),
        key=context.key("agreement-of-ways"),
        width="content",
        config={"displayModeBar": False},
    )
    st.caption(
        f"Over {len(metrics.rows):,} cases ({_parts(metrics.rows, context)}). The cut-offs are"
        " ours and have not been validated in reading; weights were made random once."
    )


def _parts(rows: np.ndarray, context: Context) -> str:
    """How many of the rows are of which part of the data."""
    splits = context.data.of(rows).splits.tolist()
    counts = {part: splits.count(part) for part in ("test", "val", "train")}
    return ", ".join(f"{n:,} {text.part(part).lower()}" for part, n in counts.items() if n)


def heat(agreement: Grid) -> go.Figure:
    """The matrix of agreement, values written on it."""
    names = [text.chart(name_of(h), 32) for h in agreement.x]
    value = np.asarray(agreement.value)
    figure = go.Figure(
        go.Heatmap(
            z=value,
            x=names,
            y=names,
            colorscale=CIVIDIS,
            zmin=0,
            zmax=1,
            text=np.where(np.isnan(value), "", np.char.mod("%.2f", np.nan_to_num(value))),
            texttemplate="%{text}",
            xgap=1,
            ygap=1,
            colorbar={"thickness": 12, "title": {"text": "agreement"}},
            hovertemplate="%{y}<br>%{x}<br>%{z:.2f}<extra></extra>",
        )
    )
    figure.update_layout(
        title={"text": "Do ways mark the same places?", "font": {"size": 14}},
        height=130 + 42 * len(names),
        width=640,
        yaxis={"autorange": "reversed", "automargin": True},
        xaxis={"automargin": True},
        margin={"t": 40, "b": 10},
    )
    return figure
