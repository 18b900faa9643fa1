"""What puts the case that is looked at where it lies on the map."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.navigation import page
from app.panels.inspector import nearest
from app.state import Context
from core.artifacts import Embedding, Map
from core.errors import UserError
from core.explain.explained_targets import NEIGHBOUR, PLACE
from core.explain.latent_place import explain_by_axes
from core.explain.map_place import Place, explain_place
from core.imaging.palette import ACCENT
from core.jobs.run_folder import find_artifact

COLUMNS, AXES = "columns", "latent axes"


def show(made: Map, context: Context) -> None:
    """The columns or latent axes that push the case in the inspector, with where to and how sure
    that is, how well it fits, and the ways to see it in the picture.
    """
    row = state.selection().primary
    if row is None or made.place is not None or made.xy.shape[1] != 2:
        return
    box = st.expander("What puts this case there", key=context.key("place"), on_change="rerun")
    if not box.open:  # only what is looked at is computed
        return
    with box:
        by = st.segmented_control(
            "Told by", [COLUMNS, AXES], default=COLUMNS, required=True, key=context.key("place-by")
        )
        if by == COLUMNS:
            _tell(explain_place(made, context.data, row), context, "column")
        else:
            try:
                space = find_artifact(context.ws, context.job.id, Embedding)
                _tell(explain_by_axes(made, space, context.data, row), context, "axis")
            except UserError as e:
                st.caption(text.label(str(e), 300))
        _ways(made, context, row)


def _tell(found: Place, context: Context, word: str) -> None:
    if found.why:
        st.caption(text.label(found.why, 300))
        return
    _bars(found, context, word)
    st.dataframe(
        pd.DataFrame(
            {
                word: [text.plain(p.column) for p in found.pushes],
                "this case": [text.plain(p.value) for p in found.pushes],
                "usual around it": [text.plain(p.usual) for p in found.pushes],
                "pushes it": [p.direction for p in found.pushes],
                "by": [f"{100 * p.size:.1f} % of the map" for p in found.pushes],
            }
        ),
        hide_index=True,
    )
    fit = text.interval(found.fit, found.low, found.high)
    st.caption(
        f"A linear surrogate of the {found.n:,} cases around it; it foretells the places of"
        f" cases left out with R² = {fit}. Bars: 95 % interval over patients. Directions are those"
        f" of this map and mean nothing by themselves; one {word} may stand for what goes with it."
    )


def _bars(found: Place, context: Context, word: str) -> None:
    """How far each pushes, with its interval."""
    pushes = found.pushes
    known = all(p.low is not None for p in pushes)
    error = None
    if known:
        error = {
            "type": "data",
            "symmetric": False,
            "array": [100 * max(0.0, (p.high or 0.0) - p.size) for p in pushes],
            "arrayminus": [100 * max(0.0, p.size - (p.low or 0.0)) for p in pushes],
        }
    figure = go.Figure()
    figure.add_bar(
        x=[100 * p.size for p in pushes],
        y=[f"{text.chart(p.column, 34)} ({p.direction})" for p in pushes],
        orientation="h",
        marker={"color": ACCENT},
        error_x=error,
    )
    figure.update_layout(
        height=90 + 30 * len(pushes),
        margin={"t": 5, "b": 5, "l": 5, "r": 5},
        xaxis={"title": "push, % of the map", "zeroline": True},
        yaxis={"autorange": "reversed", "automargin": True, "type": "category"},
    )
    key = context.key(f"place-bars-{word}")
    st.plotly_chart(figure, key=key, config={"displayModeBar": False})


def _ways(made: Map, context: Context, row: int) -> None:
    """To Rationales: what in the input puts it there, and makes it like its nearest case."""
    if context.data.modality == "text":
        return
    where = "columns" if context.data.modality == "table" else "picture"
    with st.container(horizontal=True):
        if st.button(
            f"Show it in the {where}",
            icon=":material/image_search:",
            key=context.key("place-heat"),
            help="What in the input puts the case there, through the model and this map",
        ):
            drawn = context.ws.catalogue.jobs(on_run=context.job.id, kind="map", status="done")
            same = [job.id for job in drawn if job.spec == made.made_by.params]
            state.set_value("asked-target", PLACE)
            state.set_value("asked-map", same[-1] if same else "")
            st.switch_page(page("rationales"))
        near = nearest(context, row, 1)
        if near and st.button(
            "Why it is like its nearest case",
            icon=":material/compare_arrows:",
            key=context.key("place-near"),
            help="What in the input makes the model find them similar",
        ):
            state.set_value("asked-target", NEIGHBOUR)
            state.set_value("asked-neighbour", near[0])
            st.switch_page(page("rationales"))
