"""Datasets, runs, methods and metrics as plain json values: the shapes the command line prints with
--json.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from core.artifacts import Metrics
from core.data.dataset import Dataset
from core.measure import Measure
from core.method import Method
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace


def dataset_json(data: Dataset, findings: list[Any]) -> dict[str, Any]:
    """`labels` counts rows per class, `groups` counts different groups (patients); 0 when there is
    no such column.
    """
    counts = np.bincount(data.labels[data.labels >= 0], minlength=len(data.classes))
    groups = data.groups
    return {
        "dataset": data.name,
        "n": len(data),
        "modality": data.modality,
        "labels": {c: int(k) for c, k in zip(data.classes, counts)},
        "groups": 0 if groups is None else len({g for g in groups if g is not None}),
        "shape": list(data.shape),
        "hash": data.hash,
        "columns": data.roles,
        "normal": data.normal or None,
        "splits": {s: int(k) for s, k in zip(*np.unique(data.splits, return_counts=True))},
        "card": data.card,
        "findings": [asdict(f) for f in findings],
    }


def metric_json(metrics: Metrics) -> list[dict[str, Any]]:
    """Return the metrics; `kind` says what low and high are (interval, range, bound; "" = none or
    not recorded), `units` of how many patients or cases.
    """
    return [{k: _finite(v) for k, v in asdict(m).items()} for m in metrics]


def run_json(ws: Workspace, job: Job) -> dict[str, Any]:
    """Return a run with what it gave; `artifacts` tell type, name, folder and a summary."""
    names = {e["id"]: e["name"] for e in ws.catalogue.datasets()}
    artifacts, metrics = [], []
    for slug in ws.slugs(job.id):
        artifact = ws.artifact(job.id, slug)
        if isinstance(artifact, Metrics):
            metrics += metric_json(artifact)
        artifacts.append(
            {
                "type": type(artifact).__name__,
                "name": slug,
                "n": len(artifact.rows),
                "summary": artifact.summary(),
                "path": str(ws.artifact_folder(job.id, slug)),
            }
        )
    return {
        "run": job.id,
        "kind": job.kind,
        "dataset": names.get(job.dataset, job.dataset),
        "method": job.method,
        "on": job.on_run or None,
        "status": job.status,
        "seed": job.seed,
        "device": job.device,
        "params": job.params,
        "only": job.spec.get("only"),
        "chosen": job.spec.get("chosen"),
        "only_normal": job.spec.get("only_normal"),
        "progress": round(job.progress or 0, 3),
        "error": job.error or None,
        "bug": job.bug or None,
        "notes": job.note.splitlines(),
        "artifacts": artifacts,
        "metrics": metrics,
        "seconds": round(job.seconds or 0, 2),
        "pid": job.pid,
    }


def method_json(kind: type[Method]) -> dict[str, Any]:
    """Return what `lightbox methods --json` says of a method."""
    return {
        "id": kind.id,
        "kind": "method",
        "title": kind.title,
        "family": kind.family,
        "seed": kind.seed_number,
        "takes": asdict(kind.takes),
        "gives": [t.__name__ for t in kind.gives],
        "params": {name: param_json(kind, name) for name in kind.Params.model_fields},
        "presets": kind.presets,
    }


def param_json(kind: type[Method], name: str) -> dict[str, Any]:
    """One parameter: type, default, min, max (exclusive bounds named so), choices, unit, help,
    advanced.
    """
    schema = kind.Params.model_json_schema()["properties"][name]
    schema = next((s for s in schema.get("anyOf", []) if s.get("type") != "null"), {}) | schema
    renamed = {
        "type": schema.get("type"),
        "default": schema.get("default"),
        "min": schema.get("minimum"),
        "max": schema.get("maximum"),
        "above": schema.get("exclusiveMinimum"),
        "below": schema.get("exclusiveMaximum"),
        "choices": schema.get("enum"),
        "unit": schema.get("unit"),
        "help": schema.get("description"),
        "advanced": schema.get("advanced"),
        "column": schema.get("column") or None,
        "only": schema.get("only"),
    }
    return {k: v for k, v in renamed.items() if v is not None and v != ""}


def measure_json(measure: Measure) -> dict[str, Any]:
    """Return what `lightbox methods --json` says of a measure."""
    needs = [
        *(t.__name__ for t in measure.takes),
        *(["labels"] if measure.labels else []),
        *(["masks"] if measure.masks else []),
    ]
    return {
        "id": measure.id,
        "kind": "measure",
        "title": measure.title,
        "family": "measures",
        "seed": measure.seed_number,
        "takes": {"artifacts": needs},
        "gives": ["Metrics"],
        "params": {},
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
