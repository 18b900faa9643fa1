"""The versions of the catalogue's schema: Alembic's, in `migrations/versions`. Migrations only add,
so that workers started before go on.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine

from core.errors import UserError

MIGRATIONS = Path(__file__).parent / "migrations"
VERSIONS = sorted(p.name[:4] for p in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def check_known(found: list[str]) -> str:
    """Return the version that stands in a catalogue, "0000" where none does. UserError for one of a
    newer Lightbox.
    """
    version = found[0] if found else "0000"
    if version not in ("0000", *VERSIONS):
        raise UserError(
            "This workspace was last used by a newer Lightbox (its catalogue has version"
            f" {version}, this one knows {VERSIONS[-1]}); update Lightbox, or set LIGHTBOX_HOME to"
            " another folder. Nothing was changed."
        )
    return version


def migrate(engine: Engine, unversioned: bool = False) -> None:
    """Bring a database to the present schema in one transaction; `unversioned`: it has the tables
    of the time before versions were kept.
    """
    with engine.begin() as c:
        migrate_within(c, unversioned)


def migrate_within(c: Connection, unversioned: bool = False) -> None:
    """As `migrate`, in the transaction of `c`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = c
    if unversioned:
        command.stamp(config, "0001")
    command.upgrade(config, "head")
