"""Asking for work: put a job into the catalogue, see that a supervisor is there to start it, wait
for it, cancel it, resume it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core import __version__
from core.artifacts import Embedding
from core.data.normal import keep_normal_only
from core.errors import UserError, require_train
from core.io.files import make_folder, remove, write_array
from core.io.room import require_room
from core.jobs import attempts
from core.jobs.apply import why_not_applied, why_not_tested_on
from core.jobs.reconciling import reconcile
from core.jobs.run_folder import find_artifact, remove_import
from core.jobs.starting import request_supervisor, start_supervisor, supervisor_has_died
from core.jobs.together import why_not_together
from core.method import check_params
from core.registry import method_class, methods
from core.settings import read_settings
from core.training.compatibility import why_not, why_not_chosen, why_not_on
from core.training.fit import key_of
from core.workspace import decisions, notes, records, review
from core.workspace.catalogue import EVIDENCE, Job, act_on
from core.workspace.import_request import REQUEST, write_request
from core.workspace.workspace import Workspace

GET_READY = 30.0  # seconds
_READY: dict[Path, float] = {}  # workspace -> when `prepare_worker` was called last
_ASKING = threading.Lock()  # two tabs at one moment: without it both find that nobody has asked yet


def train(
    ws: Workspace,
    dataset: str,
    method: str,
    params: dict[str, Any] | None = None,
    *,
    on: str = "",
    seed: int = 0,
    device: str = "auto",
    label: str = "",
    only: str = "",
    chosen: str = "",
    token: str = "",
    only_normal: bool = False,
    test: str = "",
    processes: int = 1,
) -> Job:
    """Queue a training run. `only` restricts it to some cases, `chosen` names the cases a method
    asks for: a saved group or COLUMN=VALUE each. `only_normal`: it learns from the normal cases
    (see `core.data.normal`) and describes all. `test` names another dataset that the model is
    applied to once it is trained, see `apply_after`.

    `processes` train it together, each on its part of every batch (`core.training.ranks`), on a GPU
    of its own where they use GPUs.

    With a `token` asking twice is asking once: the run asked for with this token before is given,
    or one that is asked for just so and has not ended.

    UserError when the method is unknown, the data or the earlier run does not fit, or a parameter
    is out of its bounds.
    """
    id = _new_id()
    ws.permit("train", f"run {id}: {_method_word(method)} on dataset {ws.entry(dataset)['id']}")
    if token and (before := ws.catalogue.jobs(token=token)):
        return before[0]
    kind = method_class(method)
    if kind is None:
        raise UserError(f"There is no method “{method}” (there are: {', '.join(methods())}).")
    require_train()
    require_room(ws.home)
    checked = check_params(kind, params or {})
    rows = {
        "only": notes.find_named_rows(ws, dataset, only) if only else None,
        "chosen": notes.find_named_rows(ws, dataset, chosen) if chosen else None,
    }
    data = ws.dataset(dataset) if rows["only"] is None else ws.dataset(dataset).of(rows["only"])
    learned = keep_normal_only(data) if only_normal else data
    said = why_not(kind, learned)
    if said and only_normal:
        raise UserError(
            f"{kind.title} cannot learn from the normal cases of “{data.name}” alone: {said}"
        )
    if said:
        raise UserError(
            f"{kind.title} does not fit {f'the cases “{only}” of ' if only else ''}“{data.name}”:"
            f" {said}"
        )
    _check_seed(seed)
    base = finished_run(ws, on, "built upon") if on else None
    said = why_not_on(kind, ws.artifacts(base.id) if base else {}, data)
    if said:
        raise UserError(said)
    if base and kind.takes.on_same_data and base.dataset != ws.entry(dataset)["id"]:
        raise UserError(
            f"Run {base.id} was made on another dataset; choose a run on “{data.name}”."
        )
    if said := why_not_chosen(kind, rows["chosen"], data):
        raise UserError(said)
    if said := why_not_together(kind, processes, device):
        raise UserError(said)
    held_out = ws.entry(test)["id"] if test else ""
    if held_out and (said := why_not_tested_on(kind, data, ws.dataset(test))):
        raise UserError(said)
    named_cases = {
        "only": only,
        "chosen": chosen,
        "only_normal": data.normal if only_normal else "",
        "test": held_out,
    }
    spec = {
        "params": checked.model_dump(mode="json"),
        **{k: v for k, v in named_cases.items() if v},
        **({"processes": processes} if processes > 1 else {}),
    }
    named = {k: v for k, v in rows.items() if v is not None}
    key = key_of(
        "train",
        ws.entry(dataset)["id"],
        data.hash,
        method,
        spec,
        base.id if base else "",
        seed,
        device,
        {k: v.tolist() for k, v in named.items()},
    )
    with _ASKING:
        if token and (
            same := ws.catalogue.jobs(kind="train", key=key, status=["queued", "running"])
        ):
            ensure_supervisor(ws)
            return same[0]
        return _submit(
            ws,
            Job(
                id=id,
                kind="train",
                dataset=ws.entry(dataset)["id"],
                method=method,
                on_run=base.id if base else "",
                seed=seed,
                device=device,
                label=label,
                spec=spec,
                key=key,
                token=token or None,
            ),
            named,
        )


def apply(ws: Workspace, run: str, dataset: str, token: str = "") -> Job:
    """Queue the application of a run's model to another dataset, or give the job that does so.

    The result is a run of its own on that dataset. UserError when the run is not done or was
    itself applied, its method describes only its own data, or the data does not fit.
    """
    id = _new_id()
    ws.permit(
        "train", f"run {id}: run {ws.job(run).id} applied to dataset {ws.entry(dataset)['id']}"
    )
    if token and (before := ws.catalogue.jobs(token=token)):
        return before[0]
    require_room(ws.home)
    base, entry = finished_run(ws, run, "applied"), ws.entry(dataset)
    if base.kind == "apply":
        raise UserError(f"{base.id} is an application of run {base.on_run}; name that run.")
    said = why_not_applied(ws, base, entry["name"])
    if said:
        raise UserError(said)
    key = key_of("apply", base.id, ws.data_hash(entry["name"]))
    with _ASKING:
        for job in ws.catalogue.jobs(key=key, status=["done", "queued", "running"]):
            ensure_supervisor(ws)
            return job
        return _submit(
            ws,
            Job(
                id=id,
                kind="apply",
                dataset=entry["id"],
                method=base.method,
                on_run=base.id,
                seed=base.seed,
                device=base.device,
                label=base.label,
                spec={"params": base.params},
                key=key,
                token=token or None,
            ),
        )


def apply_after(ws: Workspace, trained: Job) -> Job | None:
    """Return the application of a finished run to the dataset that was held out for it by name;
    queued at most once. None where none was named.
    """
    held_out = trained.spec.get("test")
    return apply(ws, trained.id, held_out, token=f"test-{trained.id}") if held_out else None


def import_data(
    ws: Workspace,
    path: Path,
    name: str | None = None,
    options: dict[str, Any] | None = None,
    uploaded: Path | None = None,
    token: str = "",
) -> Job:
    """Queue an import of a file, zip or folder; `options` are those of `core.data.readers.read`.
    `uploaded`: a folder of ours that goes with the job. Asking twice with one `token` is asking
    once.

    UserError when there is nothing at `path` or the name is taken; what is inside is looked at by
    the job. Who is signed in is who accepted the data, whatever the options say.
    """
    id = _new_id()
    ws.permit("data", f"import {id}")
    if token and (before := ws.catalogue.jobs(token=token)):
        return before[0]
    require_room(ws.home)
    if not Path(path).exists():
        raise UserError(f"There is no file or folder {Path(path).name}.")
    if name is not None:
        name = ws.free(name)
    if ws.access.person and options and options.get("accepted"):
        options = options | {"accepted": options["accepted"] | {"by": ws.access.person}}
    job = Job(id=id, kind="import", dataset="", label=name or "", token=token or None)
    folder = make_folder(ws.folder(job.id), new=True)
    try:
        write_request(folder, Path(path).absolute(), name, options or {}, uploaded)
    except BaseException:
        remove(folder)
        raise
    return _submit(ws, job)


def unfinished_imports(ws: Workspace) -> list[Job]:
    """Return imports that are at work, or were broken off and can go on (what they were asked for
    is still there), in the order they were asked for.
    """
    found = ws.catalogue.jobs(kind="import", status=["queued", "running", "interrupted"])
    return [job for job in found if (ws.folder(job.id) / REQUEST).exists()]


def discard_import(ws: Workspace, id: str) -> None:
    """Take away an import that has ended, with what it left; of one that succeeded meanwhile the
    dataset stays. UserError while it is at work.
    """
    import json

    job = ws.job(id)
    place = ws.folder(job.id) / REQUEST
    uploaded = json.loads(place.read_text())["uploaded"] if place.exists() else None
    ws.remove_run(job.id)
    if job.status != "done":
        remove_import(ws, job.id)
    if uploaded:
        remove(Path(uploaded))


def derive(ws: Workspace, kind: str, run: str, spec: dict[str, Any], seed: int = 0) -> Job:
    """Queue a map, explanation or measurement of a finished run, or give the job that made (or is
    making) exactly this before. UserError for the map of a run without coordinates.
    """
    ws.permit("compute", f"{kind} of run {ws.job(run).id}")
    base = finished_run(ws, run, "looked at")
    _check_seed(seed)
    key = derived_key(ws, base, kind, spec, seed)
    with _ASKING:
        for job in ws.catalogue.jobs(key=key, status=["done", "queued", "running"]):
            ensure_supervisor(ws)
            return job
        if kind == "map":
            find_artifact(ws, base.id, Embedding, spec.get("artifact"))
        return _submit(
            ws,
            Job(
                id=_new_id(),
                kind=kind,
                dataset=base.dataset,
                method=base.method,
                on_run=base.id,
                spec=spec,
                key=key,
                seed=seed,
            ),
        )


def measure_card(ws: Workspace, method: str, spec: dict[str, Any]) -> Job:
    """Queue the benchmark of a method's card, see `core.jobs.evidence_jobs`."""
    ws.permit("train", f"benchmark of {method}")
    return _submit(ws, Job(_new_id(), EVIDENCE, dataset="", method=method, spec=spec))


def derived_key(ws: Workspace, base: Job, kind: str, spec: dict[str, Any], seed: int) -> str:
    """Return what tells one map, explanation or measurement of a run from another. Figures are
    measured again once cases are excluded or another class is the normal one; a map keeps its
    places.
    """
    out: list[Any] = ws.hidden(base.dataset).tolist() if kind == "measure" else []
    told = (
        decisions.last_normal(review.list_decisions(ws, base.dataset))
        if kind == "measure"
        else None
    )
    return key_of(
        kind,
        base.id,
        spec,
        seed,
        *([out] if out else []),
        *([{"normal": told}] if told is not None else []),
    )


def finished_run(ws: Workspace, run: str, use: str) -> Job:
    """Return the run of this id, trained or applied. UserError when it is something made from a
    run, or not done.
    """
    job = ws.job(run)
    if job.kind not in ("train", "apply"):
        raise UserError(f"{job.id} was made from run {job.on_run} ({job.kind}); name that run.")
    if job.status != "done":
        raise UserError(f"Run {job.id} is {job.status}; only a finished run can be {use}.")
    return job


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UserError(f"The seed must be a whole number from 0 to {2**32 - 1}, not {seed}.")


def _method_word(method: str) -> str:
    # whatever else was asked for names no method, and may name anything
    return method if method_class(method) else "an unknown method"


def _new_id() -> str:
    """Return an id that no job has."""
    return uuid.uuid4().hex[:10]


def _submit(ws: Workspace, job: Job, rows: dict[str, np.ndarray] | None = None) -> Job:
    """Make the job's folder, keep the named rows there (groups may change later), and hand it to
    the supervisor.
    """
    # opened before there is a record: a missing catalogue is rebuilt from records
    catalogue = ws.catalogue
    folder = make_folder(ws.folder(job.id))
    try:
        for name, ids in (rows or {}).items():
            write_array(folder / f"{name}.npy", ids)
        job = replace(job, created=time.time(), version=__version__)
        records.write_record(ws.home, job)
        added = catalogue.add_job(job)
    except BaseException:
        remove(folder)
        raise
    if not added:  # the same press came twice at once
        remove(folder)
        job = ws.catalogue.jobs(token=job.token)[0]
    ensure_supervisor(ws)
    return ws.job(job.id)


def ensure_supervisor(ws: Workspace) -> None:
    """Start the supervisor process of this workspace unless there is one. Costs a file lock when
    there is nothing to do. Where it dies as it starts, time after time, the jobs that wait for it
    fail with the reason.
    """
    if not ws.catalogue.jobs(status=["queued", "running"]):
        return
    said = start_supervisor(ws.home)
    failed: dict[str, Any] = {"status": "failed", "error": said, "finished": time.time()}
    for job in ws.catalogue.jobs(status="queued") if said else ():
        if ws.catalogue.set_job(job.id, only_if="queued", **failed):
            with suppress(OSError):
                records.write_record(ws.home, replace(job, **failed))


def prepare_worker(ws: Workspace) -> None:
    """Have a worker wait for what is asked for next; called whenever a page is drawn. Costs next to
    nothing, at most twice a minute a file lock.
    """
    if read_settings().standby and time.monotonic() - _READY.get(ws.home, -1e9) > GET_READY:
        _READY[ws.home] = time.monotonic()
        request_supervisor(ws.home)


def wait(
    ws: Workspace, id: str, tell: Callable[[Job], None] | None = None, timeout: float | None = None
) -> Job:
    """Wait for the job's end; `tell` gets it at each look. UserError after `timeout` seconds."""
    began, pause = time.monotonic(), 0.05
    while True:
        job = ws.job(id)
        if tell is not None:
            tell(job)
        if job.ended:
            return job
        if timeout is not None and time.monotonic() - began > timeout:
            raise UserError(
                f"Run {id} has not ended after {timeout:.0f} seconds; it goes on, look at it with"
                f" `lightbox runs show {id}`."
            )
        if supervisor_has_died(ws.home) or int((time.monotonic() - began) / 5) != int(
            (time.monotonic() - began - pause) / 5
        ):
            ensure_supervisor(ws)
        time.sleep(pause)
        pause = min(0.5, pause * 1.3)


def cancel(ws: Workspace, id: str) -> Job:
    """Ask a job to stop; it stops within two seconds, or is killed after ten. Cancelling what has
    ended changes nothing.
    """
    ws.permit(act_on(ws.job(id)), f"{ws.job(id).kind} {ws.job(id).id}: cancelled")
    job = ws.job(id)
    if ws.catalogue.set_job(job.id, only_if="queued", status="cancelled", finished=time.time()):
        job = ws.job(job.id)
        records.write_record(ws.home, job)
        return job
    ws.catalogue.set_job(job.id, only_if="running", cancel=1)
    ensure_supervisor(ws)
    return ws.job(job.id)


def resume(ws: Workspace, id: str, from_scratch: bool = False) -> Job:
    """Queue an interrupted, cancelled or failed run again, from its last checkpoint (from the start
    where it has none, or when it is to begin `from_scratch`).

    UserError when it is done, or would end where it has ended twice.
    """
    ws.permit(act_on(ws.job(id)), f"{ws.job(id).kind} {ws.job(id).id}: resumed")
    reconcile(ws)
    job = ws.job(id)
    if job.status == "done":
        raise UserError(f"Run {job.id} is done; there is nothing to resume.")
    if not from_scratch and (cause := why_would_fail_again(ws, job)):
        raise UserError(
            f"Run {job.id} ended twice at the same step in the same way ({cause}); going on from"
            f" there would end so again. Begin it again with `lightbox runs resume {job.id}"
            " --from-scratch`, or train with other parameters."
        )
    again: dict[str, Any] = {
        "status": "queued",
        "resume": 1,
        "cancel": 0,
        "error": "",
        "bug": "",
        "finished": None,
        "pid": None,
        "born": "",
        "version": __version__,
    }
    if from_scratch:
        again |= {"resume": 0, "note": "", "seconds": 0.0}
    elif job.version not in ("", __version__):
        words = (
            f"Begun with Lightbox {job.version} and gone on with {__version__}: it may differ from"
            " a run made with one of them throughout."
        )
        again["note"] = "\n".join(filter(None, [job.note, words]))
    if job.ended:
        # first: an old ending there must not be taken for that of the new attempt
        records.write_record(ws.home, replace(job, **again))
        ws.catalogue.set_job(job.id, only_if=("interrupted", "cancelled", "failed"), **again)
    ensure_supervisor(ws)
    return ws.job(job.id)


def why_would_fail_again(ws: Workspace, job: Job) -> str:
    """Return what would end a job again if it went on, or a map or explanation if it was made once
    more: what has ended it twice at the same step, by the work's own fault. "" where it may go
    well.
    """
    if not job.ended or job.status == "done":
        return ""
    alike = (
        ws.catalogue.jobs(key=job.key) if job.key and job.kind not in ("train", "import") else [job]
    )
    return attempts.find_repeated_cause([a for j in alike for a in attempts.load(ws.folder(j.id))])
