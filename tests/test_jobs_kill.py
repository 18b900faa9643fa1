"""A run's process killed from outside, with the real supervisor: what is shown stays true, and the
run can go on.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from core.artifacts import Embedding
from core.data.samples.catalogue import make_sample
from core.jobs import queue, reconciling
from core.jobs.run_folder import find_artifact
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.run import Run
from core.workspace.workspace import Workspace

pytestmark = pytest.mark.processes

PARAMS = {"epochs": 30, "more": 10, "batch_size": 16, "pause": 0.02}  # 160 steps of at least 20 ms


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    made, digits = Workspace(tmp_path_factory.mktemp("kill")), make_sample("digits")
    few = np.flatnonzero(digits.splits == "train")[:64]
    roles = {k: v for k, v in digits.roles.items() if k != "label"}
    made.add(
        replace(
            digits,
            samples=np.asarray(digits.samples[few]),
            table=digits.table.iloc[few].reset_index(drop=True),
            roles=roles,
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_METHODS", str(Path(__file__).parent / "survive" / "methods"))
        patch.setenv("LIGHTBOX_CHECKPOINT_SECONDS", "0.3")
        methods.cache_clear()
        yield made
    methods.cache_clear()


def until(true: Callable[[], Any], what: str, seconds: float = 400) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.1)


def started(ws: Workspace, **params: Any) -> str:
    """A run that has taken some steps."""
    id = queue.train(ws, "digits", "fragile", PARAMS | params).id
    until(lambda: (ws.job(id).progress or 0) > 0.02, "the first steps")
    return id


def test_a_killed_run_is_shown_as_interrupted_and_resumed_ends_as_if_nothing_had_happened(
    ws: Workspace,
) -> None:
    id = started(ws)
    os.kill(ws.job(id).pid, signal.SIGKILL)
    until(
        lambda: (reconciling.reconcile(ws), ws.job(id).status)[1] == "interrupted",
        "the end to be noticed",
    )
    assert "resume" in ws.job(id).error
    assert not ws.slugs(id), "nothing half-made is shown"
    queue.resume(ws, id)
    assert queue.wait(ws, id, timeout=300).status == "done"
    kind = methods()["fragile"]
    _, straight = fit_and_apply(
        kind, check_params(kind, PARAMS | {"pause": 0}), ws.dataset("digits"), Run(device="cpu")
    )
    np.testing.assert_allclose(
        find_artifact(ws, id, Embedding).z,
        next(a.z for a in straight if isinstance(a, Embedding)),
        atol=1e-4,
    )


def test_a_cancelled_run_leaves_no_process_and_a_removed_one_no_folder(ws: Workspace) -> None:
    id = started(ws, epochs=500)
    pid = ws.job(id).pid
    queue.cancel(ws, id)
    assert queue.wait(ws, id, timeout=300).status == "cancelled"
    until(
        lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE,
        "the process to end",
        20,
    )
    folder = ws.folder(id)
    ws.remove_run(id)
    assert not folder.exists()
    assert ws.catalogue.job(id) is None
