"""Which cases are nearest to each in the latent space itself, shown by the map under the mouse."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state
from app.components import latent_map as component
from core.artifacts import Embedding, Map
from core.errors import UserError
from core.jobs.run_folder import find_artifact
from core.neighbours import neighbours

TIES = 5  # nearest cases that are shown


def true_neighbours(made: Map) -> np.ndarray | None:
    """Positions int32 [n,5] on the map of the cases nearest to each in the latent space, near
    first; None for maps of slices, of more than `WORDS_MOST` cases, or whose run is gone.
    """
    if made.place is not None or not TIES < len(made.rows) <= component.WORDS_MOST:
        return None
    rows = np.asarray(made.rows, np.int64)
    return _found(str(state.workspace().home), made.made_by.run, rows)


@st.cache_data(max_entries=8, show_spinner=False)
def _found(home: str, run: str, rows: np.ndarray) -> np.ndarray | None:
    """Cost: at most about 1 s for 20,000 cases."""
    try:
        space = find_artifact(state.workspace(), run, Embedding)
    except UserError:
        return None
    at = space.at(rows)
    if len(at) != len(rows):
        return None
    return neighbours(np.asarray(space.z)[at], TIES, space.metric)[0]
