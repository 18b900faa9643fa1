"""What the role of who is here allows on screen: what it does not is drawn disabled, and says so.

The engine refuses as well (`Workspace.permit`); here it is told before anybody presses.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state, text
from core.people.roles import ALLOWED, Act, NotAllowed


def why_not(act: Act) -> str:
    """Why the person may not do this in the open project, as a sentence; "" where they may. By the
    role that the page was opened with: a page asks dozens of times, and a press asks the register.
    """
    role = state.workspace().access.role
    return "" if act in ALLOWED[role] else str(NotAllowed(role, act))


def lock(act: Act, disabled: bool = False, help: str | None = None) -> dict[str, Any]:
    """Return the arguments `disabled` and `help` of a widget that does `act`: as given, or disabled
    with the reason where the role does not allow it.
    """
    said = why_not(act)
    return {"disabled": bool(said) or disabled, "help": text.label(said, 300) if said else help}


def refuse(act: Act) -> bool:
    """Whether the role does not allow `act`; then the sentence stands in place of what would be
    drawn.
    """
    said = why_not(act)
    if said:
        st.caption(f":material/lock: {text.label(said, 300)}")
    return bool(said)


def author(place: Any, label: str, value: str, **more: Any) -> str:
    """Draw the field for the name that is kept with what somebody says; who is signed in cannot be
    another.
    """
    person = state.workspace().access.person
    if person:
        key = more.get("key")
        if key is not None:  # what was typed before has no say
            st.session_state[key] = person
        more |= {"disabled": True, "help": "You are signed in with this address."}
    given = place.text_input(label, person or value, **more)
    return person or given or ""
