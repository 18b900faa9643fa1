"""Applying a trained model to data it has not learned from: what it says of every case there."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import AnomalyMaps, Embedding, Metrics, Model
from core.data.dataset import Dataset
from core.data.normal import keep_normal_only
from core.errors import UserError
from core.evaluate import measure
from core.jobs.run_folder import find_artifact, load_named_rows, save_artifacts
from core.method import Method
from core.registry import method_class, open_model
from core.training.fit import describe, describe_origin, describes_own_only
from core.training.other_data import as_the_model_sees, find_shared, match
from core.training.run import Run
from core.training.scope import count_inside, measure_scope
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

if TYPE_CHECKING:
    from core.jobs.reporter import Reporter


def apply_model(ws: Workspace, job: Job, tell: Reporter) -> None:
    """Store what the model of an earlier run says of data it has not learned from.

    The same artifacts as there, with the thresholds of that run; how far each case lies from
    the training data; and measures where the truth is known.
    """
    began = time.monotonic()
    trained = ws.job(job.on_run)
    model: Model = find_artifact(ws, trained.id, Model)
    tell.phase("comparing it with the training data")
    own = load_training_data(ws, trained)
    data, notes = as_the_model_sees(own, ws.dataset(job.dataset), model)
    for note in [*notes, *find_shared(own, data)]:
        tell.note(note)
    run = Run(job.seed, job.device, report_to=tell.step, stop=tell.stop, part_to=tell.part)
    method = open_model(model, str(run.where))
    if not method.other_data:
        raise UserError(describes_own_only(method))
    tell.phase("describing every case")
    artifacts = describe(method, data, run)
    for artifact in artifacts:
        if isinstance(artifact, AnomalyMaps):
            _keep_threshold(ws, trained.id, artifact)
    tell.phase("measuring")
    metrics = list(measure(data, {a.slug: a for a in artifacts}, None, job.seed, report=tell.part))
    embedding = next((a for a in artifacts if isinstance(a, Embedding) and a.place is None), None)
    if embedding is not None and embedding.slug in ws.slugs(trained.id):
        learned = ws.artifact(trained.id, embedding.slug)
        assert isinstance(learned, Embedding)
        scope = measure_scope(own, learned, embedding)
        if scope is not None:
            artifacts.append(scope)
            metrics.insert(0, count_inside(scope, data.of(scope.rows).groups))
    artifacts.append(Metrics.of(metrics, data.rows))
    made = describe_origin(
        job.id, trained.method, model.params, data, run, time.monotonic() - began
    )
    notes = ws.job(job.id).note.splitlines()
    for artifact in artifacts:
        artifact.made_by = replace(made, notes=notes)
    save_artifacts(ws.folder(job.id), artifacts)


def load_training_data(ws: Workspace, trained: Job) -> Dataset:
    """Return the rows in use of the data a run learned from: all of it, or those the run saw."""
    data = ws.dataset(trained.dataset)
    if "only" in trained.spec:
        rows = load_named_rows(ws.folder(trained.id), "only")
        data = data.of(rows[np.isin(rows, data.rows)])
    normal = trained.spec.get("only_normal")
    return keep_normal_only(data, normal) if normal else data


def load_data_as_seen(ws: Workspace, run: Job) -> Dataset:
    """Return the data of a run as its model saw it: of an applied one, columns and range
    matched.
    """
    data = ws.dataset(run.dataset)
    if run.kind != "apply":
        return data
    trained = ws.job(run.on_run)
    return as_the_model_sees(
        load_training_data(ws, trained), data, find_artifact(ws, trained.id, Model)
    )[0]


def _keep_threshold(ws: Workspace, trained: str, new: AnomalyMaps) -> None:
    """Give `new` the thresholds that were chosen when the model was trained."""
    if new.slug not in ws.slugs(trained):
        return
    old = ws.artifact(trained, new.slug)
    assert isinstance(old, AnomalyMaps)
    new.threshold, new.pixel_threshold = old.threshold, old.pixel_threshold
    new.rule = f"{old.rule}, of the data the model learned from" if old.rule else ""


def why_not_applied(ws: Workspace, base: Job, dataset: str) -> str | None:
    """Why the model of a finished training cannot be applied to `dataset`, in one sentence."""
    if base.dataset == ws.entry(dataset)["id"]:
        return f"Run {base.id} was trained on “{dataset}” itself; choose other data."
    kind = method_class(base.method)
    if kind is None:
        return f"The method “{base.method}” is not installed here."
    if not kind.other_data:
        return describes_own_only(kind)
    try:
        model = find_artifact(ws, base.id, Model)
        as_the_model_sees(load_training_data(ws, base), ws.dataset(dataset), model)
    except UserError as e:
        return str(e)
    return None


def why_not_tested_on(kind: type[Method], own: Dataset, other: Dataset) -> str | None:
    """Why a model that will learn from `own` cannot be tested on `other`, in one sentence."""
    if not kind.other_data:
        return describes_own_only(kind)
    if own.hash == other.hash:
        return f"“{other.name}” is what it is to learn from; name other data to test on."
    try:
        match(own, other)
    except UserError as e:
        return str(e)
    return None
