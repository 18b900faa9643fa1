"""What jobs that explain a run are asked: the same words from pages and the command line, so that
one answer serves both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Clusters, Embedding, Map, Model
from core.errors import UserError
from core.explain.explained_targets import PLACE
from core.explain.latent_place import Way, find_way
from core.jobs.apply import load_data_as_seen
from core.jobs.run_folder import find_artifact
from core.registry import open_model

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.explain.attribution import Question
    from core.workspace.catalogue import Job
    from core.workspace.workspace import Workspace


def explain_spec(
    target: str, rows: np.ndarray, baseline: str = "mean", clusters: str = "", map: str = ""
) -> dict[str, Any]:
    """Return what is asked beside the way; `clusters` is the run that grouped the cases, kept where
    the target is one of its clusters; `map` the job that drew the map, kept where the target is a
    place on it.
    """
    spec: dict[str, Any] = {"target": target, "rows": np.asarray(rows).tolist()}
    if baseline != "mean":
        spec["baseline"] = baseline
    if target.startswith("cluster "):
        spec["clusters"] = clusters
    if target.startswith(f"{PLACE} "):
        spec["map"] = map
    return spec


def newest_map(ws: Workspace, run: str) -> str:
    """Return the id of the newest finished map of a run with two axes; "" where there is none."""
    found = ws.catalogue.jobs(on_run=run, kind="map", status="done")
    return next((job.id for job in found[::-1] if job.spec.get("dims") == 2), "")


def find_place(
    ws: Workspace, target: str, named: str | None, space: Embedding | None, data: Dataset
) -> Way | None:
    """Return the line to the place of a case on the map that the job `named` drew; None where the
    target is another.
    """
    kind, _, row = target.partition(" ")
    if kind != PLACE:
        return None
    if not named or space is None or not row.isdigit():
        raise UserError("A place is told of one case on a map that has been drawn.")
    made = ws.artifact(named, "map")
    assert isinstance(made, Map)
    return find_way(made, space, data, int(row))


def clustering_of(ws: Workspace, run: str) -> str:
    """Return the id of the newest finished run that grouped the cases of `run`, itself included;
    "" where there is none.
    """
    later = ws.catalogue.jobs(on_run=run, kind="train", status="done")
    for id in [*(job.id for job in later[::-1]), run]:
        if any(slug.startswith("clusters") for slug in ws.slugs(id)):
            return id
    return ""


def find_clusters(ws: Workspace, run: str, named: str | None) -> Clusters | None:
    """Return the clusters of cases that the run `named` found; None where none is named."""
    if not named:
        return None
    job = ws.job(named)
    if named != run and job.on_run != run:
        raise UserError(f"Run {named} has grouped another run than {run}.")
    found = (a for a in ws.artifacts(named).values() if isinstance(a, Clusters))
    return next((a for a in found if a.place is None), None)


def open_question(
    ws: Workspace, job: Job, device: str
) -> tuple[Any, Dataset, np.ndarray, Question]:
    """Return what an explanation is asked about: the opened model, the data as it sees them, the
    row ids, and what is asked beside way and target.
    """
    from core.explain.attribution import Question

    data = load_data_as_seen(ws, ws.job(job.on_run))
    model = find_artifact(ws, job.on_run, Model)
    rows = np.asarray(job.spec["rows"]) if job.spec.get("rows") else data.rows
    space = find_space(ws, job.on_run)
    ask = Question(
        baseline=job.spec.get("baseline", "mean"),
        space=space,
        clusters=find_clusters(ws, job.on_run, job.spec.get("clusters")),
        seed=job.seed,
        way=find_place(ws, job.spec["target"], job.spec.get("map"), space, data),
    )
    return open_model(model, device), data, rows[np.isin(rows, data.rows)], ask


def find_space(ws: Workspace, run: str) -> Embedding | None:
    """Return the latent space of a run, of cases; None where it has none."""
    found = (a for a in ws.artifacts(run).values() if isinstance(a, Embedding))
    return next((a for a in found if a.place is None), None)
