"""What became of jobs whose process is gone."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from core.errors import Full
from core.jobs import attempts
from core.jobs.engines import LOCAL
from core.jobs.run_folder import remove_leftovers, undo
from core.workspace import records
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

STOPPED = {
    "run": (
        "The process stopped before it was done; resume the run to go on from its last checkpoint."
    ),
    "import": (
        "The import stopped before it was done. Nothing half imported is shown anywhere; it can go"
        " on behind what was stored."
    ),
}
STALE = 30.0  # seconds a job may be about to start before it counts as interrupted
# what a process tells of its end
ENDING = (
    "status",
    "error",
    "bug",
    "note",
    "finished",
    "seconds",
    "progress",
    "phase",
    "eta",
    "dataset",
)
# running jobs without a process yet -> when this process first saw them so, by a clock nobody sets
_unseen: dict[str, float] = {}


def reconcile(ws: Workspace) -> None:
    """Make what is shown of running jobs true once their process is gone: as it ended by the record
    in its folder, else interrupted (cancelled where that was asked). On a full disk what can be
    computed again goes first; where that does not do, all is shown as it was.
    """
    try:
        _reconcile(ws)
    except Full:
        ws.make_room()
        with suppress(Full):
            _reconcile(ws)


def _reconcile(ws: Workspace) -> None:
    for job in ws.catalogue.jobs(status="running"):
        if LOCAL.alive(job):
            continue
        if (
            job.pid is None
            and time.monotonic() - _unseen.setdefault(job.id, time.monotonic()) < STALE
        ):
            continue  # it is being started
        told = records.read_record(ws.folder(job.id))
        if told is not None and told.ended:
            ws.catalogue.set_job(job.id, only_if="running", **{k: getattr(told, k) for k in ENDING})
            continue
        remove_leftovers(ws, job)
        if job.cancel:  # it did not heed the wish to stop, so it was killed
            undo(ws, job)
            records.end_job(
                ws.catalogue, ws.home, job, status="cancelled", finished=time.time(), error=""
            )
        elif not _handle_death(ws, job):
            records.end_job(
                ws.catalogue,
                ws.home,
                job,
                status="interrupted",
                finished=time.time(),
                error=STOPPED["import" if job.kind == "import" else "run"],
            )


def _handle_death(ws: Workspace, job: Job) -> bool:
    """Deal with a job whose process is known to have ended by its own fault. One that died before
    it began is started once more; one that has ended twice alike fails, in a sentence. False where
    a kill, or what nobody knows, ended it.
    """
    folder, code = ws.folder(job.id), LOCAL.ending(job)
    if not code:
        return False
    points = list(ws.scalars(job.id))
    attempt = attempts.attempt_of_exit(code, job.phase, int(points[-1]["step"]) if points else 0)
    attempts.add(folder, attempt)
    if not attempt.own:
        return False
    again = bool(attempts.find_repeated_cause(attempts.load(folder)))
    if job.heartbeat is None and not again:
        again_queued: dict[str, Any] = {"status": "queued", "pid": None, "born": "", "phase": ""}
        if ws.catalogue.set_job(job.id, only_if="running", **again_queued):
            records.write_record(ws.home, replace(job, **again_queued))
        return True
    status = "interrupted"
    error = (
        f"The process was brought down from within ({attempt.cause}). It may go on from its"
        " last checkpoint; where that ends so again, it is a bug."
    )
    if again:
        said = (
            attempts.last_line(folder / "log.txt")
            if job.heartbeat is None and job.kind != "import"
            else ""
        )
        at = (
            "as it started"
            if job.heartbeat is None
            else f"at the same step ({attempt.step}, {attempt.phase or 'starting'})"
        )
        status = "failed"
        error = f"The process ended twice {at}, by {attempt.cause}." + (
            f" The last line of its log: {said}" if said else ""
        )
    records.end_job(ws.catalogue, ws.home, job, status=status, finished=time.time(), error=error)
    return True
