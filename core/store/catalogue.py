"""The catalogue: one SQLite database (WAL) that lists datasets and jobs. Files are in folders; this is only their index."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Column, Float, Integer, MetaData, String, Table, create_engine, event, insert, inspect, select, update
from sqlalchemy import delete as sql_delete

STATES = ("queued", "running", "done", "failed", "cancelled", "interrupted")
ENDED = ("done", "failed", "cancelled", "interrupted")

_meta = MetaData()
_datasets = Table(
    "datasets", _meta, Column("id", String, primary_key=True), Column("name", String, unique=True, nullable=False), Column("hash", String),
    Column("modality", String), Column("n", Integer), Column("sample", Integer, default=0), Column("created", Float),
)  # fmt: skip
_jobs = Table(
    "jobs", _meta, Column("id", String, primary_key=True), Column("kind", String), Column("dataset", String), Column("method", String),
    Column("on_run", String), Column("spec", JSON), Column("key", String, index=True), Column("seed", Integer), Column("device", String),
    Column("status", String, index=True), Column("progress", Float), Column("eta", Float), Column("phase", String), Column("error", String),
    Column("bug", String), Column("cancel", Integer), Column("resume", Integer), Column("pid", Integer), Column("pid_start", Float),
    Column("heartbeat", Float), Column("created", Float), Column("started", Float), Column("finished", Float), Column("seconds", Float),
    Column("label", String), Column("note", String, server_default=""),
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One row of the queue. `kind` is import, train, map, explain or measure; times are seconds since the epoch; `seconds` is compute time so far.

    `note` is a sentence to be read beside a result: what the run went without, or fell back to. `error` is a sentence for the user; `bug` is the id
    under which the log has the traceback, empty when the user can mend it.
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

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def params(self) -> dict[str, Any]:
        return self.spec.get("params", {})


class Catalogue:
    """Datasets and jobs of one workspace. Safe for several processes: short transactions, WAL, a busy timeout of 10 s."""

    def __init__(self, path: Path) -> None:
        self.engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 10, "check_same_thread": False})

        @event.listens_for(self.engine, "connect")
        def _pragmas(connection: Any, _: Any) -> None:
            for pragma in ("journal_mode=WAL", "busy_timeout=10000", "synchronous=NORMAL"):
                connection.execute(f"PRAGMA {pragma}")

        _meta.create_all(self.engine)
        with self.engine.begin() as c:
            if "note" not in {column["name"] for column in inspect(c).get_columns("jobs")}:
                c.exec_driver_sql("ALTER TABLE jobs ADD COLUMN note VARCHAR DEFAULT ''")

    # -- datasets -------------------------------------------------------------------------------------------------------------------
    def add_dataset(self, **values: Any) -> None:
        with self.engine.begin() as c:
            c.execute(insert(_datasets).values(created=time.time(), **values))

    def datasets(self) -> list[dict[str, Any]]:
        with self.engine.connect() as c:
            return [dict(r._mapping) for r in c.execute(select(_datasets).order_by(_datasets.c.created))]

    def set_dataset(self, id: str, **values: Any) -> None:
        with self.engine.begin() as c:
            c.execute(update(_datasets).where(_datasets.c.id == id).values(**values))

    def remove_dataset(self, id: str) -> None:
        with self.engine.begin() as c:
            c.execute(sql_delete(_datasets).where(_datasets.c.id == id))

    # -- jobs -----------------------------------------------------------------------------------------------------------------------
    def add_job(self, job: Job) -> None:
        with self.engine.begin() as c:
            c.execute(insert(_jobs).values(**vars(job) | {"created": time.time()}))

    def job(self, id: str) -> Job | None:
        found = self.jobs(id=id)
        return found[0] if found else None

    def jobs(self, **equal: Any) -> list[Job]:
        """Jobs whose columns equal (or, given a list, are among) these values, oldest first."""
        query = select(_jobs).order_by(_jobs.c.created)
        for key, value in equal.items():
            column = _jobs.c[key]
            query = query.where(column.in_(value) if isinstance(value, (list, tuple)) else column == value)
        with self.engine.connect() as c:
            return [Job(**r._mapping) for r in c.execute(query)]

    def set_job(self, id: str, only_if: str | tuple[str, ...] | None = None, **values: Any) -> bool:
        """Change a job; with `only_if`, only while its status is (among) that. True when it was changed."""
        query = update(_jobs).where(_jobs.c.id == id)
        if only_if is not None:
            query = query.where(_jobs.c.status.in_([only_if] if isinstance(only_if, str) else only_if))
        with self.engine.begin() as c:
            return c.execute(query.values(**values)).rowcount == 1

    def remove_job(self, id: str) -> None:
        with self.engine.begin() as c:
            c.execute(sql_delete(_jobs).where(_jobs.c.id == id))
