"""The three roles a person can have in a project, and what each may do."""

from __future__ import annotations

from typing import Literal, get_args

from core.errors import UserError

Role = Literal["owner", "reviewer", "viewer"]
# look: open what is there; annotate: label, decide, name, read; compute: maps, explanations and
# measures of a run; export: take files away; train: train and apply; data: import and remove data,
# show pictures that were held back; people: give and take roles, read the audit list
Act = Literal["look", "annotate", "compute", "export", "train", "data", "people"]
ACTS: tuple[Act, ...] = get_args(Act)
ROLES: tuple[Role, ...] = get_args(Role)
ALLOWED: dict[Role, frozenset[Act]] = {
    "owner": frozenset(ACTS),
    "reviewer": frozenset({"look", "annotate", "compute", "export"}),
    "viewer": frozenset({"look"}),
}
WORDS: dict[Act, str] = {
    "look": "look at what is there",
    "annotate": "label, decide or name anything",
    "compute": "start computations",
    "export": "take files away",
    "train": "train or apply models, or stop or remove runs",
    "data": "import, change or remove data, or show what was held back",
    "people": "give roles or read the audit list",
}


class NotAllowed(UserError):
    """The person's role in the project does not allow this."""

    def __init__(self, role: Role, act: Act) -> None:
        whom = " or ".join(r for r in ROLES if act in ALLOWED[r])
        super().__init__(
            f"As {role} of this project you may not {WORDS[act]}; ask its owner to make you"
            f" {whom}, or to do it."
        )


def check_role(given: str) -> Role:
    """Return the role called so. UserError for any other word."""
    for role in ROLES:
        if given == role:
            return role
    raise UserError(f"There is no role “{given}”; there are {', '.join(ROLES)}.")
