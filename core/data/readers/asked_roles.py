"""What a person asked the columns to be, brought together with what their values say."""

from __future__ import annotations

import pandas as pd

from core.data.readers.files import Asked
from core.data.role_guess import Guess
from core.data.roles import guess_roles
from core.errors import UserError


def merge_asked_roles(
    label: str, group: str | None, domain: str | None, roles: dict[str, str]
) -> tuple[str, str | None, str | None, dict[str, str]]:
    """label, group, domain and all roles asked for, made one. UserError where two say different
    things.
    """
    told = dict(roles)
    for role, column in (
        ("outcome", label if label not in ("auto", "none", "folder") else None),
        ("patient", group),
        ("site", domain),
    ):
        if column is not None and told.get(column, role) != role:
            raise UserError(
                f"Column “{column}” cannot be the {role} and {told[column]} at once; choose one."
            )
        if column is not None:
            told[column] = role
    of = {role: column for column, role in told.items()}
    return of.get("outcome", label), of.get("patient"), of.get("site"), told


def find_roles(
    table: pd.DataFrame, given: dict[str, str], asked: Asked, inputs: bool = False
) -> list[Guess]:
    """Return what each column is (see `core.data.roles.guess_roles`), by what was asked, the files,
    the values and the names.
    """
    learned = next((c for c, role in asked.roles.items() if role == "input"), None)
    if learned is not None and not inputs:
        raise UserError(
            f"Column “{learned}” cannot be an input: what is beside pictures, scans and signals is"
            " kept, not learned from."
        )
    guesses = guess_roles(table, given, asked.roles, asked.label, inputs)
    return [g for g in guesses if asked.label != "none" or g.role != "outcome"]
