"""Cases of a table in the order of their anomaly score, each with the values that are unusual in
it: the score alone says nothing of why.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import state, text
from app.state import Context
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.explain.unusual_values import UnusualValue, find_unusual_values

NAMED = 2  # values named of each case
PAGE = 20
ROW, HEAD = 35, 40  # pixels


@st.cache_data(max_entries=64, show_spinner=False)
def _values(
    home: str, name: str, hash: str, run: str, only: str, rows: tuple[int, ...], top: int
) -> list[list[UnusualValue]]:
    context = state.context_of(run)
    return find_unusual_values(context.data, _reference(context), np.array(rows), top)


def _reference(context: Context) -> Dataset:
    """The cases the run learned from: training cases, of the normal class where only they count."""
    known = context.data.reference
    only = context.job.spec.get("only_normal")
    if not only or only not in known.classes:
        return known
    normal = known.take(np.flatnonzero(known.labels == known.classes.index(only)))
    return normal if len(normal) else known


def values_of(context: Context, rows: np.ndarray, top: int = NAMED) -> list[list[UnusualValue]]:
    """What `find_unusual_values` finds in `rows` against the cases the run learned from; cached."""
    data = context.data
    only = str(context.job.spec.get("only_normal") or "")
    places = tuple(int(r) for r in rows)
    home = str(context.ws.home)
    return _values(home, data.name, data.hash, context.job.id, only, places, top)


def ranked(
    artifact: AnomalyMaps, context: Context, rows: np.ndarray, threshold: float, key: str
) -> None:
    """The cases `rows` in their order as a list, `PAGE` at a time; a press on a line puts the case
    into the inspector.
    """
    data = context.data
    pages = -(-len(rows) // PAGE)
    at = st.pagination(pages, key=f"{key}-page") - 1 if pages > 1 else 0
    shown = rows[at * PAGE : (at + 1) * PAGE]
    score = np.asarray(artifact.score, dtype=float)
    own = score[artifact.at(shown)]
    columns: dict[str, list[str] | np.ndarray] = {
        "flagged": ["⚑" if s > threshold else "" for s in own],
        "case": [text.plain(n, 40).removeprefix("row ") for n in data.of(shown).names()],
        "score": own,
    }
    patients = data.of(shown).groups
    if patients is not None:
        columns["patient"] = [text.plain(g or "", 24) for g in patients]
    if data.classes:
        label = data.of(shown).labels
        columns["label"] = [data.classes[j] if j >= 0 else "" for j in label]
    found = values_of(context, shown)
    nothing = "only their combination"
    for i in range(NAMED):
        said = [str(v[i]) if i < len(v) else "" for v in found]
        if i == 0:
            said = [words or nothing for words in said]
        columns[("most unusual value", "next")[i]] = said
    table_key = f"{key}-list-{at}"
    st.dataframe(
        pd.DataFrame(columns),
        key=table_key,
        hide_index=True,
        width="stretch",
        height=HEAD + ROW * len(shown),
        on_select=lambda: _look(table_key, shown),
        selection_mode="single-cell",
        column_config={
            "flagged": st.column_config.TextColumn("", width=30, help="Above the threshold"),
            "case": st.column_config.TextColumn(width=60),
            "patient": st.column_config.TextColumn(width=75),
            "label": st.column_config.TextColumn(width=85),
            "score": st.column_config.ProgressColumn(
                min_value=min(0.0, float(score.min())),
                max_value=float(np.quantile(score, 0.998)) or 1.0,
                format="%.3g",
                width=95,
                help="Anomaly score: higher = more unusual",
            ),
        },
    )
    n = len(_reference(context))
    st.caption(
        f"Each value by itself against the {n:,} cases this run learned from; named are those that"
        " at most 1 in 10 cases reach. The score looks at all values together. Press a line to look"
        " at its case."
    )


def of_case(context: Context, row: int) -> None:
    """The most unusual values of one case, or that none is by itself."""
    found = values_of(context, np.array([row]), 5)[0]
    if not found:
        st.caption("No single value of this case is unusual by itself.")
        return
    lines = [f"**{text.label(v.column, 24)} {text.label(v.value, 16)}**: {v.words}" for v in found]
    st.markdown("Most unusual values  \n" + "  \n".join(lines))


def _look(table_key: str, shown: np.ndarray) -> None:
    cells = st.session_state[table_key]["selection"]["cells"]
    if cells and cells[0][0] < len(shown):
        state.look_at(int(shown[cells[0][0]]))
