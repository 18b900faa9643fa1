"""A second map beside the first: another projection of the run, or another run of the same data.
What is selected on one is selected on both, and a point under the mouse is ringed on the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from app import navigation, progress, state, text
from app.components import latent_map as component
from app.panels import map as map_panel
from app.state import Context
from core.artifacts import Embedding, Map
from core.columns import Column
from core.errors import UserError
from core.jobs.run_folder import find_artifact
from core.maps.projections import AUTOMATIC, PROJECTIONS
from core.workspace.catalogue import Job

ALONE = "none"
HEIGHT = 460  # pixels: two maps beside each other are lower than one
RUNS = 20  # the newest runs that are offered


def draw(context: Context, made: Map, column: Column) -> bool:
    """Say how far `made` may be believed, ask for a map beside it, and draw both; False where it
    stands alone and is yet to be drawn.
    """
    words, cell = st.columns([3, 1], vertical_alignment="top")
    flat = made.xy.shape[1] == 2 and made.place is None and component.available()
    beside = _choose(context, made, cell) if flat else ALONE
    if beside == ALONE:
        words.caption(map_panel.reading(made), help=map_panel.explain(made))
        return False
    words.caption(
        "What is selected on one map is selected on both; the point under the mouse is ringed on"
        " the other."
    )
    left, right = st.columns(2)
    with left:
        st.caption(
            f"**{PROJECTIONS[made.how]}**. {map_panel.reading(made)}", help=map_panel.explain(made)
        )
        map_panel.draw(made, context, column, context.job.id, HEIGHT, linked=True)
    with right:
        _draw_other(context, column, beside)
    return True


def _choose(context: Context, made: Map, cell: Any) -> str:
    """Ask for the map to see beside `made`: `ALONE`, a projection's id, or a run's id."""
    names = {ALONE: "One map"}
    names |= {how: f"Beside it: {words}" for how, words in PROJECTIONS.items() if how != made.how}
    names |= {j.id: f"Beside it: {navigation.run_title(j)}" for j in _other_runs(context)}
    state.kept("map-beside", ALONE, list(names))
    return str(
        cell.selectbox(
            "Beside it",
            list(names),
            format_func=lambda of: text.plain(names[of]),
            key="w-map-beside",
            label_visibility="collapsed",
            on_change=state.keep,
            args=("map-beside",),
            help="Another projection of this run, or another run of the same data.",
        )
    )


def _draw_other(context: Context, column: Column, beside: str) -> None:
    how = beside if beside in PROJECTIONS else AUTOMATIC
    other = context if beside in PROJECTIONS else state.context_of(beside)
    job = progress.await_derived("map", {"how": how, "dims": 2}, other, "map-beside")
    if job is None:
        return
    made = context.ws.artifact(job.id, "map")
    assert isinstance(made, Map)
    of = "" if beside in PROJECTIONS else f"**{text.label(navigation.run_title(other.job))}**, "
    st.caption(f"{of}**{PROJECTIONS[made.how]}**. {map_panel.reading(made)}")
    map_panel.draw(made, context, column, f"{context.job.id}-beside", HEIGHT, linked=True)


def _other_runs(context: Context) -> list[Job]:
    """Finished runs on the open data, other than the open one, that place its cases."""
    found = []
    for job in context.ws.runs(context.data.name):
        if job.status != "done" or job.id == context.job.id:
            continue
        if _places(str(context.ws.home), job.id, context.data.hash):
            found.append(job)
        if len(found) == RUNS:
            break
    return found


@st.cache_data(max_entries=1024, show_spinner=False)
def _places(home: str, run: str, hash: str) -> bool:
    """Whether a run places cases of the open data, whose hash is `hash`; asked for every run
    whenever the page is drawn, and true or false for good.
    """
    try:
        space: Any = find_artifact(state.workspace(), run, Embedding)
    except UserError:
        return False
    data = state.dataset()
    assert data is not None
    return space.place is None and bool(np.isin(data.rows, space.rows).any())
