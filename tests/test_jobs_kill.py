"""A run's process killed from outside: what is shown stays true, and the run can go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from core.artifacts import Embedding
from core.data.samples import make
from core.jobs import queue
from core.jobs.tasks import find
from core.store.workspace import Workspace

PARAMS = {"epochs": 25, "latent": 4, "width": 4, "batch_size": 32}


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace(tmp_path_factory.mktemp("kill"))
    made.add(make("digits"), sample=True)
    return made


def until(true: Callable[[], Any], what: str, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.1)


def started(ws: Workspace, **params: Any) -> str:
    """A run that has taken some steps."""
    id = queue.train(ws, "digits", "gaussian_vae", PARAMS | params).id
    until(lambda: (ws.job(id).progress or 0) > 0.05, "the first steps")
    return id


def test_a_killed_run_is_shown_as_interrupted_and_resumed_ends_as_if_nothing_had_happened(ws: Workspace) -> None:
    id = started(ws)
    os.kill(ws.job(id).pid, signal.SIGKILL)
    until(lambda: (queue.reconcile(ws), ws.job(id).status)[1] == "interrupted", "the end to be noticed")
    assert "resume" in ws.job(id).error
    assert not ws.slugs(id), "nothing half-made is shown"
    queue.resume(ws, id)
    assert queue.wait(ws, id, timeout=180).status == "done"
    straight = queue.wait(ws, queue.train(ws, "digits", "gaussian_vae", PARAMS).id, timeout=180)
    z = [find(ws, run, Embedding).z for run in (id, straight.id)]
    np.testing.assert_allclose(z[0], z[1], atol=1e-4)


def test_a_cancelled_run_leaves_no_process_and_a_removed_one_no_folder(ws: Workspace) -> None:
    id = started(ws, epochs=2000)
    pid = ws.job(id).pid
    queue.cancel(ws, id)
    assert queue.wait(ws, id, timeout=60).status == "cancelled"
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "the process to end", 20)
    folder = ws.folder(id)
    ws.remove_run(id)
    assert not folder.exists()
    assert ws.catalogue.job(id) is None
