"""Addresses of databases, for SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from core.errors import UserError

NEEDS_POSTGRES = "PostgreSQL needs an extra: pip install lightbox[postgres]."


def parse_address(given: str, setting: str, forms: str) -> URL:
    """Return the address that a setting names, of a PostgreSQL server with the driver we use.
    UserError where it is none of `forms`; it is not quoted, since it may hold a password.
    """
    try:
        found = make_url(given)
        found.port  # noqa: B018
    except (ArgumentError, ValueError):
        raise UserError(f"{setting} is no address; it is to be {forms}.") from None
    if found.drivername.split("+")[0] in ("postgresql", "postgres"):
        return found.set(drivername="postgresql+psycopg")
    return found


def require_postgres() -> None:
    """UserError where the extra `postgres` is not installed."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise UserError(NEEDS_POSTGRES) from None
