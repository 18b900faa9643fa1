"""Asking for a run once more, as it was asked for, with its data as it is now."""

from __future__ import annotations

from core.jobs import queue
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace


def train_again(ws: Workspace, job: Job, *, seed: int, token: str = "") -> Job:
    """Queue the training run `job` again: the same method, parameters, cases (all, some, or the
    normal ones only), data it is applied to afterwards, device and processes; `token` as in
    `queue.train`. UserError as there.
    """
    spec = job.spec
    return queue.train(
        ws,
        ws.entry(job.dataset)["name"],
        job.method,
        job.params,
        on=job.on_run,
        seed=seed,
        device=job.device,
        only=spec.get("only", ""),
        chosen=spec.get("chosen", ""),
        token=token,
        only_normal=bool(spec.get("only_normal")),
        test=spec.get("test", ""),
        processes=int(spec.get("processes", 1)),
    )
