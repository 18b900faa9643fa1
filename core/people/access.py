"""What the person at hand may do in a workspace, asked before anything is changed in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.people.roles import ALLOWED, Act, NotAllowed, Role

if TYPE_CHECKING:
    from core.people.register import Register

UNLISTED = frozenset({"look", "compute"})  # acts that leave no line in the audit list


@dataclass(frozen=True)
class Access:
    """`person` (an e-mail address) at `place` (an address of the network) in a project, as `role`.

    Without a register, on a machine of one person, everything is allowed and nothing is listed.
    """

    person: str = ""
    role: Role = "owner"
    project: str = ""
    place: str = ""
    register: Register | None = None

    def role_now(self) -> Role | None:
        """Return the role the person has by now, None where none any more."""
        return self.register.role(self.project, self.person) if self.register else self.role

    def allows(self, act: Act) -> bool:
        """Whether the role allows `act`; asks the register anew, since roles change."""
        role = self.role_now()
        return role is not None and act in ALLOWED[role]

    def permit(self, act: Act, what: str = "") -> None:
        """Let `act` on `what` (ids, never patients) happen, and list it. NotAllowed where the role
        does not allow it; that is listed too.
        """
        if self.register is None:
            return
        role = self.role_now()
        if role is None or act not in ALLOWED[role]:
            self.note("refused", f"{act} {what}")
            raise NotAllowed(role or "viewer", act)
        if act not in UNLISTED:
            self.note(act, what)

    def note(self, act: str, what: str = "") -> None:
        """Add a line about this person to the audit list, where there is one."""
        if self.register is not None:
            self.register.note(self.person, self.place, self.project, act, what)


OPEN = Access()
