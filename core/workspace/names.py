"""What may be a name that a person gives."""

from __future__ import annotations

from core import limits
from core.errors import UserError


def check_name(name: str) -> str:
    """Return a name as it may be: 1 to `limits.NAME` visible characters. UserError
    otherwise.
    """
    clean = " ".join(name.split())
    if not clean or len(clean) > limits.NAME or not clean.isprintable():
        raise UserError(f"A name needs 1 to {limits.NAME} visible characters.")
    return clean
