"""Pictures of cases in a grid: used by every exploring page, the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

from app import state, text
from app.panels import viewer
from app.state import Context
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.imaging import render
from core.imaging.windowing import DisplaySettings


@st.cache_data(max_entries=256, show_spinner=False)
def _thumbs(
    home: str, name: str, hash: str, rows: tuple[int, ...], tile: int, window: str, side: str
) -> np.ndarray:
    data = state.dataset()
    if data is None or data.hash != hash:
        data = state.workspace().dataset(name)
    return render.draw_thumbnails(data, np.array(rows), tile, DisplaySettings(window, side))


def thumbs(data: Dataset, rows: np.ndarray, tile: int = 96) -> np.ndarray:
    """uint8 [n,tile,tile,3] through the window chosen for all pictures, cached."""
    look = state.look()
    return _thumbs(
        str(state.workspace().home),
        data.name,
        data.hash,
        tuple(int(r) for r in rows),
        tile,
        look.window,
        look.side,
    )


def strip(
    context: Context,
    rows: np.ndarray,
    said: list[str],
    key: str,
    across: int,
    tile: int = 96,
    letters: int = 12,
) -> None:
    """At most `across` cases side by side, what is `said` of each below its picture; where there
    are no pictures, its name, cut to `letters`. A press looks at it.
    """
    names = context.data.of(rows).names()
    pics = thumbs(context.data, rows, tile) if render.is_drawable(context.data) else None
    for i, cell in enumerate(st.columns(across)[: len(rows)]):
        with cell:
            if pics is not None:
                st.image(pics[i], width="stretch", alt=text.plain(names[i], 60))
            st.button(
                said[i] if pics is not None else text.label(names[i], letters),
                key=context.key(f"{key}-{i}"),
                on_click=state.look_at,
                args=(int(rows[i]),),
                type="tertiary",
                help=f"Look at {text.label(names[i])}",
                width="stretch",
            )


def small_tile(data: Dataset) -> int:
    """Pixels of a small picture: a whole multiple of small cases, so that no frame is left."""
    side = max(data.shape[-2:]) if len(data.shape) > 2 else 72
    return side * -(-72 // side) if side < 72 else 72


def gallery(
    context: Context,
    rows: np.ndarray,
    key: str,
    *,
    captions: Sequence[str] | None = None,
    images: np.ndarray | None = None,
    across: int = 8,
    page_size: int = 24,
    marked: Callable[[int], str | None] | None = None,
    longest: int = 24,
) -> None:
    """A paged grid of cases in the order given; a press on a picture, or on the button under it,
    puts it into the inspector. `images` uint8 [m,h,w,3] replace the pictures of the m cases on the
    present page (its number, from 1, is in session state under `<key>-page`). A caption has at most
    `longest` letters.
    """
    data = context.data
    if not len(rows):
        st.caption("No cases to show.")
        return
    pages = -(-len(rows) // page_size)
    at = 0
    if pages > 1:
        at = st.pagination(pages, key=f"{key}-page") - 1
    part = slice(at * page_size, (at + 1) * page_size)
    shown = np.asarray(rows)[part]
    names = dict(zip(shown.tolist(), data.of(shown).names()))
    drawn = render.is_drawable(data)
    opening = dict(zip(shown.tolist(), data.of(shown).texts)) if data.modality == "text" else {}
    if not drawn:  # named in words instead
        across, longest = (1, 130) if opening else (3, 44)
    if viewer.fits(data) and state.look().side == "neurological":
        st.caption(
            "Neurological display: the patient’s right is at the right edge, where the orientation"
            " is known."
        )
    pics = None
    if drawn:
        pics = thumbs(data, shown) if images is None else images
    if data.modality == "volume" and images is None:
        st.caption("Of each volume its middle slice.")
    for start in range(0, len(shown), across):
        for i, (cell, row) in enumerate(
            zip(st.columns(across, gap="small"), shown[start : start + across])
        ):
            with cell, st.container(key=f"picture-{key}-{start + i}", gap="small"):
                if pics is not None:
                    alt = text.plain(names[int(row)], 60)
                    st.image(pics[start + i], width="stretch", alt=alt)
                name = names[int(row)]
                caption = captions[at * page_size + start + i] if captions is not None else None
                words = text.plain(name, 14 if drawn else 40) if caption is None else caption
                if not drawn and (caption is not None or opening):
                    words = f"{words} · {text.plain(opening.get(int(row), name), 100)}"
                icon = marked(int(row)) if marked else None
                st.button(
                    text.label(words, longest),
                    key=f"{key}-{start + i}-{row}",
                    on_click=state.look_at,
                    args=(int(row),),
                    width="stretch",
                    type="tertiary",
                    icon=icon,
                    help=f"Look at {text.label(name)} (row {row})",
                )


def score_of(context: Context) -> AnomalyMaps | None:
    """The anomaly scores of the open run, if it has any."""
    for slug in context.ws.slugs(context.job.id):
        artifact = context.ws.artifact(context.job.id, slug)
        if (
            isinstance(artifact, AnomalyMaps)
            and artifact.shows != "doubt"
            and artifact.place is None
        ):
            return artifact
    return None
