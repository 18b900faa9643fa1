"""The one button with which files are taken away: for roles that may, each press listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app import state
from app.components import allowed

Data = str | bytes | Callable[[], str | bytes]


def button(
    place: Any,
    label: str,
    data: Data,
    file_name: str,
    mime: str,
    what: str,
    disabled: bool = False,
    help: str | None = None,
    **more: Any,
) -> None:
    """Draw it in `place`; `what` names by ids what is taken away, for the audit list. `more` is of
    `st.download_button`.
    """
    locked = allowed.lock("export", disabled, help)
    if locked["disabled"]:
        data = b""  # nothing to take away lies behind it
    place.download_button(
        label, data, file_name, mime, on_click=_note, args=(what,), **locked, **more
    )


def _note(what: str) -> None:
    state.attempt(state.workspace().permit, "export", what)
