"""What puts the case that is looked at where it lies on the map."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from app import state, text
from app.state import Context
from core.artifacts import Map
from core.explain.map_place import explain_place


def show(made: Map, context: Context) -> None:
    """The columns that push the case in the inspector, with where to, and how well that fits."""
    row = state.selection().primary
    if row is None or made.place is not None or made.xy.shape[1] != 2:
        return
    box = st.expander("What puts this case there", key=context.key("place"), on_change="rerun")
    if not box.open:  # only what is looked at is computed
        return
    with box:
        found = explain_place(made, context.data, row)
        if found.why:
            st.caption(text.label(found.why, 300))
            return
        st.dataframe(
            pd.DataFrame(
                {
                    "column": [text.plain(p.column) for p in found.pushes],
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
            f" cases left out with R² = {fit}. Directions are those of this map and mean nothing by"
            " themselves; a column may stand for what goes with it."
        )
