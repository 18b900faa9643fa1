"""Choosing a file or folder of this machine, beneath the roots that whoever started Lightbox has
opened.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import state, text
from core import limits
from core.data import allowed_folders


def choose() -> Path | None:
    """The folder or file that was chosen with a press; None until then."""
    roots = allowed_folders.allowed_roots()
    if not roots:
        st.info(
            "No folder of this machine is open to the browser. Whoever starts Lightbox can open"
            " some: `LIGHTBOX_FOLDERS=/path/to/data lightbox app`. Nothing is copied from there"
            " until you import."
        )
        return None
    root = st.selectbox(
        "Opened folder",
        roots,
        format_func=lambda p: text.plain(p.name or str(p)),
        key="folder-root",
    )
    at = st.session_state.get("folder-at", root)
    if at != root and root not in at.parents:
        at = root
    listed = state.attempt(allowed_folders.list_entries, at)
    if listed is None:
        st.session_state["folder-at"] = root
        return None
    inner, files = listed
    st.caption(
        ":material/folder_open: "
        + text.label(" / ".join((root.name, *at.relative_to(root).parts)), 160)
        + f" · {text.counted(len(inner), 'folder')}, {text.counted(len(files), 'file')}"
        + (
            f" (the first {limits.LISTED:,} of each are listed)"
            if limits.LISTED in (len(inner), len(files))
            else ""
        )
    )
    left, middle, right = st.columns([3, 1, 1], vertical_alignment="bottom")
    name = left.selectbox(
        "Go into, or take",
        ["", *(f"{n}/" for n in inner), *files],
        format_func=lambda n: text.plain(n) or "this folder",
        key=f"folder-in-{at}",
    )
    target = at / name.rstrip("/") if name else at
    middle.button(
        "Go into", disabled=not name.endswith("/"), on_click=_go, args=(target,), width="stretch"
    )
    right.button("Up", disabled=at == root, on_click=_go, args=(at.parent,), width="stretch")
    st.button(f"Take {text.label(target.name, 40)}", type="primary", on_click=_take, args=(target,))
    taken = st.session_state.get("folder-taken")
    return state.attempt(allowed_folders.check_allowed, taken) if taken == target else None


def _go(target: Path) -> None:
    st.session_state["folder-at"] = target


def _take(target: Path) -> None:
    st.session_state["folder-taken"] = target
