"""Steering features of a run: what can be asked for, and the job that measures it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from core.artifacts import Embedding, Model
from core.errors import UserError
from core.explain.steering import steer, why_no_steering
from core.jobs.apply import load_data_as_seen
from core.jobs.run_folder import find_artifact, save_artifacts
from core.registry import open_model
from core.training.fit import describe_origin
from core.training.run import Run
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from core.jobs.reporter import Reporter


def make_spec(
    feature: int, strength: float = 1.0, off: bool = False, row: int | None = None
) -> dict[str, Any]:
    """Return what `queue.derive` takes for steering feature number `feature` (from 0); asked for
    before with the same spec, it is not measured again.
    """
    strength = 0.0 if off else round(float(strength), 2)
    return {"feature": int(feature), "strength": strength, "off": bool(off), "row": row}


def open_coder(ws: Workspace, run: str) -> tuple[Any, Embedding]:
    """Return the fitted sparse autoencoder of a run and its codes. UserError where the run is
    another's.
    """
    job = ws.job(run)
    coder = open_model(find_artifact(ws, run, Model))
    if (why := why_no_steering(coder)) is not None:
        raise UserError(why)
    if job.kind != "train":
        raise UserError(
            "A feature is steered in the run that learned it, not where it was applied to other"
            " data."
        )
    return coder, find_artifact(ws, run, Embedding)


def steer_feature(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Measure what one feature of a sparse autoencoder changes."""
    began = time.monotonic()
    tell.phase("measuring what the feature changes")
    run, spec = Run(job.seed, "cpu"), job.spec
    coder, codes = open_coder(ws, job.on_run)
    data = load_data_as_seen(ws, ws.job(job.on_run))
    below = ws.job(job.on_run).on_run
    if not below:
        raise UserError("The run that this one was learned on is no longer known.")
    try:
        base = open_model(find_artifact(ws, below, Model))
    except UserError:
        base = None
    made = steer(
        coder,
        codes,
        base,
        find_artifact(ws, below, Embedding),
        data,
        spec["feature"],
        spec["strength"],
        spec["off"],
        spec["row"],
        job.seed,
        tell.share,
    )
    made.made_by = describe_origin(job.on_run, "steer", spec, data, run, time.monotonic() - began)
    save_artifacts(ws.folder(job.id), [made])
