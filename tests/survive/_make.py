"""A small workspace with a finished run, and a disk that fails at its k-th operation."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.data.samples.catalogue import make_sample
from core.io import checksums, files
from core.jobs import queue, worker
from core.workspace import records
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

ERRORS = {
    errno.ENOSPC: "disk is full",
    errno.EIO: "input/output error",
    errno.EACCES: "permission denied",
}


class Failing:
    """`files.before` of a disk whose k-th operation fails, or (`forever`) every one from then
    on.
    """

    def __init__(self, k: int, error: int, forever: bool) -> None:
        self.k, self.error, self.forever, self.count = k, error, forever, 0

    def __call__(self, operation: str, path: Path) -> None:
        self.count += 1
        if self.count == self.k or (self.forever and self.count > self.k):
            raise OSError(self.error, os.strerror(self.error), str(path))


def small(n: int = 40, name: str = "few"):
    """A few rows of the digits."""
    data = make_sample("digits")
    some = np.arange(n)
    return replace(
        data,
        name=name,
        samples=np.asarray(data.samples[some]),
        table=data.table.iloc[some].reset_index(drop=True),
    )


def workspace(home: Path) -> Workspace:
    """A workspace that holds “few”; nothing starts by itself in it (see `ask`)."""
    ws = Workspace(home)
    ws.add(small())
    return ws


def ask(
    ws: Workspace,
    monkeypatch,
    method: str = "pca",
    data: str = "few",
    seed: int = 0,
    token: str = "",
    **params,
) -> Job:
    """Queue a training that nobody starts."""
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    return queue.train(ws, data, method, params or {"dimensions": 4}, seed=seed, token=token)


def do(ws: Workspace, id: str) -> Job:
    """Do a queued job in this process, as its worker would."""
    assert ws.catalogue.set_job(id, only_if="queued", status="running", started=1.0)
    worker.do_job(ws, id)
    return ws.job(id)


def whole(ws: Workspace) -> None:
    """What holds of a workspace whatever has happened: see the asserts."""
    again = Workspace(ws.home)
    for job in again.catalogue.jobs():
        folder = again.folder(job.id)
        if job.status == "done":
            assert checksums.find_wrong_files(folder / "artifacts") == [], (
                "done means that all is there"
            )
            assert again.artifacts(job.id)
        elif job.ended:
            assert not again.slugs(job.id), "nothing half-made is shown"
        told = records.read_record(folder)
        assert told is None or told.id == job.id
    for entry in again.catalogue.datasets():
        assert len(again.dataset(entry["name"])) == entry["n"]
        assert checksums.find_wrong_files(again.home / "datasets" / entry["id"]) == []


def full(k: int, error: int, forever: bool, monkeypatch) -> Failing:
    made = Failing(k, error, forever)
    monkeypatch.setattr(files, "before", made)
    return made
