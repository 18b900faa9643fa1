"""Opening a workspace's catalogue so that it is whole and of the present version: looked over,
brought up to date on a copy first, rebuilt if need be.

Versions are Alembic's, in `migrations/versions`; migrations only add, so that workers started
before go on. Looking a catalogue over (quick_check reads every page) takes 1 ms at 1,000 jobs and
20 ms at 20,000, once a process.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, inspect

from core.errors import Full, UserError
from core.io.files import has_room, make_folder, move, remove, write_bytes
from core.io.locks import hold_lock
from core.settings import Settings
from core.workspace import records
from core.workspace.catalogue import Catalogue, Job, fill
from core.workspace.databases import Busy, Lite, Postgres, parse
from core.workspace.notices import add_rebuilt
from core.workspace.server_catalogue import open_on_server, refuse_second
from core.workspace.versions import VERSIONS, check_known, migrate

# a file of so many bytes that is given up on a full disk, so that removing something can be written
# down
RESERVE, RESERVED = "reserve", 256 << 10
WAIT = 60.0  # seconds for another process that repairs the catalogue just now


def open_catalogue(home: Path, url: str = "", keep: bool = True) -> Catalogue:
    """Return the catalogue of the workspace in `home`, or the one at `url`; `keep` some of the disk
    for when it is full. UserError when it was made by a newer Lightbox or cannot be opened.
    """
    found = _open_where_it_is(home, url, keep)
    found.project = home.name if Settings().projects else None
    return found


def _open_where_it_is(home: Path, url: str, keep: bool) -> Catalogue:
    database = parse(url) if url else Lite(home / "catalogue.db")
    if isinstance(database, Postgres):
        return open_on_server(home, database)
    refuse_second(home)
    if url:
        return _open_elsewhere(database)
    path = home / "catalogue.db"
    if _make_sound(home, path) == "full":
        return Catalogue(path, full=True)
    if keep:
        reserve_space(home)
    return Catalogue(path)


def _make_sound(home: Path, path: Path) -> str:
    """Rebuild a catalogue that is damaged or missing, bring an older one to this version; "full"
    where the disk has no room even to open it as usual, "" otherwise.
    """
    seen = _inspect(path)
    if seen == "full":
        if _read_version(path, full=True) != VERSIONS[-1]:
            raise Full
        return "full"
    if seen != VERSIONS[-1]:
        held = hold_lock(home / "catalogue.lock", WAIT)
        if held is None:
            raise UserError(
                "The workspace is busy: another program has been repairing its catalogue for a"
                " minute. Try again in a moment."
            )
        with held:
            now = _inspect(path)
            if now == "full":
                raise Full
            if now == "damaged":
                aside = make_folder(home / "damaged" / time.strftime("%Y%m%d-%H%M%S"))
                for part in home.glob("catalogue.db*"):
                    move(part, aside / part.name)
            if now in ("damaged", "missing"):
                _rebuild(home, path, now)
            elif now != VERSIONS[-1]:
                _bring_up(home, path, now)
    return ""


def reserve_space(home: Path) -> None:
    """Keep some bytes of the disk for `free_space`, as far as there are any."""
    if not (home / RESERVE).exists():
        with suppress(OSError):
            # zeros would take no room where the disk packs them
            write_bytes(home / RESERVE, os.urandom(RESERVED))


def free_space(home: Path) -> None:
    """Give up what was reserved, and what can be computed again."""
    for path in (home / RESERVE, *(home / "cache").glob("*")):
        remove(path)


def _inspect(path: Path) -> str:
    """Tell "missing", "damaged", "full" (it is whole, but the disk has no room to open it), or the
    version of the catalogue at `path` ("0000" = made before versions were kept). UserError for a
    newer one.

    Trap: on a full disk SQLite speaks of an I/O error, which is no damage.
    """
    if not path.exists() or not path.stat().st_size:
        if not has_room(path.parent):
            raise Full
        return "missing"
    try:
        return _read_version(path)
    except sqlite3.OperationalError as e:
        if "locked" in str(e):
            raise Busy from None
        if not has_room(path.parent):
            return "full"
        if "unable to open" in str(e):
            raise UserError(
                f"The catalogue of the workspace cannot be opened ({path.parent}); see that the"
                " folder may be written."
            ) from None
        return "damaged"
    except sqlite3.DatabaseError:
        return "damaged"


def _read_version(path: Path, full: bool = False) -> str:
    """Give "damaged", "missing" (there is nothing in it) or the version of a catalogue.

    Raises sqlite3.DatabaseError.
    """
    where = f"file:{quote(str(path))}?mode=ro&immutable=1" if full else str(path)
    with closing(sqlite3.connect(where, timeout=10, uri=full)) as c:
        if c.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            return "damaged"
        tables = {
            name for (name,) in c.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if not {"jobs", "datasets"} <= tables:
            return "damaged" if tables else "missing"
        return check_known(
            [v for (v,) in c.execute("SELECT version_num FROM alembic_version")]
            if "alembic_version" in tables
            else []
        )


@contextmanager
def _transactional_engine(path: Path) -> Iterator[Engine]:
    """Give an engine on an SQLite file whose transactions take in changes of the schema. Trap:
    Python's sqlite3 begins none before them by itself.
    """
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _by_hand(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        yield engine
    finally:
        engine.dispose()


def _bring_up(home: Path, path: Path, version: str) -> None:
    """Migrate the catalogue: on a copy first, which shows whether it can be done; the copy of the
    old one is kept in `backups/`.
    """
    kept = (
        make_folder(home / "backups") / f"catalogue-{version}-{time.strftime('%Y%m%d-%H%M%S')}.db"
    )
    trial = kept.with_suffix(".trial")
    try:
        for copy in (kept, trial):
            with (
                closing(sqlite3.connect(path, timeout=10)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
        try:
            with _transactional_engine(trial) as engine:
                migrate(engine, version == "0000")
        except Exception as e:
            raise UserError(
                f"This workspace comes from an older Lightbox (catalogue version {version}) and"
                f" could not be brought to version {VERSIONS[-1]} ({type(e).__name__}); nothing was"
                " changed. Use the Lightbox it was made with."
            ) from e
        tried = Catalogue(trial)
        # before the catalogue says that it is of this version: whoever is killed here begins again
        records.write_missing(home, tried.jobs(), tried.datasets())
        tried.engine.dispose()
        with _transactional_engine(path) as engine:
            migrate(engine, version == "0000")
    finally:
        for part in trial.parent.glob("*.trial*"):
            remove(part)


def _rebuild(home: Path, path: Path, why: str) -> None:
    """Make a new catalogue, of all that the folders tell of. The user is told once if that is
    anything, or if there was one that was damaged.
    """
    datasets, jobs = records.read_all(home)
    make_file(path, datasets, jobs)
    if why == "damaged" or jobs or datasets:
        was = (
            f"was damaged (it is kept in {home / 'damaged'})" if why == "damaged" else "was missing"
        )
        add_rebuilt(home, was, len(datasets), sum(j.kind == "train" for j in jobs))


def make_file(path: Path, datasets: list[dict[str, Any]], jobs: list[Job]) -> None:
    """Make a new catalogue of SQLite at `path`, in place of any that is there: whole or not at
    all.
    """
    # what an attempt before has left, or logs without their database
    for part in (*path.parent.glob(f"{path.name}-*"), *path.parent.glob(f"{path.name}.new*")):
        remove(part)
    new = path.with_name(f"{path.name}.new")
    with _transactional_engine(new) as engine:
        migrate(engine)
        with engine.begin() as c:
            fill(c, datasets, jobs)
    with closing(sqlite3.connect(new)) as c:
        c.execute("PRAGMA journal_mode=DELETE")  # all of it in the one file that is renamed
    os.replace(new, path)


def _open_elsewhere(database: Lite) -> Catalogue:
    """Return a catalogue in a file of SQLite elsewhere; its backups are its owner's."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        catalogue = Catalogue(database)
        tables = set(inspect(catalogue.engine).get_table_names())
        with catalogue.engine.connect() as c:
            found = (
                [r[0] for r in c.exec_driver_sql("SELECT version_num FROM alembic_version")]
                if "alembic_version" in tables
                else []
            )
        if check_known(found) != VERSIONS[-1]:
            migrate(catalogue.engine, "jobs" in tables and not found)
    except SQLAlchemyError as e:
        raise UserError(
            f"The catalogue that LIGHTBOX_CATALOGUE names cannot be opened ({type(e).__name__});"
            " see that its folder is there and may be written."
        ) from None
    return catalogue
