"""What each folder says of itself, so that the catalogue can be rebuilt from the folders alone:
`job.json` in a run's, `entry.json` in a dataset's.

A job's record is written when it is asked for, when its process starts and, by that process, when
it ends: it is the truth about a run whose process could not reach the catalogue any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.io.files import write_json
from core.workspace import decisions
from core.workspace.catalogue import Catalogue, Job

JOB, ENTRY = "job.json", "entry.json"
KNOWN = {f.name for f in fields(Job)}


def write_record(home: Path, job: Job) -> None:
    """Keep what the catalogue says of a job beside its results. Raises OSError. Why an import
    failed is left out: it names files, which may be called after patients, and goes with the
    catalogue.
    """
    if job.kind == "import" and job.error:
        job = replace(job, error="The import did not succeed; bring the files again.")
    write_json(home / "runs" / job.id / JOB, asdict(job))


def read_record(folder: Path) -> Job | None:
    """Return the job that a run's folder tells of; None when it does not, or not in whole."""
    try:
        told = json.loads((folder / JOB).read_text())
        return Job(**{k: v for k, v in told.items() if k in KNOWN})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def end_job(catalogue: Catalogue, home: Path, job: Job, **values: Any) -> bool:
    """Set the last state of a running job: first in its folder, then in the catalogue. True when
    the catalogue took it, False when the job was no longer running there. Whatever keeps the
    catalogue from it, the record stands, and `reconcile` goes by it.
    """
    try:
        now = catalogue.job(job.id) or job  # it may have got a note meanwhile
    except UserError:
        now = job
    if now.status == "running":
        with suppress(OSError):  # where the disk takes nothing any more, the catalogue may
            write_record(home, replace(now, **values))
    return catalogue.set_job(job.id, only_if="running", **values)


def read_jobs(home: Path) -> list[Job]:
    """Every job that a folder tells of, in the order they were asked for."""
    found = [
        job
        for path in sorted((home / "runs").glob(f"*/{JOB}"))
        if (job := read_record(path.parent)) is not None and job.id == path.parent.name
    ]
    return sorted(found, key=lambda j: (j.created, j.id))


def read_dataset_entries(home: Path) -> list[dict[str, Any]]:
    """Return the catalogue's lines of every whole dataset among the folders, oldest first."""
    found = []
    for path in sorted((home / "datasets").glob("*/dataset.json")):
        folder = path.parent
        if folder.name.startswith("tmp-"):  # not whole yet
            continue
        try:
            stored = json.loads(path.read_text())
            kept = json.loads((folder / ENTRY).read_text()) if (folder / ENTRY).exists() else {}
            n = decisions.count_stored_rows(folder) - int(
                np.count_nonzero(
                    decisions.find_hidden_rows(
                        decisions.reasons_held(folder), decisions.load_decisions(folder)
                    )
                )
            )
            found.append(
                {
                    "id": folder.name,
                    "name": stored["name"],
                    "hash": stored["hash"],
                    "modality": stored["modality"],
                    "n": n,
                    "sample": int(kept.get("sample", 0)),
                    "created": float(kept.get("created", path.stat().st_mtime)),
                }
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda e: (e["created"], e["id"]))


def read_all(home: Path) -> tuple[list[dict[str, Any]], list[Job]]:
    """Return what a catalogue made of the folders says: the datasets, of those with one name the
    oldest, and the jobs, of those with one token the first, in their places.

    What stands there as running is looked at by whoever shows it.
    """
    datasets = {entry["name"]: entry for entry in read_dataset_entries(home)[::-1]}
    jobs = {job.token or job.id: job for job in read_jobs(home)[::-1]}
    return (
        list(datasets.values())[::-1],
        [replace(job, place=place) for place, job in enumerate(list(jobs.values())[::-1], 1)],
    )


def write_missing(home: Path, jobs: list[Job], datasets: list[dict[str, Any]]) -> None:
    """Write the records of folders that have none yet, from the catalogue: those of a workspace
    made before there were records.
    """
    for job in jobs:
        folder = home / "runs" / job.id
        if folder.is_dir() and not (folder / JOB).exists():
            write_record(home, job)
    for entry in datasets:
        folder = home / "datasets" / entry["id"]
        if folder.is_dir() and not (folder / ENTRY).exists():
            write_json(folder / ENTRY, entry)


def read_curves(folder: Path) -> Iterator[dict[str, float]]:
    """Yield the points of the curves of the run in `folder`, in order: {"step", "total", "seconds",
    and what the method reported}.
    """
    path = folder / "scalars.jsonl"
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # the line being written just now
                return
