"""The people of a project and their roles, for its owners."""

from __future__ import annotations

import hashlib
import time

import pandas as pd
import streamlit as st

from app import state, text
from app.access import projects
from app.components import allowed
from core.errors import UserError
from core.people.register import Line, check_person
from core.people.roles import ACTS, ALLOWED, ROLES, WORDS, Role
from core.workspace import membership

SHOWN = 50  # people drawn at once; more are found by searching
ONLY_OWNER = "The only owner of a project stays; make somebody else owner first."


def manage() -> None:
    """Draw everybody with a role, what it may do, how to add one, and what was changed last."""
    ws = state.workspace()
    if ws.access.register is None:
        st.info(text.label(membership.ALONE, 200), icon=":material/group:")
        return
    if allowed.refuse("people"):
        return
    people = membership.list_people(ws)
    _say_outcome()
    left, right = st.columns([5, 3], gap="large")
    with left:
        _list(people, ws.access.person)
        _changes(membership.list_changes(ws))
    with right:
        _add(people)
        _explain_roles()


def _list(people: dict[str, Role], own: str) -> None:
    owners = sum(role == "owner" for role in people.values())
    found = people
    st.markdown(f"**{len(people):,} {'person' if len(people) == 1 else 'people'}**")
    if len(people) > 8:
        wanted = st.text_input(
            "Search",
            placeholder="part of an address",
            label_visibility="collapsed",
            icon=":material/search:",
            key="people-search",
        )
        found = {who: role for who, role in people.items() if wanted.strip().lower() in who}
    for who, role in list(found.items())[:SHOWN]:
        _row(who, role, own=who == own, only=role == "owner" and owners == 1)
    if owners == 1:
        st.caption(ONLY_OWNER)
    if len(found) > SHOWN:
        st.caption(f"{len(found) - SHOWN:,} more; search for an address.")
    if not found:
        st.caption("Nobody’s address has these letters.")


def _row(who: str, role: Role, own: bool, only: bool) -> None:
    key = hashlib.sha256(who.encode()).hexdigest()[:12]
    name, choice, out = st.columns([5, 3, 2], vertical_alignment="center")
    name.text(text.plain(who, 255) + (" (you)" if own else ""))
    choice.selectbox(
        f"Role of {text.plain(who, 60)}",
        ROLES,
        ROLES.index(role),
        key=f"role-{key}-{role}",
        on_change=_choose,
        args=(who, f"role-{key}-{role}", own),
        label_visibility="collapsed",
        disabled=only,
        help=ONLY_OWNER if only else None,
    )
    with out.popover("Remove", disabled=only, help=ONLY_OWNER if only else None, width="stretch"):
        st.markdown(
            f"{text.label(who, 255)} sees this project no longer, on pages that are open as well."
            " What they decided stays."
            + (" **This is you:** only another owner can let you in again." if own else "")
        )
        st.button("Remove from the project", key=f"out-{key}", on_click=_remove, args=(who, own))


def _choose(who: str, key: str, own: bool) -> None:
    if not _change(who, st.session_state[key], own):
        del st.session_state[key]  # it shows again what still holds


def _remove(who: str, own: bool) -> None:
    _change(who, None, own)


def _change(who: str, role: str | None, own: bool = False) -> bool:
    """Change a role and keep the sentence about it for the next drawing of the page."""
    try:
        membership.set_role(state.workspace(), who, role)
    except UserError as e:
        st.session_state["people-said"] = (False, str(e))
        return False
    projects.forget_roles()
    whom = "You are" if own else f"{check_person(who)} is"
    told = f"{whom} {role} now." if role else f"{check_person(who)} has no role here any more."
    st.session_state["people-said"] = (True, told)
    return True


def _say_outcome() -> None:
    done, said = st.session_state.pop("people-said", (True, ""))
    if said:
        place = st.success if done else st.error
        place(text.label(said, 400), icon=":material/check:" if done else ":material/error:")


def _add(people: dict[str, Role]) -> None:
    with st.form("add-person", border=True, clear_on_submit=True):
        st.markdown("**Add somebody**")
        who = st.text_input(
            "E-mail address", placeholder="as they sign in with it", max_chars=255, key="people-who"
        )
        role = st.selectbox("Role", ROLES, index=ROLES.index("viewer"), key="people-role")
        pressed = st.form_submit_button("Add", icon=":material/person_add:", width="stretch")
    if pressed:
        if who.strip().lower() in people:
            st.session_state["people-said"] = (
                False,
                f"{who.strip().lower()} has a role here already; change it in the list.",
            )
        else:
            _change(who, role)
        st.rerun()


def _explain_roles() -> None:
    told: set[str] = set()
    for role in reversed(ROLES):
        acts = [WORDS[act] for act in ACTS if act in ALLOWED[role] and WORDS[act] not in told]
        also = " may also " if told else " may "
        st.caption(f"**{role}**{also}{'; '.join(acts)}.")
        told |= {WORDS[act] for act in ALLOWED[role]}


def _changes(lines: list[Line]) -> None:
    if not lines:
        return
    st.markdown("**Changed last**")
    told = pd.DataFrame(
        {
            "when (UTC)": time.strftime("%Y-%m-%d %H:%M", time.gmtime(line.at)),
            "by": text.plain(line.person, 255),
            "what": text.plain(line.what, 300),
        }
        for line in lines
    )
    st.dataframe(told, hide_index=True, width="stretch", height=min(280, 38 + 35 * len(told)))
