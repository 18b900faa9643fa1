"""The project that a page is of, where people share the server: one of those in which the person
has a role. Its workspace is the only one that the page's script ever sees.
"""

from __future__ import annotations

import streamlit as st

from app.access import gate, identity, sessions
from core.errors import UserError
from core.people.access import OPEN, Access
from core.people.register import Project
from core.people.roles import ALLOWED, Role

CLOSED = "This project is not open to you: you have no role in it, or no longer."
SECONDS = 2.0  # after which a role that was taken away closes pages that are open


def shared() -> bool:
    """Whether several people share this server."""
    return gate.register() is not None


@st.cache_data(ttl=SECONDS, max_entries=1000, show_spinner=False)
def _roles(register: str, person: str) -> dict[str, tuple[Project, Role]]:
    """The projects of a person by id, with the role there, the oldest first."""
    people = gate.register()
    assert people is not None
    roles = people.roles(person)
    return {p.id: (p, roles[p.id]) for p in people.projects(person) if p.id in roles}


def own_projects() -> dict[str, tuple[Project, Role]]:
    """Return the projects of who is at hand, by id, with the role there."""
    people, (person, _) = gate.register(), identity.person_of_page()
    return _roles(str(people.folder), person) if people is not None and person else {}


def forget_roles() -> None:
    """Ask for everybody's roles anew, since one was changed here."""
    _roles.clear()


def may_manage() -> bool:
    """Whether who is at hand may see and change the roles of the project of this page."""
    found = own_projects().get(st.session_state.get("project", ""))
    return found is not None and "people" in ALLOWED[found[1]]


def enter() -> str:
    """At the start of a page's script: note whose session it is, and take the project from the
    address. Gives why the page cannot be shown, "" where it can.
    """
    if not shared():
        return ""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    person, _ = identity.person_of_page()
    context, mine = get_script_run_ctx(), own_projects()
    if not person or context is None:
        return "Nobody is signed in; load the page again."
    sessions.claim_session(context.session_id, person)
    if "project" not in st.session_state:
        st.session_state["project"] = st.query_params.get("project") or next(iter(mine), "")
        if st.session_state["project"] in mine:
            access().note("open")
    if st.session_state["project"] not in mine:
        return CLOSED
    if len(mine) > 1 or "project" in st.query_params:
        st.query_params["project"] = st.session_state["project"]
    return ""


def access() -> Access:
    """Return what who is at hand may do in the project of this page. UserError where they have no
    role in it.
    """
    people = gate.register()
    if people is None:
        return OPEN
    person, place = identity.person_of_page()
    id = st.session_state.get("project", "")
    found = own_projects().get(id)
    if found is None:
        raise UserError(CLOSED)
    return Access(person, found[1], id, place, people)


def open_project(id: str) -> None:
    """Show another project: a page begins anew, since nothing of the one before belongs there."""
    st.session_state.clear()
    st.query_params.clear()
    st.session_state["project"] = id
    access().note("open")
