"""Cases hidden pending review: shown blurred, each made clear on demand, then
released or excluded.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import streamlit as st

from app import state, text
from app.components import allowed
from app.panels.gallery import thumbs
from app.panels.issues import _do, press
from core.data.dataset import Dataset
from core.imaging import render
from core.workspace import review

PAGE = 12
TILE = 150


def blurred(tile: np.ndarray, cells: int = 5) -> np.ndarray:
    """A picture uint8 [h,w,3] in which no writing can be read: means of cells x cells blocks,
    smoothly enlarged. Done here, so that the clear one never leaves the server before somebody asks
    for it.
    """
    from PIL import Image

    return np.asarray(
        Image.fromarray(tile)
        .resize((cells, cells), Image.Resampling.BOX)
        .resize(tile.shape[1::-1], Image.Resampling.BICUBIC)
    )


def show(name: str) -> None:
    """The amber panel; nothing when no case is held back."""
    ws = state.workspace()
    waiting = review.held_rows(ws, name)
    if not waiting:
        return
    data = state.dataset(whole=True)
    assert data is not None
    with st.container(border=True, key="held-back"):
        cases = "case is" if len(waiting) == 1 else "cases are"
        st.markdown(
            f":orange[:material/visibility_lock: **{len(waiting):,} {cases} hidden pending"
            " review**]  \nNothing uses them: no training, map, figure or export. Make a"
            " picture clear, look for names or other writing, then release or exclude it."
        )
        st.caption(
            " · ".join(
                f"{text.label(why, 80)}: {k:,}"
                for why, k in Counter(waiting.values()).most_common(6)
            )
        )
        rows = list(waiting)
        pages = -(-len(rows) // PAGE)
        at = min(st.pagination(pages, key="held-page"), pages) - 1 if pages > 1 else 0
        part = rows[at * PAGE : (at + 1) * PAGE]
        chosen = _tiles(data, part, waiting)
        with st.container(horizontal=True):
            st.button(
                f"Release the {len(chosen)} ticked",
                key="release-chosen",
                **allowed.lock("data", not chosen),
                type="primary",
                icon=":material/lock_open:",
                on_click=press,
                args=(lambda: review.release(ws, name, np.array(chosen)),),
            )
            with (
                st.popover(
                    "Exclude the ticked",
                    icon=":material/block:",
                    **allowed.lock("annotate", not chosen),
                ),
                st.form("held-exclude", border=False),
            ):
                why = st.text_input("Why", "names or other writing in the picture", max_chars=200)
                if st.form_submit_button("Exclude", type="primary") and _do(
                    lambda: review.exclude(ws, name, np.array(chosen), why)
                ):
                    st.rerun()
            with (
                st.popover(
                    f"Release all {len(rows):,}",
                    icon=":material/lock_open:",
                    **allowed.lock("data"),
                ),
                st.form("held-release", border=False),
            ):
                sure = st.checkbox(
                    "I have looked at them, or know that no patient can be told from them"
                )
                if st.form_submit_button("Release all"):
                    if sure and _do(
                        lambda: review.release(ws, name, reason="all released by a person")
                    ):
                        st.rerun()
                    st.caption("Tick the box first.")


def _note_look(name: str, row: int, key: str) -> None:
    """Who makes a held-back picture clear has looked at it: that is listed."""
    if st.session_state.get(key):
        ws = state.workspace()
        words = f"dataset {ws.entry(name)['id']}: held-back row {row} shown"
        # a picture whose showing cannot be listed stays blurred
        st.session_state[key] = False
        state.attempt(ws.permit, "data", words)
        st.session_state[key] = ws.access.allows("data")


def _tiles(data: Dataset, part: list[int], waiting: dict[int, str]) -> list[int]:
    """Pictures with a way to make each clear and a tick; gives the ticked rows."""
    across, chosen, may = 6, [], not allowed.why_not("data")
    for i in range(0, len(part), across):
        for row, cell in zip(part[i : i + across], st.columns(across)):
            with cell:
                if render.is_drawable(data):
                    key = f"clear-{data.name}-{row}"
                    clear = may and st.session_state.get(key, False)
                    tile = thumbs(data, np.array([row]), 2 * TILE if clear else TILE)[0]
                    st.image(
                        tile if clear else blurred(tile),
                        width="stretch",
                        alt=f"Row {row}{'' if clear else ', blurred'}",
                    )
                    st.toggle(
                        "Clear",
                        key=key,
                        on_change=_note_look,
                        args=(data.name, row, key),
                        **allowed.lock(
                            "data",
                            help=f"Show row {row} as it is: {text.label(waiting[row], 120)}",
                        ),
                    )
                if st.checkbox(
                    f"row {row}", key=f"held-{data.name}-{row}", help=text.label(waiting[row], 200)
                ):
                    chosen.append(row)
    return chosen
