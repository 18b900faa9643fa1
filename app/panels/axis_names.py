"""What the axes of a latent space are called: by people, else by the column or picture measure each
follows; and where names are given.
"""

from __future__ import annotations

import copy

import pandas as pd
import streamlit as st

from app import state, text
from app.components import allowed
from app.state import Context
from app.views.traversal import opened
from core.artifacts import Embedding
from core.explain.axis_names import AxisName, kept_names
from core.workspace import notes


@st.cache_data(max_entries=16, show_spinner="Looking for what each latent axis follows")
def followed(home: str, run: str) -> list[AxisName | None]:
    """What each axis of the open run follows; empty for sparse features, which have names."""
    embedding = opened(home, run)[1]
    if embedding is None or embedding.geometry == "sparse":
        return []
    return kept_names(embedding, state.context_of(run).data)


def with_names(context: Context, embedding: Embedding) -> Embedding:
    """The same embedding, its axes called as people call them, else by what they follow."""
    given = notes.load_axis_names(context.ws, context.job.id)
    known = followed(str(context.ws.home), context.job.id)
    if not given and not any(known):
        return embedding
    found = copy.copy(embedding)
    found.axes = [_title(embedding, j, known, given) for j in range(embedding.z.shape[1])]
    return found


def _title(
    embedding: Embedding, axis: int, known: list[AxisName | None], given: dict[int, str]
) -> str:
    own = embedding.axes[axis] if embedding.axes else f"axis {axis + 1}"
    follows = known[axis] if axis < len(known) else None
    if axis in given:
        return f"{given[axis]} ({own})"
    if follows is None:
        return own
    if follows.of:
        return f"{own}: {follows.column} = {follows.of}"
    if follows.statistic != "ρ":
        return f"{own}: differs by {follows.column}"
    return f"{own}: {follows.column} {'falls' if follows.value < 0 else 'rises'}"


def show(context: Context) -> None:
    """The list of axes with what they follow, and a form to name one."""
    embedding = opened(str(context.ws.home), context.job.id)[1]
    known = followed(str(context.ws.home), context.job.id)
    given = notes.load_axis_names(context.ws, context.job.id)
    if not known:
        return
    there = [f for f in known if f is not None]
    with st.expander(f"What the axes follow ({len(there)} of {len(known)})"):
        if there:
            st.dataframe(
                pd.DataFrame(
                    {
                        "axis": [f.axis + 1 for f in there],
                        "called": [text.plain(given.get(f.axis, "")) for f in there],
                        "follows": [text.plain(f.words, 120) for f in there],
                        "q": ["< 0.0001" if f.q < 1e-4 else f"{f.q:.2g}" for f in there],
                    }
                ),
                hide_index=True,
            )
            st.caption(
                "The column was chosen on training cases and measured on held-out ones; q: share of"
                " false findings to expect over all axes and columns. An axis also follows what"
                " goes with a column: this is what it follows, not what it means. Looked for when"
                " the run was trained; labels changed since then are not in it."
            )
        else:
            st.caption("No axis follows a known column or picture measure beyond chance.")
        left, middle, right, last = st.columns([2, 3, 1, 1], vertical_alignment="bottom")
        axis = left.selectbox(
            "Axis",
            range(len(known)),
            format_func=lambda j: text.plain(_title(embedding, j, known, given)),
            key=context.key("axis-to-name"),
        )
        name = middle.text_input(
            "Its name",
            given.get(axis, ""),
            max_chars=60,
            key=context.key(f"axis-name-{axis}"),
            placeholder="empty: none",
        )
        locked = allowed.lock("annotate")
        if right.button("Name it", key=context.key("name-axis"), width="stretch", **locked):
            state.attempt(notes.name_axis, context.ws, context.job.id, axis, name)
            st.rerun()
        if last.button("Undo", key=context.key("undo-axis"), width="stretch", **locked):
            state.attempt(notes.undo_axis_name, context.ws, context.job.id)
            st.rerun()
