"""Who has which role in the project of a workspace, as its owners see and change it."""

from __future__ import annotations

from core.errors import UserError
from core.people.register import Line, Register, check_person
from core.people.roles import Role, check_role
from core.workspace.workspace import Workspace

ALONE = "This Lightbox is for one person; LIGHTBOX_PROJECTS is what lets several share it."


def list_people(ws: Workspace) -> dict[str, Role]:
    """Return the role of each person of the project, by address. NotAllowed for who may not change
    it; UserError where nobody shares the server.
    """
    _check_allowed(ws)
    return _register(ws).members(ws.access.project)


def list_changes(ws: Workspace, most: int = 20) -> list[Line]:
    """Return the last lines of the audit list about roles in the project, the newest first."""
    _check_allowed(ws)
    return _register(ws).last_lines(ws.access.project, "people", most)


def set_role(ws: Workspace, person: str, role: str | None) -> None:
    """Give a person, by their e-mail address, a role in the project, or take it away (None); it is
    on the audit list, and so is where it could not be. UserError for what is no address or role,
    for who has none that could be taken away, and for the only owner.
    """
    whom = check_person(person)
    given = check_role(role) if role else None
    ws.permit("people", f"{whom} is {given}" if given else f"{whom} has no role")
    register = _register(ws)
    try:
        if given is None and whom not in register.members(ws.access.project):
            raise UserError(f"{whom} has no role in this project.")
        register.set_role(ws.access.project, whom, given)
    except UserError:
        ws.access.note("refused", f"people {whom}: as before")
        raise


def _check_allowed(ws: Workspace) -> None:
    if not ws.access.allows("people"):
        ws.permit("people", "the list of people")


def _register(ws: Workspace) -> Register:
    if ws.access.register is None:
        raise UserError(ALONE)
    return ws.access.register
