"""The hot areas of one case as a table: size, heat and place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from app import state, text
from app.panels import heat
from app.state import Context
from core.artifacts import AnomalyMaps, Lesions
from core.data.geometry import case_geometry
from core.explain.components import Component, find_components
from core.imaging.contours import contour_levels


@st.cache_data(max_entries=256, show_spinner=False)
def _found(
    home: str, run: str, slug: str, hash: str, row: int, side: str
) -> tuple[list[Component], str]:
    context = state.context_of(run)
    artifact = context.ws.artifact(run, slug)
    assert isinstance(artifact, AnomalyMaps)
    assert artifact.map is not None
    values = np.asarray(artifact.map[artifact.at(np.array([row]))[0]], dtype=np.float32)
    unit = text.label(artifact.unit, 40)
    if artifact.pixel_threshold is not None:
        above = artifact.marked(values[None])[0]
        words = f"above {text.number(artifact.pixel_threshold)} {unit}, the method’s threshold"
    else:
        half = contour_levels(*heat.reach(home, run, slug))[1]
        above = values > half
        words = (
            f"above {text.number(half)} {unit}, half of the heat scale, since the method sets no"
            " threshold of pixels"
        )
    return find_components(values, above, case_geometry(context.data, row), side), words


def show(artifact: AnomalyMaps, context: Context, row: int) -> None:
    """The table of `row`, folded away; nothing where the run has no heat or proposes lesions, which
    have a view of their own.
    """
    data, ws, run = context.data, context.ws, context.job.id
    if not heat.has_heat(artifact, data) or not np.isin(row, artifact.rows):
        return
    if any(slug.startswith(Lesions.__name__.lower()) for slug in ws.slugs(run)):
        return
    found, words = _found(str(ws.home), run, artifact.slug, data.hash, row, state.look().side)
    with st.expander(f"Hot areas: {len(found)}"):
        if found:
            sized = found[0].size is not None
            area = "volume (ml)" if data.modality == "volume" else "area (mm²)"
            st.dataframe(
                pd.DataFrame(
                    {
                        (area if sized else "pixels"): [
                            c.size if sized else c.pixels for c in found
                        ],
                        "peak": [c.peak for c in found],
                        "mean": [c.mean for c in found],
                        "peak lies": [c.place for c in found],
                    }
                ).round(4),
                hide_index=True,
                width="stretch",
            )
        st.caption(
            f"Connected areas {words}; largest first. Hot means unusual to the model: no diagnosis."
        )
