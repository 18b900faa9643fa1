"""Moving the catalogue of a workspace from SQLite in its folder to a PostgreSQL server, or back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from core.errors import UserError
from core.io.files import make_folder, remove
from core.io.locks import hold_lock
from core.jobs.starting import SUPERVISOR, release_supervisor
from core.workspace.catalogue import Catalogue, Job, read_all
from core.workspace.databases import Postgres, parse
from core.workspace.server_catalogue import LOCATION, open_on_server, read_location, settle
from core.workspace.upgrade import make_file, open_catalogue

SERVER = "server.lock"  # held by the one server of the workspace
LEAVES = 5.0  # seconds a supervisor that is not needed has to end


@dataclass(frozen=True)
class Moved:
    """How many datasets and jobs were moved, and where what was there before is `kept`."""

    datasets: int
    jobs: int
    to: str
    kept: str


def move_to_server(home: Path, url: str) -> Moved:
    """Move the catalogue of the workspace in `home` to the PostgreSQL server at `url`: whole, or
    not at all. The file is kept in `backups/`. UserError where it is there already, something is at
    work, or the server cannot be reached.
    """
    database = _server(url)
    known = read_location(home)
    if known is not None:
        raise UserError(f"The catalogue of this workspace is on a server already ({known.place}).")
    with _nobody_else(home):
        path = home / "catalogue.db"
        source = open_catalogue(home)
        _refuse_at_work(source)
        source.engine.dispose()
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as held:
            held.execute("BEGIN IMMEDIATE")  # nobody writes from here to the end
            datasets, jobs = source.copy()
            source.engine.dispose()

            def check(made: Catalogue) -> None:
                if made.copy() != (datasets, jobs):
                    raise UserError(
                        "What arrived on the server is not what was sent; nothing was changed here."
                    )

            kept = make_folder(home / "backups") / f"catalogue-{_now()}.db"
            with (
                closing(sqlite3.connect(path, timeout=10)) as whole,
                closing(sqlite3.connect(kept)) as copy,
            ):
                whole.backup(copy)
            try:
                settle(home, database, datasets, jobs, check)
            except BaseException:
                remove(kept)
                raise
            held.execute("ROLLBACK")
        for part in home.glob("catalogue.db*"):
            remove(part)
    return Moved(len(datasets), len(jobs), database.place, str(kept))


def move_to_folder(home: Path, url: str) -> Moved:
    """Move the catalogue of the workspace in `home` from the server at `url` to SQLite in the
    folder: whole, or not at all. The schema on the server is kept. UserError where it is here
    already, something is at work, or the server cannot be reached.
    """
    if read_location(home) is None:
        raise UserError("The catalogue of this workspace is in its folder already.")
    database = _server(url)
    with _nobody_else(home):
        source = open_on_server(home, database)
        _refuse_at_work(source)

        def take(c: Connection) -> tuple[list[dict[str, Any]], list[Job]]:
            c.execute(text("LOCK TABLE datasets, jobs IN SHARE MODE"))  # nobody writes meanwhile
            datasets, jobs = read_all(c)
            make_file(home / "catalogue.db", datasets, jobs)
            remove(home / LOCATION)
            return datasets, jobs

        datasets, jobs = source._do(take, "READ COMMITTED")
    assert isinstance(source.database, Postgres)
    kept = f"schema {source.database.schema} at {database.place}"
    return Moved(len(datasets), len(jobs), str(home / "catalogue.db"), kept)


def _server(url: str) -> Postgres:
    database = parse(url) if url else None
    if not isinstance(database, Postgres):
        raise UserError(
            "Name the server first: LIGHTBOX_CATALOGUE=postgresql://USER@HOST/DATABASE, also to"
            " move a catalogue away from it."
        )
    return database


def _now() -> str:
    return time.strftime("%Y%m%d-%H%M%S")


def _refuse_at_work(catalogue: Catalogue) -> None:
    at_work = len(catalogue.jobs(status=["queued", "running"]))
    if at_work:
        raise UserError(
            f"{at_work} job{'s are' if at_work > 1 else ' is'} queued or running; wait for the end,"
            " or cancel first."
        )


@contextmanager
def _nobody_else(home: Path) -> Iterator[None]:
    """Hold what the app, a supervisor and who repairs a catalogue hold while they use it. UserError
    where one of them is there.
    """
    release_supervisor(home)
    with ExitStack() as all_held:
        for name, wait, who in (
            (SERVER, 0.0, "The app serves this workspace; stop it first."),
            (SUPERVISOR, LEAVES, "Jobs of this workspace are looked after; wait for their end."),
        ):
            held = hold_lock(home / name, wait)
            if held is None:
                raise UserError(who)
            all_held.enter_context(held)
        yield
