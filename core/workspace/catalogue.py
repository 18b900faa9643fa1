"""The catalogue: one database that lists datasets and jobs, SQLite (WAL) in the workspace unless
LIGHTBOX_CATALOGUE names another, see `core.workspace.databases`.

Files are in folders; this is only their index, and `core.workspace.upgrade` can rebuild it from
them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoneFree

from core.errors import UserError
from core.io.events import log_event
from core.people.roles import Act
from core.workspace.databases import Database, Lite, parse

T = TypeVar("T")

STATES = ("queued", "running", "done", "failed", "cancelled", "interrupted")
ENDED = ("done", "failed", "cancelled", "interrupted")
# seeds go to 2^32 - 1, which SQLite's own integers hold and those of PostgreSQL do not
SEED = BigInteger().with_variant(Integer, "sqlite")

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
    Column("seed", SEED),
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
EVIDENCE = "benchmark"  # the kind of jobs that measure a card again; they have no dataset
DERIVED = ("map", "explain", "measure", "counterfactual", "concept", "steer")


@dataclass(frozen=True)
class Job:
    """One row of the queue. `kind` is import, train, apply (of the model of `on_run` to `dataset`),
    one of DERIVED, EVIDENCE; times are seconds since the epoch; `seconds` is compute time so far.

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

    @property
    def processes(self) -> int:
        """How many processes train it together."""
        return int(self.spec.get("processes", 1))


def act_on(job: Job) -> Act:
    """Return what stopping, resuming or removing a job is, of what a role may do."""
    if job.kind in DERIVED:
        return "compute"
    return "data" if job.kind == "import" else "train"


# seconds for which a process that nobody waits for goes on asking a catalogue that another process
# holds
PATIENT = 3600.0
UNREACHABLE = 0.5  # share of a call's patience that is spent on a server that does not answer


class Catalogue:
    """Datasets and jobs of one workspace. Safe for several processes: short transactions, WAL.

    While another process holds the database, or its server does not answer, each call tries again
    for `patience` seconds; then UserError says so. A connection that breaks is made anew.
    """

    patience = 10.0
    project: str | None = None  # whose it is, for the log of events

    def __init__(self, where: Path | str | Database, full: bool = False) -> None:
        """`where`: the path of an SQLite file, a SQLAlchemy URL, or a database. The schema is taken
        as it should be; see `core.workspace.upgrade`. `full`: see `Lite`; to write raises `Full`.
        """
        if isinstance(where, Path):
            where = Lite(where, full=full)
        self.database = parse(where) if isinstance(where, str) else where
        self.full = full
        self.engine = self.database.engine()

    def _do(
        self,
        work: Callable[[Connection], T],
        level: str | None = None,
        lost: list[bool] | None = None,
    ) -> T:
        """Give what `work` gives. `level`: "READ COMMITTED" where it is more than one statement
        that are to be done all or none, wherever the database does each by itself. `lost` becomes
        longer by one each time the connection breaks in the middle.
        """
        began, engine = time.monotonic(), self.engine
        if level is not None and not isinstance(self.database, Lite):
            engine = engine.execution_options(isolation_level=level)
        while True:
            try:
                with engine.begin() as c:
                    return work(c)
            except IntegrityError:
                raise
            except (DatabaseError, NoneFree) as e:
                trouble = self.database.trouble(e)
                if trouble is None:
                    raise
                if trouble.lost and lost is not None:
                    lost.append(True)
                wait = random.uniform(0.05, 0.15)  # not all of those that wait at one moment
                patience = self.patience * (UNREACHABLE if trouble.lost else 1)
                if not trouble.passes or time.monotonic() + wait > began + patience:
                    raise trouble.told from None
                time.sleep(wait)

    def _write_once(
        self,
        work: Callable[[Connection], bool],
        stands: Callable[[], bool],
        level: str | None = None,
    ) -> bool:
        """Do `work`, and tell whether it changed something; once, even where the connection breaks
        between the change and its being acknowledged. `stands`: whether what it writes is there.
        Trap: done a second time it finds nothing to do, as if another had been first.
        """
        lost: list[bool] = []
        try:
            return self._do(work, level, lost) or (bool(lost) and stands())
        except IntegrityError:
            if lost and stands():
                return True
            raise

    def describe(self) -> str:
        """Which database of which version this is, where, and that it can be reached."""
        if isinstance(self.database, Lite):
            version = self._do(lambda c: c.exec_driver_sql("SELECT sqlite_version()").scalar_one())
            return f"SQLite {version}, in {self.database.path or 'the file that was named'}"
        version = self._do(lambda c: c.exec_driver_sql("SHOW server_version").scalar_one())
        return (
            f"PostgreSQL {version.split()[0]} at {self.database.place}, schema"
            f" {self.database.schema}: reachable"
        )

    # -- datasets ----------------------------------------------------------------------------------
    def add_dataset(self, **values: Any) -> None:
        """Add a dataset. UserError where the name is taken."""
        values = {"created": time.time()} | values
        try:
            self._write_once(
                lambda c: c.execute(insert(_datasets).values(**values)) is not None,
                lambda: any(e.items() >= values.items() for e in self.datasets()),
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
        values = _storable(
            vars(job)
            | {
                "created": job.created or time.time(),
                "place": last if job.place is None else job.place,
            }
        )

        def add(c: Connection) -> bool:
            self.database.take_turn(c)
            c.execute(insert(_jobs).values(**values))
            return True

        def stands() -> bool:
            found = self.job(job.id)
            return found is not None and found.created == values["created"]

        try:
            added = self._write_once(add, stands, "READ COMMITTED")
            if added:
                self._log(job.id, job.status, kind=job.kind, method=job.method or None)
            return added
        except IntegrityError:
            if job.token and self.jobs(token=job.token):
                return False
            raise

    def job(self, id: str) -> Job | None:
        """Return a job, or None."""
        found = self.jobs(id=id)
        return found[0] if found else None

    def jobs(self, **equal: Any) -> list[Job]:
        """Jobs whose columns equal (or, given a list, are among) these values, in the order they
        were asked for, whatever the clock said.
        """
        query = select(_jobs).order_by(_jobs.c.place.nulls_first(), _jobs.c.created)
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
        query = query.values(**_storable(values))

        def stands() -> bool:
            found = self.job(id)
            return found is not None and vars(found).items() >= values.items()

        changed = self._write_once(lambda c: c.execute(query).rowcount == 1, stands)
        if changed and "status" in values:
            self._log(id, values["status"], seconds=values.get("seconds"))
        return changed

    def _log(self, id: str, state: str, **facts: str | float | None) -> None:
        log_event("job", project=self.project, id=id, state=state, **facts)

    def count_jobs(self) -> list[tuple[str, str, int, float]]:
        """Return (kind, status, how many, seconds of compute time in all), for each there is."""
        query = select(
            _jobs.c.kind, _jobs.c.status, func.count(), func.coalesce(func.sum(_jobs.c.seconds), 0)
        ).group_by(_jobs.c.kind, _jobs.c.status)
        return self._do(lambda c: [(k, s, int(n), float(t)) for k, s, n, t in c.execute(query)])

    def remove_job(self, id: str) -> None:
        """Take a job out; its folder stays."""
        self._do(lambda c: c.execute(sql_delete(_jobs).where(_jobs.c.id == id)))

    # -- all at once -------------------------------------------------------------------------------
    def copy(self) -> tuple[list[dict[str, Any]], list[Job]]:
        """All datasets and jobs, as they were at one moment."""
        return self._do(read_all, "REPEATABLE READ")


def read_all(c: Connection) -> tuple[list[dict[str, Any]], list[Job]]:
    """Return all datasets and jobs, within the transaction of `c`."""
    datasets = c.execute(select(_datasets).order_by(_datasets.c.created)).mappings()
    jobs = c.execute(select(_jobs).order_by(_jobs.c.place.nulls_first(), _jobs.c.created))
    return [dict(d) for d in datasets], [Job(**r._mapping) for r in jobs]


def fill(c: Connection, datasets: list[dict[str, Any]], jobs: list[Job]) -> None:
    """Write datasets and jobs into an empty catalogue, within the transaction of `c`."""
    if datasets:
        c.execute(insert(_datasets), datasets)
    if jobs:
        c.execute(insert(_jobs), [_storable(vars(job)) for job in jobs])


def _storable(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as both databases hold them: PostgreSQL has no letter 0."""
    return {k: v.replace("\0", "\ufffd") if isinstance(v, str) else v for k, v in values.items()}
