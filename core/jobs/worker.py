"""One job in one process: `python -m core.jobs.worker HOME JOB`. It writes its own state; nobody has to listen."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from core.errors import Cancelled, UserError, sentence, trace
from core.jobs import tasks
from core.jobs.engines import born
from core.store import records
from core.store.catalogue import Job
from core.store.files import append, remove, write_bytes
from core.store.workspace import Workspace

PATIENCE = 3600.0  # seconds it waits for a catalogue that another process holds


class Reporter:
    """Progress of one job: heartbeat and cancel flag by a thread each second, curve points to `scalars.jsonl`, percentage and time left."""

    def __init__(self, ws: Workspace, job: Job) -> None:
        self.ws, self.job = ws, job
        self.cancelled = threading.Event()
        self.began, self.before = time.monotonic(), job.seconds
        self._told, self._start = 0.0, (0, time.monotonic())
        self._wrote: dict[tuple[str, ...], float] = {}  # quantities that come together -> when they were written last
        self._phase = ""
        self._curve = ws.folder(job.id) / "scalars.jsonl"
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self._over.is_set():
            with suppress(UserError):  # a catalogue that cannot be reached now may be at the next beat
                self.ws.catalogue.set_job(self.job.id, heartbeat=time.time(), seconds=self.seconds)
                job = self.ws.catalogue.job(self.job.id)
                if job is None or job.cancel:
                    self.cancelled.set()
            self._over.wait(1.0)

    def close(self) -> None:
        """The heart stops."""
        self._over.set()

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.began

    def stop(self) -> bool:
        return self.cancelled.is_set()

    def phase(self, words: str) -> None:
        """Say what is going on now; checked for cancelling here as well."""
        if self.stop():
            raise Cancelled
        self._phase = words
        self.ws.catalogue.mention(self.job.id, phase=words)
        print(f"{time.strftime('%H:%M:%S')} {words}")  # noqa: T201 - the worker's standard output is the run's log

    def _cut(self, step: int) -> None:
        """Drop the points of an interrupted attempt from `step` on: they are learned, and written, again."""
        kept = [p for p in self.ws.scalars(self.job.id) if p["step"] < step]
        write_bytes(self._curve, "".join(json.dumps(p) + "\n" for p in kept).encode())

    def step(self, step: int, total: int, scalars: dict[str, float]) -> None:
        """A finished step of `total`; scalars may be 0-d tensors. Each set of quantities is written at most ten times a second, and the last one always."""
        now, last = time.monotonic(), step >= total
        if self._start[0] == 0:
            self._start = (step, now)
            if self.job.resume:
                self._cut(step)
        if scalars and (now - self._wrote.get(tuple(scalars), 0.0) > 0.1 or last):
            self._wrote[tuple(scalars)] = now
            values = {k: float(v) for k, v in scalars.items()}
            append(self._curve, json.dumps({"step": step, "total": total, "seconds": round(self.seconds, 2), **values}) + "\n")
        if now - self._told > 0.5 or last:
            self._told = now
            done = step - self._start[0]
            eta = (now - self._start[1]) / done * (total - step) if done else None
            self.ws.catalogue.mention(self.job.id, progress=min(1.0, step / max(1, total)), eta=eta)


def _clear(folder: Path) -> None:
    """Take away what an attempt that did not end well has left: artifacts are of finished jobs only."""
    for name in ("artifacts.tmp", "artifacts"):
        remove(folder / name)


def work(ws: Workspace, id: str) -> None:
    """Do the job `id`, which is running, to its end, and write down how it ended; nothing where it no longer is (it was cancelled meanwhile)."""
    if not ws.catalogue.set_job(id, only_if="running", pid=os.getpid(), born=born(os.getpid())):
        return
    job, folder = ws.job(id), ws.folder(id)
    reporter = Reporter(ws, job)
    _clear(folder)
    status, error, bug = "failed", "", ""
    try:
        records.write(ws.home, job)
        if not job.resume:
            write_bytes(folder / "scalars.jsonl", b"")
        tasks.TASKS[job.kind](ws, job, reporter)
        if reporter.stop():
            raise Cancelled
        status = "done"
    except Cancelled:
        status = "cancelled"
    except MemoryError:
        error = "The machine ran out of memory; try a smaller batch size, fewer rows or smaller images."
    except Exception as e:
        error = sentence(e) or ""
        if not isinstance(e, UserError):
            bug = uuid.uuid4().hex[:8]
            print(f"error {bug}")  # noqa: T201
            print(trace(e, words=job.kind != "import"))  # noqa: T201
            if type(e).__name__ == "OutOfMemoryError":  # torch's: the user can mend it
                error = "The GPU ran out of memory; try a smaller batch size."
            error, bug = (error, "") if error else (f"Something went wrong inside; the run's log has it under {bug}.", bug)
    if status != "done":
        _clear(folder)
    reporter.close()
    values = {"status": status, "error": error, "bug": bug, "finished": time.time(), "seconds": reporter.seconds, "eta": None}
    records.ended(ws, job, **values, **({"progress": 1.0, "phase": ""} if status == "done" else {}))


def main(home: str, id: str) -> None:
    ws = Workspace(Path(home))
    ws.catalogue.patience = PATIENCE
    work(ws, id)
    sys.stdout.flush()
    os._exit(0)  # threads of libraries do not hold the process


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
