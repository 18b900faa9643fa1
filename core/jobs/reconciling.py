"""What became of jobs whose process is gone."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from core.errors import Full
from core.jobs import attempts
from core.jobs.attempt_guard import MARK
from core.jobs.attempts import Attempt
from core.jobs.cluster import CLUSTER
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
LOST = "node lost"  # the cause of an attempt of which a cluster has lost the node
LOSSES = 3  # in a row, after which a job is not queued again by itself
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
        on_cluster = job.born.startswith(MARK)
        if (CLUSTER if on_cluster else LOCAL).alive(job):
            continue
        if (
            job.pid is None
            and not on_cluster
            and time.monotonic() - _unseen.setdefault(job.id, time.monotonic()) < STALE
        ):
            continue  # it is being started
        told = records.read_record(ws.folder(job.id))
        if told is not None and told.ended:
            ws.catalogue.set_job(job.id, only_if="running", **{k: getattr(told, k) for k in ENDING})
            continue
        if on_cluster and not job.cancel and _handle_loss(ws, job):
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


def _handle_loss(ws: Workspace, job: Job) -> bool:
    """Deal with an attempt that a cluster has lost: the job is queued again, to go on from its last
    checkpoint, up to `LOSSES` times in a row. What a node could not begin with fails, in its
    sentence. False where the job's process ended by itself, or was lost too often.

    What the attempt left is not touched here: it may still be leaving. The next one, which has the
    folder to itself, takes it away.
    """
    refusal, code = CLUSTER.refusal(job), CLUSTER.ending(job)
    CLUSTER.forget(job)
    if refusal:
        records.end_job(
            ws.catalogue, ws.home, job, status="failed", error=refusal, finished=time.time()
        )
        return True
    if code is not None:
        return False
    folder, points = ws.folder(job.id), list(records.read_curves(ws.folder(job.id)))
    step = int(points[-1]["step"]) if points else 0
    attempts.add(folder, Attempt(LOST, job.phase, step, own=False))
    if [a.cause for a in attempts.load(folder)][-LOSSES:] == [LOST] * LOSSES:
        return False
    again: dict[str, Any] = {
        "status": "queued",
        "resume": 1,
        "pid": None,
        "born": "",
        "phase": "",
        "note": "\n".join(
            filter(
                None,
                [
                    job.note,
                    f"Its node of the cluster was lost after step {step}; gone on"
                    " from the last checkpoint.",
                ],
            )
        ),
    }
    if ws.catalogue.set_job(job.id, only_if="running", **again):
        records.write_record(ws.home, replace(job, **again))
    return True


def _handle_death(ws: Workspace, job: Job) -> bool:
    """Deal with a job whose process is known to have ended by its own fault. One that died before
    it began is started once more; one that has ended twice alike fails, in a sentence. False where
    a kill, or what nobody knows, ended it.
    """
    engine = CLUSTER if job.born.startswith(MARK) else LOCAL
    folder, code = ws.folder(job.id), engine.ending(job)
    if not code:
        return False
    points = list(records.read_curves(ws.folder(job.id)))
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
