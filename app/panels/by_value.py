"""The mix of classes, sites or kinds in a run: which to look at, and how well the score does within
each.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import text
from app.panels import threshold
from app.state import Context
from app.views.metrics import dots
from core.artifacts import AnomalyMaps
from core.columns import Column
from core.explain.anomaly_by_value import ScoredCases, ValueFigures, compare_values

MOST = 12  # a column with more values is no mix of classes
ALL = "all cases"


def list_mixes(context: Context) -> list[Column]:
    """The columns of the data that part its cases into a few kinds, the label first."""
    left_out = {context.data.roles.get(role) for role in ("group", "split", "file")}
    return [
        c
        for c in context.columns.values()
        if c.source == "data"
        and c.kind == "category"
        and c.name not in left_out
        and 2 <= len({v for v in c.values if v is not None}) <= MOST
    ]


def choose(context: Context, cell: st.delta_generator.DeltaGenerator) -> np.ndarray:
    """A choice of one class, site or kind to look at; bool like `data.rows`, which cases have
    it. All of them where there is nothing to choose.
    """
    found = {
        f"{c.name}: {value}": (c, value)
        for c in list_mixes(context)
        for value in sorted({v for v in c.values if v is not None}, key=str)
    }
    every = np.ones(len(context.data.rows), bool)
    if not found:
        return every
    picked = cell.selectbox(
        "Look at",
        [ALL, *found],
        format_func=lambda w: text.plain(w, 60),
        key=context.key("look-at"),
        help="Only the cases of one class, site or kind; the threshold stays the same for all.",
    )
    if picked not in found:
        return every
    column, value = found[picked]
    return np.asarray(column.values == value, dtype=bool)


@st.cache_data(max_entries=64, show_spinner=False)
def _figures(
    home: str, run: str, slug: str, hash: str, column: str, at: float, _context: Context
) -> list[ValueFigures]:
    data, artifact = _context.data, _context.ws.artifact(run, slug)
    assert isinstance(artifact, AnomalyMaps)
    truth, _ = threshold.known(_context)
    assert truth is not None
    score = np.full(len(data.rows), np.nan)
    held = np.isin(data.rows, artifact.rows)
    score[held] = np.asarray(artifact.score)[artifact.at(data.rows[held])]
    judged = threshold.has_known_truth(_context, data.rows)
    cases = ScoredCases(score, truth, judged, data.splits, data.groups)
    return compare_values(cases, _context.columns[column].values, at)


def show(artifact: AnomalyMaps, context: Context) -> None:
    """What the run learned from and how well its score does, value by value of a chosen column;
    nothing where the truth is not known or there is no such column.
    """
    mixes = [c.name for c in list_mixes(context)]
    if threshold.known(context)[0] is None or not mixes:
        return
    with st.container(border=True):
        words, pick = st.columns([2, 1], vertical_alignment="center")
        words.markdown("**Each class, site or kind**: what it learned from, and how well it does")
        column = str(
            pick.selectbox(
                "By",
                mixes,
                format_func=lambda w: text.plain(w, 40),
                key=context.key("by-value"),
                label_visibility="collapsed",
            )
        )
        at = threshold.threshold_of(artifact, context)
        found = _figures(
            str(context.ws.home),
            context.job.id,
            artifact.slug,
            context.data.hash,
            column,
            at,
            context,
        )
        if not found:
            st.caption("No part of the data has normal and abnormal cases to count on.")
            return
        _draw(found, column, at, context)


def _draw(found: list[ValueFigures], column: str, at: float, context: Context) -> None:
    """The AUROC by value as dots with their intervals, and all figures as a table."""
    drawn = [f.auroc for f in found if f.auroc.value is not None]
    if drawn:
        st.plotly_chart(
            dots(drawn),
            key=context.key(f"by-value-{column}"),
            config={"displayModeBar": False},
        )
    part = {"test": "test", "val": "validation"}.get(found[0].auroc.split, "all")
    # a model applied to other data learned from none of them
    learns = any(f.trained for f in found)
    figures: dict[str, list[int] | list[str]] = {}
    if learns:
        figures["normal (train)"] = [f.trained for f in found]
    figures |= {
        f"normal ({part})": [f.normal for f in found],
        f"abnormal ({part})": [f.abnormal for f in found],
        "case AUROC": [text.measured(f.auroc) for f in found],
        "false alarms": [text.measured(f.alarms) for f in found],
        "note": [text.plain(f.auroc.note, 80) for f in found],
    }
    name = f"{column} (column)" if column in figures else column
    table = pd.DataFrame({name: [text.plain(f.value) for f in found]} | figures)
    st.dataframe(table, hide_index=True, width="stretch")
    patients = ", counted over patients" if context.data.groups is not None else ""
    none = [f.value for f in found if learns and f.normal and not f.trained]
    learned = (
        f" Of {', '.join(f'“{text.label(v, 30)}”' for v in none[:3])} no normal case was among the"
        " training cases."
        if none
        else ""
    )
    could = "Normal (train): normal cases it could learn from. " if learns else ""
    st.caption(
        f"{could}In brackets: 95 % intervals{patients}."
        f" False alarms: share of normal cases above the threshold, {at:.4g}; one threshold serves"
        f" all.{learned} Many values are looked at at once: one that stands out may do so by"
        " chance."
    )
