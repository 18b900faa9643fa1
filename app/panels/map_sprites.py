"""Thumbnails on the points of the map."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import streamlit as st

from app import state
from app.components import latent_map as component
from app.panels.gallery import thumbs
from core.data.dataset import Dataset
from core.data.slices import as_slices
from core.imaging import render


@st.cache_data(max_entries=8, show_spinner="Making the thumbnails")
def _sprites(
    home: str, hash: str, name: str, rows: tuple[int, ...], window: str, side: str
) -> tuple[bytes, int]:
    return component.sprite_sheet(thumbs(state.workspace().dataset(name), np.array(rows), 40))


@st.cache_data(max_entries=8, show_spinner="Making the thumbnails of slices")
def _slice_sprites(
    home: str, hash: str, name: str, ids: tuple[int, ...], window: str, side: str
) -> tuple[bytes, int]:
    return component.sprite_sheet(
        render.draw_thumbnails(
            as_slices(state.workspace().dataset(name)), np.array(ids), 40, state.look()
        )
    )


def sprites(
    data: Dataset, rows: np.ndarray, place: np.ndarray | None = None
) -> tuple[bytes, int, int, np.ndarray] | None:
    """One sheet with thumbnails of at most 2,500 evenly taken cases (slices where `place` names
    them), and which tile each point has (-1 = none).
    """
    if not render.is_drawable(data):
        return None
    some = np.arange(0, len(rows), max(1, -(-len(rows) // component.TILES_MOST)))
    where = (str(state.workspace().home), data.hash, data.name)
    if place is None:
        png, columns = _sprites(*where, tuple(rows[some].tolist()), *astuple(state.look()))
    else:
        png, columns = _slice_sprites(
            *where,
            tuple((rows[some] * data.shape[1] + place[some]).tolist()),
            *astuple(state.look()),
        )
    index = np.full(len(rows), -1)
    index[some] = np.arange(len(some))
    return png, 40, columns, index
