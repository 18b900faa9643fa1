"""The catalogue: one database that lists datasets and jobs, SQLite (WAL) in the workspace unless
LIGHTBOX_CATALOGUE names another.

Files are in folders; this is only their index, and `core.workspace.upgrade` can rebuild it from
them.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import DatabaseError, IntegrityError

from core.errors import FAULTS, Full, UserError
from core.io.files import has_room

T = TypeVar("T")

STATES = ("queued", "running", "done", "failed", "cancelled", "interrupted")
ENDED = ("done", "failed", "cancelled", "interrupted")
REFUSED = {  # what SQLite says: what the user is told
    "disk i/o error": FAULTS[errno.EIO],
    "readonly database": FAULTS[errno.EACCES],
    "unable to open": (
        "The catalogue of the workspace cannot be opened; see that its folder is there and may be"
        " written."
    ),
    "malformed": (
        "The catalogue of the workspace is damaged; start Lightbox again and it is rebuilt from"
        " the folders. Runs and data are not touched."
    ),
    "not a database": (
        "The catalogue of the workspace is damaged; start Lightbox again and it is rebuilt from"
        " the folders. Runs and data are not touched."
    ),
}

_meta = MetaData()
_datasets = Table(
    "datasets",
    _meta,
    Column("id", String, primary_key=True),
    Column("name", String, unique=True, nullable=False),
    Column("hash", String),
    Column("modality", String),
    Column("n", Integer),
    Column("sample", Integer, default=0),
    Column("created", Float),
)
_jobs = Table(
    "jobs",
    _meta,
    Column("id", String, primary_key=True),
    Column("kind", String),
    Column("dataset", String),
    Column("method", String),
    Column("on_run", String),
    Column("spec", JSON),
    Column("key", String, index=True),
    Column("seed", Integer),
    Column("device", String),
    Column("status", String, index=True),
    Column("progress", Float),
    Column("eta", Float),
    Column("phase", String),
    Column("error", String),
    Column("bug", String),
    Column("cancel", Integer),
    Column("resume", Integer),
    Column("pid", Integer),
    Column("pid_start", Float),
    Column("heartbeat", Float),
    Column("created", Float),
    Column("started", Float),
    Column("finished", Float),
    Column("seconds", Float),
    Column("label", String),
    Column("note", String, server_default=""),
    Column("token", String, index=True, unique=True),
    Column("version", String, server_default=""),
    Column("born", String, server_default=""),
    Column("lane", String, server_default=""),
    Column("place", Integer),
)


# kinds of job that make something from a finished run
DERIVED = ("map", "explain", "measure", "counterfactual", "concept", "steer")


@dataclass(frozen=True)
class Job:
    """One row of the queue. `kind` is import, train, apply (of the model of `on_run` to `dataset`),
    one of DERIVED; times are seconds since the epoch; `seconds` is compute time so far.

    `born` tells the very process `pid` from a later one of that number, `lane` where it computes,
    `version` by which Lightbox, `place` its turn; of the jobs with one `token` there is one only.
    `note` is a sentence to be read beside a result: what the run went without, or fell back to.
    `error` is a sentence for the user; `bug` is the id under which the log has the traceback, empty
    when the user can fix it.
    """

    id: str
    kind: str
    dataset: str
    method: str = ""
    on_run: str = ""
    spec: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    seed: int = 0
    device: str = "auto"
    status: str = "queued"
    progress: float = 0.0
    eta: float | None = None
    phase: str = ""
    error: str = ""
    bug: str = ""
    cancel: int = 0
    resume: int = 0
    pid: int | None = None
    pid_start: float | None = None
    heartbeat: float | None = None
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    seconds: float = 0.0
    label: str = ""
    note: str = ""
    token: str | None = None
    version: str = ""
    born: str = ""
    lane: str = ""
    place: int | None = None

    @property
    def ended(self) -> bool:
        """Whether it is done, failed, cancelled or interrupted."""
        return self.status in ENDED

    @property
    def params(self) -> dict[str, Any]:
        """The method's parameters it was asked for with."""
        return self.spec.get("params", {})


# seconds for which a process that nobody waits for goes on asking a catalogue that another process
# holds
PATIENT = 3600.0


class Busy(UserError):
    """Another process holds the catalogue."""

    def __init__(self) -> None:
        super().__init__(
            "The workspace is busy: another program holds its catalogue. Nothing is lost; try again"
            " in a moment."
        )


class Catalogue:
    """Datasets and jobs of one workspace. Safe for several processes: short transactions, WAL.

    While another process holds the database each call tries again for `patience` seconds; then
    UserError says that it is busy.
    """

    patience = 10.0

    def __init__(self, where: Path | str, full: bool = False) -> None:
        """`where`: the path of an SQLite file, or a SQLAlchemy URL. The schema is taken as it
        should be; see `core.workspace.upgrade`.

        `full`: no byte is free, so that SQLite cannot open the file as usual (it needs 32 kB beside
        it). It can still be read, as long as no process writes to it; to write raises `Full`.
        """
        self.full, self.folder = full, None if isinstance(where, str) else where.parent
        if isinstance(where, str):
            url = where
        elif full:
            url = f"sqlite:///file:{quote(str(where))}?mode=ro&immutable=1&uri=true"
        else:
            url = f"sqlite:///{where}"
        lite = url.startswith("sqlite")
        self.engine = create_engine(
            url, connect_args={"timeout": 1, "check_same_thread": False} if lite else {}
        )
        if lite and not full:

            @event.listens_for(self.engine, "connect")
            def _pragmas(connection: Any, _: Any) -> None:
                for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
                    connection.execute(f"PRAGMA {pragma}").close()

    def _do(self, work: Callable[[Connection], T], patience: float | None = None) -> T:
        end = time.monotonic() + (self.patience if patience is None else patience)
        while True:
            try:
                with self.engine.begin() as c:
                    return work(c)
            except IntegrityError:
                raise
            except DatabaseError as e:
                said = str(e.orig).lower()
                if self._no_room(said):
                    raise Full from None
                if "locked" in said or "busy" in said:
                    if time.monotonic() < end:
                        time.sleep(0.1)
                        continue
                    raise Busy from None
                for words, told in REFUSED.items():
                    if words in said:
                        raise UserError(told) from None
                raise

    def _no_room(self, said: str) -> bool:
        """Whether what SQLite says is of a full disk. Trap: of that it also speaks as of an I/O
        error.
        """
        if "disk i/o error" in said and self.folder is not None:
            return not has_room(self.folder)
        return "disk is full" in said or ("readonly" in said and self.full)

    # -- datasets ----------------------------------------------------------------------------------
    def add_dataset(self, **values: Any) -> None:
        """Add a dataset. UserError where the name is taken."""
        try:
            self._do(
                lambda c: c.execute(insert(_datasets).values(**({"created": time.time()} | values)))
            )
        except IntegrityError:
            raise UserError(
                f"There is already a dataset called “{values['name']}”; choose another name or"
                " remove it first."
            ) from None

    def datasets(self) -> list[dict[str, Any]]:
        """All datasets, oldest first."""
        return self._do(
            lambda c: [
                dict(r._mapping) for r in c.execute(select(_datasets).order_by(_datasets.c.created))
            ]
        )

    def set_dataset(self, id: str, **values: Any) -> None:
        """Change values of a dataset."""
        self._do(
            lambda c: c.execute(update(_datasets).where(_datasets.c.id == id).values(**values))
        )

    def remove_dataset(self, id: str) -> None:
        """Take a dataset out; its files stay."""
        self._do(lambda c: c.execute(sql_delete(_datasets).where(_datasets.c.id == id)))

    # -- jobs --------------------------------------------------------------------------------------
    def add_job(self, job: Job) -> bool:
        """Put a job at the end of the queue; False when one with its token is there already.
        `created` is now unless it says so.
        """
        last = select(func.coalesce(func.max(_jobs.c.place), 0) + 1).scalar_subquery()
        values = vars(job) | {
            "created": job.created or time.time(),
            "place": last if job.place is None else job.place,
        }
        try:
            self._do(lambda c: c.execute(insert(_jobs).values(**values)))
        except IntegrityError:
            if job.token and self.jobs(token=job.token):
                return False
            raise
        return True

    def job(self, id: str) -> Job | None:
        """Return a job, or None."""
        found = self.jobs(id=id)
        return found[0] if found else None

    def jobs(self, **equal: Any) -> list[Job]:
        """Jobs whose columns equal (or, given a list, are among) these values, in the order they
        were asked for, whatever the clock said.
        """
        query = select(_jobs).order_by(_jobs.c.place, _jobs.c.created)
        for key, value in equal.items():
            column = _jobs.c[key]
            query = query.where(
                column.in_(value) if isinstance(value, (list, tuple)) else column == value
            )
        return self._do(lambda c: [Job(**r._mapping) for r in c.execute(query)])

    def set_job(self, id: str, only_if: str | tuple[str, ...] | None = None, **values: Any) -> bool:
        """Change a job; with `only_if`, only while its status is (among) that. True when it was
        changed.
        """
        query = update(_jobs).where(_jobs.c.id == id)
        if only_if is not None:
            query = query.where(
                _jobs.c.status.in_([only_if] if isinstance(only_if, str) else only_if)
            )
        return self._do(lambda c: c.execute(query.values(**values)).rowcount == 1)

    def remove_job(self, id: str) -> None:
        """Take a job out; its folder stays."""
        self._do(lambda c: c.execute(sql_delete(_jobs).where(_jobs.c.id == id)))
