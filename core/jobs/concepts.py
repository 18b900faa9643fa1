"""Concepts of a run: how they are asked for, and the job that tests them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import ConceptTest, Model
from core.explain.concepts import (
    RANDOM,
    Concept,
    concept_of_column,
    concept_of_rows,
    measure_concepts,
)
from core.jobs.apply import load_data_as_seen
from core.jobs.run_folder import find_artifact, save_artifacts
from core.registry import open_model
from core.training.fit import describe_origin
from core.training.run import Run
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.jobs.reporter import Reporter


def column_spec(column: str, value: str = "") -> dict[str, Any]:
    """Return how a concept is asked for by a column; "" as the value: its upper third."""
    return {"column": column, "value": value}


def rows_spec(name: str, rows: np.ndarray) -> dict[str, Any]:
    """Return how a concept is asked for by its cases."""
    return {"name": name, "rows": sorted(int(r) for r in rows)}


def make_spec(concepts: Sequence[dict[str, Any]], layer: str = "") -> dict[str, Any]:
    """Return what `queue.derive` takes for testing concepts; tested before with the same spec, they
    are not tested again.
    """
    return {"concepts": list(concepts), "layer": layer, "random": RANDOM}


def open_concept(data: Dataset, given: dict[str, Any]) -> Concept:
    """Return the concept that was asked for. UserError where `data` lacks its column or value."""
    if "rows" in given:
        return concept_of_rows(data, np.asarray(given["rows"], np.int64), given["name"])
    return concept_of_column(data, given["column"], given["value"])


def try_concepts(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Test concepts on the model of a run."""
    began = time.monotonic()
    tell.phase("testing concepts")
    run, spec = Run(job.seed, "cpu"), job.spec
    data = load_data_as_seen(ws, ws.job(job.on_run))

    made = measure_concepts(
        open_model(find_artifact(ws, job.on_run, Model)),
        data,
        [open_concept(data, given) for given in spec["concepts"]],
        spec["layer"],
        spec["random"],
        job.seed,
        tell.share,
    )
    for k, one in enumerate(made):
        one.name = "" if len(made) == 1 else f"{k + 1:03d}"
        one.made_by = describe_origin(
            job.on_run, "concept", spec, data, run, time.monotonic() - began
        )
    save_artifacts(ws.folder(job.id), made)


def load_tests(ws: Workspace, job: str) -> list[ConceptTest]:
    """Return what a job found, in the order the concepts were asked for."""
    found = [ws.artifact(job, slug) for slug in sorted(ws.slugs(job))]
    return [a for a in found if isinstance(a, ConceptTest)]
