"""Asking for work: put a job into the catalogue, see that a supervisor is there to start it, wait for it, cancel it, resume it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from core.engine import key_of
from core.errors import UserError
from core.method import check_params, why_not, why_not_on
from core.registry import method_class, methods
from core.store import notes
from core.store.catalogue import Job
from core.store.files import write_array
from core.store.workspace import Workspace

STALE = 30.0  # seconds without a heartbeat after which a running job whose process is gone counts as interrupted


def train(
    ws: Workspace, dataset: str, method: str, params: dict[str, Any] | None = None, *, on: str = "", seed: int = 0, device: str = "auto", label: str = "",
    only: str = "", chosen: str = "",
) -> Job:  # fmt: skip
    """Queue a training run. `only` restricts it to some cases, `chosen` names the cases a method asks for: a saved group or COLUMN=VALUE each.

    UserError when the method is unknown, the data or the earlier run does not fit, or a parameter is out of its bounds.
    """
    kind = method_class(method)
    if kind is None:
        raise UserError(f"There is no method “{method}” (there are: {', '.join(methods())}).")
    checked = check_params(kind, params or {})
    rows = {"only": notes.named_rows(ws, dataset, only) if only else None, "chosen": notes.named_rows(ws, dataset, chosen) if chosen else None}
    data = ws.dataset(dataset) if rows["only"] is None else ws.dataset(dataset).of(rows["only"])
    said = why_not(kind, data)
    if said:
        raise UserError(f"{kind.title} does not fit {f'the cases “{only}” of ' if only else ''}“{data.name}”: {said}")
    _check_seed(seed)
    base = _finished(ws, on, "built upon") if on else None
    said = why_not_on(kind, ws.artifacts(base.id) if base else {}, data)
    if said:
        raise UserError(said)
    if base and kind.takes.on_same_data and base.dataset != ws.entry(dataset)["id"]:
        raise UserError(f"Run {base.id} was made on another dataset; choose a run on “{data.name}”.")
    if kind.takes.chosen == "needed" and not chosen:
        raise UserError(f"{kind.title} needs to know which cases; save them as a group first and name it (on the command line: --chosen GROUP).")
    spec = {"params": checked.model_dump(mode="json"), **{k: v for k, v in (("only", only), ("chosen", chosen)) if v}}
    return _submit(ws, Job(
        id=_new_id(), kind="train", dataset=ws.entry(dataset)["id"], method=method, on_run=base.id if base else "", seed=seed, device=device, label=label, spec=spec,
    ), {k: v for k, v in rows.items() if v is not None})  # fmt: skip


def bring(ws: Workspace, path: Path, name: str | None = None, options: dict[str, Any] | None = None, uploaded: Path | None = None) -> Job:
    """Queue an import of a file, zip or folder; `options` are those of `core.data.readers.read`. `uploaded`: a folder of ours that goes with the job.

    UserError when there is nothing at `path` or the name is taken; what is inside is looked at by the job.
    """
    from core.data.importing import request

    if not Path(path).exists():
        raise UserError(f"There is no file or folder {Path(path).name}.")
    if name is not None:
        name = ws.free(name)
    job = Job(id=_new_id(), kind="import", dataset="", label=name or "")
    ws.folder(job.id).mkdir(parents=True)
    request(ws.folder(job.id), Path(path).absolute(), name, options or {}, uploaded)
    return _submit(ws, job)


def discard(ws: Workspace, id: str) -> None:
    """Take away an import that has ended without success, with what it left. UserError while it is at work."""
    import json
    import shutil

    from core.data.importing import REQUEST

    place = ws.folder(ws.job(id).id) / REQUEST
    uploaded = json.loads(place.read_text())["uploaded"] if place.exists() else None
    ws.remove_run(id)
    shutil.rmtree(ws.home / "datasets" / f"tmp-{id}", ignore_errors=True)
    if uploaded:
        shutil.rmtree(uploaded, ignore_errors=True)


def derive(ws: Workspace, kind: str, run: str, spec: dict[str, Any], seed: int = 0) -> Job:
    """Queue a map, explanation or measurement of a finished run, or give the job that made (or is making) exactly this before."""
    base = _finished(ws, run, "looked at")
    _check_seed(seed)
    key = derived_key(ws, base, kind, spec, seed)
    for job in ws.catalogue.jobs(key=key, status=["done", "queued", "running"]):
        ensure_supervisor(ws)
        return job
    return _submit(ws, Job(id=_new_id(), kind=kind, dataset=base.dataset, method=base.method, on_run=base.id, spec=spec, key=key, seed=seed))


def derived_key(ws: Workspace, base: Job, kind: str, spec: dict[str, Any], seed: int) -> str:
    """What tells one map, explanation or measurement of a run from another. Figures are measured anew once cases are excluded; a map keeps its places."""
    out = ws.hidden(base.dataset).tolist() if kind == "measure" else []
    return key_of(kind, base.id, spec, seed, *([out] if out else []))


def _finished(ws: Workspace, run: str, use: str) -> Job:
    """The training run of this id. UserError when it is something made from a run, or not done."""
    job = ws.job(run)
    if job.kind != "train":
        raise UserError(f"{job.id} was made from run {job.on_run} ({job.kind}); name that run.")
    if job.status != "done":
        raise UserError(f"Run {job.id} is {job.status}; only a finished run can be {use}.")
    return job


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UserError(f"The seed must be a whole number from 0 to {2**32 - 1}, not {seed}.")


def _new_id() -> str:
    return uuid.uuid4().hex[:10]


def _submit(ws: Workspace, job: Job, rows: dict[str, np.ndarray] | None = None) -> Job:
    """Make the job's folder, keep the named rows there (groups may change later), and hand it to the supervisor."""
    ws.folder(job.id).mkdir(parents=True, exist_ok=True)
    for name, ids in (rows or {}).items():
        write_array(ws.folder(job.id) / f"{name}.npy", ids)
    ws.catalogue.add_job(job)
    ensure_supervisor(ws)
    return ws.job(job.id)


def ensure_supervisor(ws: Workspace) -> None:
    """Start the supervisor process of this workspace unless one holds its lock. Costs a file lock when there is nothing to do."""
    from core.jobs.supervisor import lock

    if not ws.catalogue.jobs(status=["queued", "running"]):
        return
    held = lock(ws)
    if held is None:
        return
    held.close()
    spawn("core.jobs.supervisor", [str(ws.home)], ws.home / "log" / "supervisor.log")


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def free_threads(look: float = 0.3) -> int:
    """How many processors nobody uses just now, at least one; looks for `look` seconds. Trap: threads that share a busy processor wait for one
    another by spinning, and arithmetic of a second takes minutes."""
    cores = psutil.cpu_count() or 1
    return max(1, round(cores * (1 - psutil.cpu_percent(look) / 100)))


def spawn(module: str, args: list[str], log: Path, threads: int | None = None) -> subprocess.Popen[bytes]:
    """Start `python -m module args` in a session of its own, output appended to `log`: it outlives whoever started it. `threads` bounds those of its
    arithmetic, where the environment does not."""
    root = str(Path(__file__).parents[2])
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])), "PYTHONUNBUFFERED": "1"}
    if threads is not None:
        env = dict.fromkeys(THREADS, str(threads)) | env
    with open(log, "ab") as out:
        return subprocess.Popen([sys.executable, "-m", module, *args], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, env=env)


def wait(ws: Workspace, id: str, tell: Callable[[Job], None] | None = None, timeout: float | None = None) -> Job:
    """Poll until the job has ended; `tell` gets it at each look. UserError after `timeout` seconds."""
    began, pause = time.monotonic(), 0.05
    while True:
        job = ws.job(id)
        if tell is not None:
            tell(job)
        if job.ended:
            return job
        if timeout is not None and time.monotonic() - began > timeout:
            raise UserError(f"Run {id} has not ended after {timeout:.0f} seconds; it goes on, look at it with `lightbox runs show {id}`.")
        if int((time.monotonic() - began) / 5) != int((time.monotonic() - began - pause) / 5):
            ensure_supervisor(ws)
        time.sleep(pause)
        pause = min(0.5, pause * 1.3)


def cancel(ws: Workspace, id: str) -> Job:
    """Ask a job to stop; it stops within two seconds, or is killed after ten. Cancelling what has ended changes nothing."""
    job = ws.job(id)
    if ws.catalogue.set_job(job.id, only_if="queued", status="cancelled", finished=time.time()):
        return ws.job(job.id)
    ws.catalogue.set_job(job.id, only_if="running", cancel=1)
    ensure_supervisor(ws)
    return ws.job(job.id)


def resume(ws: Workspace, id: str) -> Job:
    """Queue an interrupted, cancelled or failed run again, from its last checkpoint (from the start where it has none)."""
    reconcile(ws)
    job = ws.job(id)
    if job.status == "done":
        raise UserError(f"Run {job.id} is done; there is nothing to resume.")
    ws.catalogue.set_job(job.id, only_if=("interrupted", "cancelled", "failed"), status="queued", resume=1, cancel=0, error="", bug="", finished=None, pid=None)
    ensure_supervisor(ws)
    return ws.job(job.id)


def alive(job: Job) -> bool:
    """Whether the very process that took this job still runs (a reused pid has another start time)."""
    try:
        return job.pid is not None and abs(psutil.Process(job.pid).create_time() - (job.pid_start or 0)) < 2 and psutil.Process(job.pid).status() != "zombie"
    except psutil.Error:
        return False


def reconcile(ws: Workspace) -> None:
    """Mark running jobs whose process is gone as interrupted (cancelled where that was asked), so that what is shown is true."""
    for job in ws.catalogue.jobs(status="running"):
        if not alive(job) and (job.pid is not None or time.time() - (job.started or 0) > STALE):
            status, error = "interrupted", "The process stopped before it was done; resume the run to go on from its last checkpoint."
            if job.cancel:  # it did not heed the wish to stop, so it was killed
                status, error = "cancelled", ""
            ws.catalogue.set_job(job.id, only_if="running", status=status, finished=time.time(), error=error)
