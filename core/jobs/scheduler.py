"""One small process per workspace that starts workers in order: one import, one training for each
graphics card and one on the processors, and beside them the light jobs.

`python -m core.jobs.scheduler HOME` leaves by itself when there is nothing to do. Workers live in
sessions of their own: they finish even when it, the browser or the server is killed.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from core.io.files import keep_new_files_private
from core.io.locks import hold_lock
from core.jobs import reconciling, starting
from core.jobs.attempt_guard import MARK
from core.jobs.cluster import CLUSTER
from core.jobs.engines import CPU, LOCAL, LOOK, Engine
from core.jobs.standby import newest_code_time
from core.settings import Settings
from core.workspace import records
from core.workspace.catalogue import EVIDENCE, PATIENT, Job
from core.workspace.workspace import Workspace

HEAVY = ("train", EVIDENCE)  # the kinds of jobs of which one at a time has a lane
GRACE = 10.0  # seconds between asking a worker to stop and killing it


def main(home: str) -> None:
    """Look after the jobs of a workspace until none is left; returns at once where another does."""
    keep_new_files_private()
    ws = Workspace(Path(home))
    ws.catalogue.patience = PATIENT
    while True:
        held = hold_lock(ws.home / starting.SUPERVISOR)
        if held is None:
            return
        with suppress(OSError):
            starting.mark_supervisor_started(ws.home, os.getpid())
        try:
            outdated = _serve(ws)
        finally:
            LOCAL.release()
            CLUSTER.disconnect()
            held.close()
        # one may have come between the last look and giving up the lock
        if not ws.catalogue.jobs(status="queued"):
            return
        if outdated:
            starting.start_supervisor(ws.home)
            return


def _serve(ws: Workspace) -> bool:
    """Start jobs until there is nothing to do for a while; True where it stopped since the code it
    runs is no longer what is installed.
    """
    settings, code = Settings(), newest_code_time()
    idle_since, looked, wanted = time.monotonic(), time.monotonic(), starting.last_request(ws.home)
    stopping: dict[str, float] = {}
    cards = [lane for lane in LOCAL.lanes() if lane != CPU]
    on_cluster = settings.engine != "local"
    CLUSTER.look_after(ws)
    while True:
        reconciling.reconcile(ws)
        running = ws.catalogue.jobs(status="running")
        waiting = ws.catalogue.jobs(status="queued")
        for job in running:
            _stop_worker(job, stopping)
        if on_cluster:
            CLUSTER.ready()
            unplaced = {j.id for j in running if _waits(j)}
            starts = CLUSTER.in_turn(plan_handovers(waiting, running, unplaced), running)
        else:
            starts = plan_starts(waiting, running, cards, settings.light_jobs)
        for job, lane in starts:
            start_job(ws, job, lane, on_cluster)
        if settings.standby and not on_cluster:
            LOCAL.keep_ready(ws)
        wanted_before, wanted = wanted, starting.last_request(ws.home)
        released = wanted == 0 != wanted_before
        if running or waiting or wanted not in (wanted_before, 0):
            idle_since = time.monotonic()
        elif released or time.monotonic() - idle_since > settings.idle_seconds:
            return False
        if not (running or waiting) and time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            if newest_code_time() != code:
                return True
        time.sleep(0.2)


def plan_starts(
    waiting: list[Job], running: list[Job], cards: list[str], light: int
) -> list[tuple[Job, str]]:
    """Which waiting jobs, in their order, start now and in which lane. A training that may use a
    graphics card waits for one where there is any; one that was asked onto the processors does not
    wait for the cards. Nobody overtakes one who waits for the same.
    """
    free = {"import": 1, CPU: 1, "light": light, **dict.fromkeys(cards, 1)}
    for job in running:
        held = job.lane.split(",")
        for place in held if set(held) <= set(free) else _choose_lanes(job, cards, {}):
            free[place] = free.get(place, 0) - 1
    starts: list[tuple[Job, str]] = []
    for job in waiting:
        places = _choose_lanes(job, cards, free)
        if all(free[place] > 0 for place in places):
            starts.append((job, ",".join(places) if {*places} <= {CPU, *cards} else ""))
        for place in places:  # also of one who waits, so that nobody overtakes
            free[place] -= 1
    return starts


def plan_handovers(
    waiting: list[Job], running: list[Job], unplaced: set[str]
) -> list[tuple[Job, str]]:
    """Which waiting jobs are handed to the cluster now. It decides what runs where and beside what;
    the order stays ours: of trainings, and of all else, one at a time waits for its place there.
    Imports read files of this machine and take turns here.
    """
    taken = {_queue(j) for j in running if j.id in unplaced or j.kind == "import"}
    starts: list[tuple[Job, str]] = []
    for job in waiting:
        if _queue(job) not in taken:
            taken.add(_queue(job))
            starts.append((job, ""))
    return starts


def _queue(job: Job) -> str:
    if job.kind in HEAVY:
        return "train"
    return job.kind if job.kind == "import" else "light"


def _engine(job: Job) -> Engine:
    """Return the engine that has a running job."""
    return CLUSTER if job.born.startswith(MARK) else LOCAL


def _waits(job: Job) -> bool:
    return job.born.startswith(MARK) and CLUSTER.waits(job)


def _choose_lanes(job: Job, cards: list[str], free: dict[str, int]) -> list[str]:
    """Return what a job takes up: "import", "light", "cpu", or the numbers of cards, one for each
    of its processes, free ones where there are.
    """
    if job.kind not in HEAVY:
        return ["import" if job.kind == "import" else "light"]
    if job.device == "cpu" or not cards:
        return [CPU]
    return sorted(cards, key=lambda card: free.get(card, 0) <= 0)[: job.processes]


def start_job(ws: Workspace, job: Job, lane: str, on_cluster: bool = False) -> None:
    """Take a queued job and start it; what keeps it from starting (a full disk, a cluster that does
    not answer) is its failure, in a sentence.
    """
    from core.errors import UserError, user_sentence

    engine = CLUSTER if on_cluster and job.kind != "import" else LOCAL
    if not ws.catalogue.set_job(
        job.id,
        only_if="queued",
        status="running",
        started=time.time(),
        progress=0.0,
        phase="starting",
        pid=None,
        born="",
        heartbeat=None,
        lane=lane,
    ):
        return
    try:
        ws.catalogue.set_job(job.id, only_if="running", **engine.start(ws, job, lane))
    except (OSError, UserError) as e:
        if (said := user_sentence(e)) is None:
            raise
        records.end_job(
            ws.catalogue, ws.home, job, status="failed", error=said, finished=time.time()
        )


def _stop_worker(job: Job, stopping: dict[str, float]) -> None:
    """Kill a worker that has not heeded a cancel for GRACE seconds, first softly, then hard; what
    waits for its place on a cluster has no worker yet, and goes at once.
    """
    engine = _engine(job)
    if job.cancel and engine.alive(job):
        since = time.monotonic() - stopping.setdefault(job.id, time.monotonic())
        if since > GRACE or _waits(job):
            engine.stop(job, hard=since > GRACE + 3)


if __name__ == "__main__":
    main(sys.argv[1])
