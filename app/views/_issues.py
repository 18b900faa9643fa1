"""What the check found, with what can be done about it: look, exclude, mend, ignore with a reason, take back; and the cases held back until a person has looked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import streamlit as st

from app import state, text
from app.views._gallery import thumbs
from core import pictures
from core.data.checks import Finding, findings
from core.data.dataset import Dataset
from core.report import cohort
from core.store import review

ICONS = {"ok": ":material/check:", "look": ":orange[:material/visibility:]", "stop": ":red[:material/front_hand:]"}
SHOWN, TILE, HELD = 8, 72, 12


@st.cache_data(max_entries=8, show_spinner="Looking the data over")
def _found(home: str, hash: str, name: str) -> list[dict[str, Any]]:
    return [vars(f) for f in findings(state.workspace(), name)]


def show(data: Dataset) -> None:
    """The list of issues, the worst first; what is in order in one line each; what was decided, with undo."""
    ws, name = state.workspace(), data.name
    every = [Finding(**f) for f in _found(str(ws.home), data.hash, name)] if len(data) else []
    made = review.decisions(ws, name)
    ignored = {d.finding for d in made if d.what == "ignore"}
    said = st.session_state.pop("issue-done", None)
    if said:
        st.success(text.label(said, 200), icon=":material/check:")
    todo = [f for f in every if f.severity != "ok" and f.kind not in ignored]
    st.markdown("**Look it over before use**" + (f": {len(todo)} thing{'s' * (len(todo) != 1)} to look at" if todo else ": nothing stands out" if every else ""))
    for found in todo:
        _issue(data, found)
    for found in every:
        if found.severity == "ok" or found.kind in ignored:
            st.caption(f"{ICONS['ok']} {text.label(found.title)}{' (ignored)' if found.kind in ignored else ''}: {text.label(found.words, 400)}")
    if made:
        with st.expander(f"Decided so far ({len(made)})", expanded=not len(data)):
            for d in reversed(made):
                left, right = st.columns([4, 1], vertical_alignment="center")
                many = f"{len(d.rows):,} case{'s' * (len(d.rows) != 1)} " if d.rows else "a finding "
                left.caption(f"{many}{review.WORDS[d.what]}{f' ({text.label(d.value, 30)})' if d.value else ''}: {text.label(d.reason, 120)}")
                right.button("Undo", key=f"undo-{d.id}", on_click=_do, args=("It was taken back.", review.undo, ws, name, d.id), width="stretch")


def _issue(data: Dataset, found: Finding) -> None:
    ws, name, key = state.workspace(), data.name, f"{found.kind}-{data.hash[:8]}"
    with st.container(border=True):
        st.markdown(f"{ICONS[found.severity]} **{text.label(found.title)}** {text.label(found.words, 500)}")
        rows = np.array([r for r in found.rows if (data.rows == r).any()], dtype=np.int64)
        if len(rows) and pictures.drawable(data):
            st.image(pictures.wall(thumbs(data, rows[:SHOWN], TILE), min(SHOWN, len(rows)), gap=4))
            notes = [f"{text.label(n, 24)}: {text.label(found.notes[str(r)], 40)}" for r, n in zip(rows[:SHOWN].tolist(), data.of(rows[:SHOWN]).names()) if str(r) in found.notes]
            if found.sets or notes:
                st.caption("Cases that belong together stand side by side." if found.sets else " · ".join(notes))
        if found.fix:
            st.button(text.label(found.fix, 40), key=f"fix-{key}", on_click=_do, args=("Mended.", review.mend, ws, name, found.kind), width="stretch", type="primary")
        cells = st.columns(3)
        if len(rows):
            cells[0].button("Select", key=f"look-{key}", on_click=state.select, args=(rows, found.title), width="stretch", help="Look at them in the gallery, the map and the table.")
            copies = found.kind in ("duplicates", "near") and found.sets
            out = np.array([r for s in found.sets for r in review.all_but_one(data, s)], dtype=np.int64) if copies else rows
            with cells[1].popover("Exclude", width="stretch"):
                st.markdown(f"Leaves {len(out):,} case{'s' * (len(out) != 1)} out of everything from now on"
                            + (": all but one of each set." if copies else ".") + (f" The list holds {len(rows):,} of {found.total:,}." if found.total > len(rows) else ""))  # fmt: skip
                st.text_input("Why", found.title.lower(), key=f"why-{key}", max_chars=200)
                st.button("Exclude them", key=f"out-{key}", type="primary", on_click=_do,
                          args=(f"{len(out):,} cases are excluded; Undo below brings them back.", review.exclude, ws, name, out, Typed(f"why-{key}"), found.kind))  # fmt: skip
        with cells[2].popover("Ignore", width="stretch"):
            st.text_input("Why it does not matter", key=f"ignore-why-{key}", max_chars=200)
            st.button("Ignore it", key=f"ignore-{key}", on_click=_do, args=("It is no longer listed as open.", review.ignore, ws, name, found.kind, Typed(f"ignore-why-{key}")))


class Typed(str):
    """The key of a text field: a callback's arguments are fixed when its button is drawn, so what was typed since is read when it is pressed."""


def _do(said: str, act: Any, *args: Any) -> None:
    from core.errors import UserError

    try:
        act(*(st.session_state.get(a, "") if isinstance(a, Typed) else a for a in args))
        st.session_state["issue-done"] = said
    except UserError as e:
        st.session_state["issue-wrong"] = str(e)


def wrong() -> None:
    """The sentence of a decision that could not be taken, once."""
    if said := st.session_state.pop("issue-wrong", None):
        st.error(text.label(said, 400))


def held_back(data: Dataset) -> None:
    """Cases that may show who they are of, blurred until a person looks at each; then released or excluded."""
    ws, name = state.workspace(), data.name
    waiting = review.held(ws, name)
    if not waiting:
        return
    with st.container(border=True):
        reasons = "; ".join(f"{text.label(why, 120)} ({k:,})" for why, k in Counter(waiting.values()).most_common(4))
        st.markdown(f":orange[:material/visibility_off:] **{len(waiting):,} case{'s are' if len(waiting) > 1 else ' is'} held back until you have looked**, "
                    f"because something in the picture may tell who it is of. They are in no view, training or export until then.  \nWhy: {reasons}.")  # fmt: skip
        whole, rows = ws.dataset(name, whole=True), np.array(sorted(waiting), dtype=np.int64)
        pages = -(-len(rows) // HELD)
        at = st.pagination(pages, key=f"held-{name}") - 1 if pages > 1 else 0
        part = rows[at * HELD : (at + 1) * HELD]
        if pictures.drawable(whole):
            open_ = st.session_state.setdefault("held-open", set())
            for cell, row, tile in zip(st.columns(6) * 2, part.tolist(), pictures.thumbs(whole, part, 160)):
                with cell:
                    st.image(tile if (name, row) in open_ else blurred(tile), width="stretch")
                    if (name, row) not in open_:
                        st.button("Show", key=f"show-{name}-{row}", on_click=open_.add, args=((name, row),), width="stretch")
                    else:
                        st.button("Release", key=f"release-{name}-{row}", on_click=_do, args=("It is released.", review.release, ws, name, np.array([row])), width="stretch")
                        st.button("Exclude", key=f"drop-{name}-{row}", width="stretch", on_click=_do,
                                  args=("It is excluded.", review.exclude, ws, name, np.array([row]), "something written in the picture"))  # fmt: skip
        looked = st.checkbox("I have looked at all of them, and nothing in them tells who they are of", key=f"looked-{name}")
        left, right = st.columns(2)
        left.button(f"Release all {len(rows):,}", disabled=not looked, key=f"release-{name}", on_click=_do, args=("They are released.", review.release, ws, name), width="stretch")
        right.button(f"Exclude all {len(rows):,}", key=f"drop-all-{name}", width="stretch", on_click=_do,
                     args=("They are excluded.", review.exclude, ws, name, rows, "something may be written in the picture"))  # fmt: skip


def blurred(tile: np.ndarray) -> np.ndarray:
    """A picture uint8 [h,w,3] in which nothing can be read: eight blocks a side, softened."""
    from PIL import Image

    small = Image.fromarray(tile).resize((8, 8), Image.Resampling.BOX)
    return np.asarray(small.resize((tile.shape[1], tile.shape[0]), Image.Resampling.BICUBIC))


@st.cache_data(max_entries=16, show_spinner=False)
def _flow(home: str, hash: str, name: str, decided: int) -> bytes:
    return cohort.drawn(state.workspace(), name)


def cohort_flow(data: Dataset) -> None:
    """From files to parts: what was brought, what was left out and why, how many cases each part holds."""
    with st.expander("How the cases came about (cohort flow)"):
        st.image(_flow(str(state.workspace().home), data.hash, data.name, len(review.decisions(state.workspace(), data.name))), width="stretch")
