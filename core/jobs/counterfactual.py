"""Counterfactuals of the cases of a run: what can be asked for, and the job that finds one."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from core.artifacts import AnomalyMaps, Embedding, Model
from core.errors import UserError
from core.explain.counterfactual import find_counterfactual
from core.jobs.apply import load_data_as_seen
from core.jobs.run_folder import find_artifact, save_artifacts
from core.registry import open_model
from core.training.fit import describe_origin
from core.training.run import Run
from core.workspace import notes
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from core.jobs.reporter import Reporter


def find_threshold(ws: Workspace, run: str) -> float | None:
    """Return the threshold of a run's anomaly score: that a person set, else its own; None where it
    has none.
    """
    if (chosen := notes.load_threshold(ws, run)) is not None:
        return float(chosen["value"])
    try:
        maps = find_artifact(ws, run, AnomalyMaps)
    except UserError:
        return None
    return None if maps.threshold is None or maps.shows == "doubt" else float(maps.threshold)


def make_spec(
    ws: Workspace, run: str, row: int, target: str, locked: Iterable[str] = ()
) -> dict[str, Any]:
    """Return what `queue.derive` takes for the counterfactual of a case; one asked for before with
    the same spec is not searched again.
    """
    threshold = find_threshold(ws, run) if target == "score" else None
    return {"row": int(row), "target": target, "threshold": threshold, "locked": sorted(locked)}


def change_case(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Find the smallest change of one case that flips what the model of a run says of it."""
    began = time.monotonic()
    tell.phase("looking for the smallest change")
    run, spec = Run(job.seed, "cpu"), job.spec
    data = load_data_as_seen(ws, ws.job(job.on_run))
    try:
        embedding = find_artifact(ws, job.on_run, Embedding)
    except UserError:
        embedding = None

    made = find_counterfactual(
        open_model(find_artifact(ws, job.on_run, Model)),
        data,
        embedding,
        spec["row"],
        spec["target"],
        spec["threshold"],
        spec["locked"],
        tell.share,
    )
    made.made_by = describe_origin(
        job.on_run, "counterfactual", spec, data, run, time.monotonic() - began
    )
    save_artifacts(ws.folder(job.id), [made])
