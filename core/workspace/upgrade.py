"""Opening a workspace's catalogue so that it is whole and of the present version: looked over,
brought up to date on a copy first, rebuilt if need be.

Versions are Alembic's, in `migrations/versions`; migrations only add, so that workers started
before go on. Looking a catalogue over (quick_check reads every page) takes 1 ms at 1,000 jobs and
20 ms at 20,000, once a process.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, inspect

from core.errors import Full, UserError
from core.io.files import has_room, make_folder, move, remove, write_bytes, write_json
from core.io.locks import hold_lock
from core.workspace import records
from core.workspace.catalogue import Busy, Catalogue

MIGRATIONS = Path(__file__).parent / "migrations"
VERSIONS = sorted(p.name[:4] for p in (MIGRATIONS / "versions").glob("[0-9]*.py"))
NOTICE = "notice.json"
# a file of so many bytes that is given up on a full disk, so that removing something can be written
# down
RESERVE, RESERVED = "reserve", 256 << 10
WAIT = 60.0  # seconds for another process that repairs the catalogue just now


def open_catalogue(home: Path, url: str = "", keep: bool = True) -> Catalogue:
    """Return the catalogue of the workspace in `home`, or the one at `url`; `keep` some of the disk
    for when it is full. UserError when it was made by a newer Lightbox or cannot be opened.
    """
    if url:
        return _open_other_database(url)
    path = home / "catalogue.db"
    seen = _inspect(path)
    if seen == "full":
        if _read_version(path, full=True) != VERSIONS[-1]:
            raise Full
        return Catalogue(path, full=True)
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
    if keep:
        reserve_space(home)
    return Catalogue(path)


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
        return _is_known(
            [v for (v,) in c.execute("SELECT version_num FROM alembic_version")]
            if "alembic_version" in tables
            else []
        )


def _is_known(found: list[str]) -> str:
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
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as c:
        config.attributes["connection"] = c
        if unversioned:
            command.stamp(config, "0001")
        command.upgrade(config, "head")


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
    # what an attempt before has left, or logs without their database
    for part in home.glob("catalogue.db*"):
        remove(part)
    new = home / "catalogue.db.new"
    with _transactional_engine(new) as engine:
        migrate(engine)
    made = Catalogue(new)
    names: set[str] = set()
    for entry in records.read_dataset_entries(home):
        if entry["name"] not in names:
            made.add_dataset(**entry)
            names.add(entry["name"])
    jobs = records.read_jobs(home)
    # what stands there as running is looked at by whoever shows it
    for place, job in enumerate(jobs, 1):
        made.add_job(replace(job, place=place))
    made.engine.dispose()
    with closing(sqlite3.connect(new)) as c:
        c.execute("PRAGMA journal_mode=DELETE")  # all of it in the one file that is renamed
    os.replace(new, path)
    if why == "damaged" or jobs or names:
        runs = sum(j.kind == "train" for j in jobs)
        was = (
            f"was damaged (it is kept in {home / 'damaged'})" if why == "damaged" else "was missing"
        )
        add_notice(
            home,
            f"The catalogue of this workspace {was} and was rebuilt from the folders:"
            f" {len(names)} dataset{'s' * (len(names) != 1)}, {runs} run{'s' * (runs != 1)}.",
        )


def _open_other_database(url: str) -> Catalogue:
    """Return a catalogue of another database; its backups are its owner's."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        catalogue = Catalogue(url)
        tables = set(inspect(catalogue.engine).get_table_names())
        with catalogue.engine.connect() as c:
            found = (
                [r[0] for r in c.exec_driver_sql("SELECT version_num FROM alembic_version")]
                if "alembic_version" in tables
                else []
            )
        if _is_known(found) != VERSIONS[-1]:
            migrate(catalogue.engine, "jobs" in tables and not found)
    except (SQLAlchemyError, ModuleNotFoundError) as e:
        raise UserError(
            f"The catalogue that LIGHTBOX_CATALOGUE names cannot be opened ({type(e).__name__});"
            " see that the address is right and its driver installed."
        ) from None
    return catalogue


# -- what the user is told once --------------------------------------------------------------------
def add_notice(home: Path, sentence: str) -> None:
    """Keep a sentence for the next person who looks."""
    write_json(home / NOTICE, [*_read_notices(home), sentence])


def take_notices(home: Path) -> list[str]:
    """Sentences that nobody has been told yet; each is given once."""
    found = _read_notices(home)
    if found:
        remove(home / NOTICE)
    return found


def _read_notices(home: Path) -> list[str]:
    try:
        return [str(s) for s in json.loads((home / NOTICE).read_text())]
    except (OSError, ValueError):
        return []
