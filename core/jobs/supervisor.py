"""One small process per workspace that starts workers in order: one import and one training at a time, and beside them the light jobs.

`python -m core.jobs.supervisor HOME` leaves by itself when there is nothing to do. Workers live in sessions of their own: they finish even
when it, the browser or the server is killed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import IO

import psutil

from core.jobs import queue
from core.settings import Settings
from core.store.catalogue import Job
from core.store.workspace import Workspace

GRACE = 10.0  # seconds between asking a worker to stop and killing it


def lock(ws: Workspace) -> IO[bytes] | None:
    """An exclusive hold on the workspace's supervisor lock, given up when closed; None when another process has it."""
    handle = open(ws.home / "supervisor.lock", "ab")  # noqa: SIM115 - the lock lasts as long as the handle
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return None
    return handle


def main(home: str) -> None:
    ws = Workspace(Path(home))
    while True:
        held = lock(ws)
        if held is None:
            return
        _serve(ws)
        held.close()
        if not ws.catalogue.jobs(status="queued"):  # one may have come between the last look and giving up the lock
            return


def _serve(ws: Workspace) -> None:
    settings, idle_since = Settings(), time.monotonic()
    stopping: dict[str, float] = {}
    children: list[object] = []
    while True:
        queue.reconcile(ws)
        running = ws.catalogue.jobs(status="running")
        for job in running:
            _stop(job, stopping)
        for lane, room in ((("import",), 1), (("train",), 1), (("map", "explain", "measure"), settings.light_jobs)):
            free = room - sum(j.kind in lane for j in running)
            for job in ws.catalogue.jobs(status="queued", kind=list(lane))[: max(0, free)]:
                threads = queue.free_threads()
                if ws.catalogue.set_job(job.id, only_if="queued", status="running", started=time.time(), progress=0.0, phase="starting", pid=None):
                    child = queue.spawn("core.jobs.worker", [str(ws.home), job.id], ws.folder(job.id) / "log.txt", threads)
                    children.append(child)
                    try:
                        ws.catalogue.set_job(job.id, only_if="running", pid=child.pid, pid_start=psutil.Process(child.pid).create_time())
                    except psutil.Error:  # gone already; the next look marks it
                        ws.catalogue.set_job(job.id, only_if="running", pid=child.pid, pid_start=0.0)
        children = [c for c in children if c.poll() is None]  # type: ignore[attr-defined] # reaps, so that a dead worker is no zombie
        if running or ws.catalogue.jobs(status="queued"):
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > settings.idle_seconds:
            return
        time.sleep(0.2)


def _stop(job: Job, stopping: dict[str, float]) -> None:
    """Kill a worker that has not heeded a cancel for GRACE seconds, first softly, then hard."""
    if not job.cancel or not queue.alive(job):
        return
    since = time.monotonic() - stopping.setdefault(job.id, time.monotonic())
    if since > GRACE:
        process = psutil.Process(job.pid)
        process.kill() if since > GRACE + 3 else process.terminate()


if __name__ == "__main__":
    main(sys.argv[1])
