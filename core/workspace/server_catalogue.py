"""Opening the catalogue of a workspace on a PostgreSQL server: its schema is made, brought to this
version, or rebuilt from the folders, each in one transaction.

`catalogue.json` in the workspace says that its catalogue is on a server, and in which schema there.
So a shell without LIGHTBOX_CATALOGUE begins no second catalogue beside it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from core.errors import UserError
from core.io.files import remove, write_json
from core.io.locks import hold_lock
from core.workspace import records
from core.workspace.catalogue import Catalogue, Job, fill
from core.workspace.databases import Busy, Postgres
from core.workspace.notices import add_rebuilt
from core.workspace.versions import VERSIONS, check_known, migrate_within

LOCATION, NEXT = "catalogue.json", "catalogue.json.next"
WAIT = 60.0  # seconds for another process that makes or rebuilds the catalogue just now


@dataclass(frozen=True)
class Location:
    """The `schema` that holds a workspace's catalogue, and the `place` (host, port and database) at
    which it was last.
    """

    schema: str
    place: str


def read_location(home: Path, name: str = LOCATION) -> Location | None:
    """Return where on a server the catalogue of the workspace is; None where it is in the
    workspace. UserError when the file that says so cannot be read.
    """
    path = home / name
    try:
        told = json.loads(path.read_text())
        return Location(str(told["schema"]), str(told["place"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{path}, which says where on a server the catalogue is, cannot be read; bring it back"
            " from a copy, or remove it to have the catalogue rebuilt from the folders."
        ) from None


def refuse_second(home: Path) -> None:
    """UserError where the catalogue of the workspace is on a server, for who would open it here."""
    known = read_location(home)
    if known is not None:
        raise UserError(
            f"The catalogue of this workspace is on a PostgreSQL server ({known.place}); name it in"
            f" LIGHTBOX_CATALOGUE, or remove {home / LOCATION} to have the catalogue rebuilt here"
            " from the folders."
        )


def open_on_server(home: Path, database: Postgres) -> Catalogue:
    """Return the catalogue of the workspace in `home`, in its own schema of `database`. UserError
    where it cannot be reached or made, or belongs to another workspace.
    """
    known = read_location(home)
    if known is None:
        return _begin(home, database)
    catalogue = Catalogue(replace(database, schema=known.schema))
    found = look(catalogue)
    if found is None:
        if known.place != database.place:
            raise UserError(
                f"The catalogue of this workspace was last at {known.place}, and there is none of"
                f" it at {database.place}; bring it there with pg_restore, or remove"
                f" {home / LOCATION} to have it rebuilt from the folders."
            )
        _rebuild(home, catalogue)
        return catalogue
    version, owner = found
    if owner != str(home):
        _take_over(home, catalogue, owner)
    if version != VERSIONS[-1]:
        catalogue._do(lambda c: _bring_up(c, catalogue), "READ COMMITTED")
    if known.place != database.place:
        write_json(home / LOCATION, {"schema": known.schema, "place": database.place})
    return catalogue


def look(catalogue: Catalogue) -> tuple[str, str] | None:
    """Return the version of a catalogue on a server, and the folder it belongs to; None where there
    is none. UserError for one of a newer Lightbox.
    """
    return catalogue._do(lambda c: _look(c, catalogue))


def _look(c: Connection, catalogue: Catalogue) -> tuple[str, str] | None:
    assert isinstance(catalogue.database, Postgres)
    there, owner = c.execute(
        text(
            "SELECT to_regclass('alembic_version') IS NOT NULL,"
            " obj_description(to_regnamespace(:schema)::oid, 'pg_namespace')"
        ),
        {"schema": catalogue.database.schema},
    ).one()
    if not there:
        return None
    found = [r[0] for r in c.execute(text("SELECT version_num FROM alembic_version"))]
    return check_known(found), owner or ""


def _begin(home: Path, database: Postgres) -> Catalogue:
    """Make the catalogue of a workspace that has none yet, of what its folders tell of."""
    with _alone(home):
        if read_location(home) is not None:
            return open_on_server(home, database)
        if (home / "catalogue.db").exists():
            raise UserError(
                "The catalogue of this workspace is in the workspace, with SQLite; bring it to the"
                f" server ({database.place}) with `lightbox catalogue move postgresql`, or unset"
                " LIGHTBOX_CATALOGUE."
            )
        datasets, jobs = records.read_all(home)
        catalogue = settle(home, database, datasets, jobs)
    if datasets or jobs:
        add_rebuilt(home, "was missing", len(datasets), sum(j.kind == "train" for j in jobs))
    return catalogue


def settle(
    home: Path,
    database: Postgres,
    datasets: list[dict[str, Any]],
    jobs: list[Job],
    check: Callable[[Catalogue], None] = lambda made: None,
) -> Catalogue:
    """Make a new schema of `database` with these datasets and jobs the catalogue of the workspace,
    once `check` has nothing against it. Whoever is killed in the middle leaves all as it was; the
    next one uses the schema that was begun.
    """
    begun = read_location(home, NEXT) or Location(f"lightbox_{secrets.token_hex(6)}", "")
    catalogue = Catalogue(replace(database, schema=begun.schema))
    catalogue._do(lambda c: None)  # it can be reached
    now = {"schema": begun.schema, "place": database.place}
    write_json(home / NEXT, now)
    catalogue._do(lambda c: _make(c, catalogue, home, datasets, jobs, anew=True), "READ COMMITTED")
    check(catalogue)
    write_json(home / LOCATION, now)
    remove(home / NEXT)
    return catalogue


def _rebuild(home: Path, catalogue: Catalogue) -> None:
    with _alone(home):
        datasets, jobs = records.read_all(home)
        made = catalogue._do(
            lambda c: _make(c, catalogue, home, datasets, jobs, anew=False), "READ COMMITTED"
        )
    if made:
        add_rebuilt(home, "was missing", len(datasets), sum(j.kind == "train" for j in jobs))


def _make(
    c: Connection,
    catalogue: Catalogue,
    home: Path,
    datasets: list[dict[str, Any]],
    jobs: list[Job],
    anew: bool,
) -> bool:
    """Make the schema and fill it; False where it is there already and not to be made `anew`."""
    database = catalogue.database
    assert isinstance(database, Postgres)
    c.execute(text(f"SET LOCAL lock_timeout = '{WAIT:.0f}s'"))
    database.take_turn(c)
    if c.execute(text("SELECT current_setting('server_encoding')")).scalar_one() != "UTF8":
        raise UserError(
            f"The database “{database.database}” cannot hold all letters; make one with encoding"
            " UTF8."
        )
    if anew:
        c.execute(text(f"DROP SCHEMA IF EXISTS {database.schema} CASCADE"))
    elif _look(c, catalogue) is not None:
        return False
    c.execute(text(f"CREATE SCHEMA IF NOT EXISTS {database.schema}"))
    _name_owner(c, database, home)
    migrate_within(c)
    fill(c, datasets, jobs)
    return True


def _bring_up(c: Connection, catalogue: Catalogue) -> None:
    """Trap: another process may just have done it."""
    c.execute(text(f"SET LOCAL lock_timeout = '{WAIT:.0f}s'"))
    catalogue.database.take_turn(c)
    migrate_within(c)


def _take_over(home: Path, catalogue: Catalogue, owner: str) -> None:
    """Write down where the folder is now, since it was moved. UserError where it is a copy: two
    would write into one catalogue.
    """
    database = catalogue.database
    assert isinstance(database, Postgres)
    there = Path(owner) / LOCATION
    if owner and there.exists() and not there.samefile(home / LOCATION):
        other = read_location(Path(owner))
        if other is not None and other.schema == database.schema:
            raise UserError(
                f"This workspace is a copy of {owner}, whose catalogue on the server is not to be"
                f" used by two; remove {home / LOCATION} to have one of its own made from the"
                " folders."
            )
    catalogue._do(lambda c: _name_owner(c, database, home))


def _name_owner(c: Connection, database: Postgres, home: Path) -> None:
    folder = str(home).replace("'", "''").replace(":", r"\:")
    c.execute(text(f"COMMENT ON SCHEMA {database.schema} IS '{folder}'"))


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """While it lasts, no other process makes or rebuilds the catalogue of the workspace."""
    held = hold_lock(home / "catalogue.lock", WAIT)
    if held is None:
        raise Busy
    with held:
        yield
