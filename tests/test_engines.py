"""What holds of every engine: the same tests on this machine and on a Ray cluster of two nodes."""

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
from core.jobs import attempts, queue, reconciling
from core.jobs.run_folder import find_artifact
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.run import Run
from core.workspace import records
from core.workspace.workspace import Workspace
from tests.clusters import Nodes, two_nodes

pytestmark = pytest.mark.processes

PARAMS = {"epochs": 30, "more": 10, "batch_size": 16, "pause": 0.02}  # 160 steps of at least 20 ms


@pytest.fixture(scope="module")
def data() -> Any:
    digits = make_sample("digits")
    few = np.flatnonzero(digits.splits == "train")[:64]
    return replace(
        digits,
        samples=np.asarray(digits.samples[few]),
        table=digits.table.iloc[few].reset_index(drop=True),
        roles={k: v for k, v in digits.roles.items() if k != "label"},
    )


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with two_nodes() as made:
        yield made


@pytest.fixture(scope="module", params=["local", "ray"])
def ws(
    request: pytest.FixtureRequest, data: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    address = request.getfixturevalue("nodes").address if request.param == "ray" else "local"
    made = Workspace(tmp_path_factory.mktemp(request.param))
    made.add(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_METHODS", str(Path(__file__).parent / "survive" / "methods"))
        patch.setenv("LIGHTBOX_CHECKPOINT_SECONDS", "0.3")
        patch.setenv("LIGHTBOX_JOB_CPUS", "1")
        patch.setenv("LIGHTBOX_ENGINE", address)
        methods.cache_clear()
        yield made
    methods.cache_clear()


@pytest.fixture(scope="module")
def straight(ws: Workspace) -> np.ndarray:
    """What the run gives that nothing happens to."""
    kind = methods()["fragile"]
    _, made = fit_and_apply(
        kind, check_params(kind, PARAMS | {"pause": 0}), ws.dataset("digits"), Run(device="cpu")
    )
    return next(a.z for a in made if isinstance(a, Embedding))


def until(true: Callable[[], Any], what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)


def begun(ws: Workspace, id: str) -> str:
    until(lambda: (ws.job(id).progress or 0) > 0.02, f"the first steps of {ws.job(id)}")
    return id


def started(ws: Workspace, **params: Any) -> str:
    """A run that has taken some steps."""
    return begun(ws, queue.train(ws, "digits", "fragile", PARAMS | params).id)


def test_a_cancelled_job_stops_and_leaves_no_process(ws: Workspace) -> None:
    id = started(ws, epochs=500)
    pid, asked = ws.job(id).pid, time.monotonic()
    queue.cancel(ws, id)
    assert queue.wait(ws, id, timeout=60).status == "cancelled"
    assert time.monotonic() - asked < 5
    until(lambda: not lives(pid), "the process to end", 20)
    assert not ws.slugs(id)


def test_a_killed_run_is_told_so_and_goes_on_as_if_nothing_had_happened(
    ws: Workspace, straight: np.ndarray
) -> None:
    id = started(ws)
    killed = time.monotonic()
    os.kill(ws.job(id).pid, signal.SIGKILL)
    until(
        lambda: (reconciling.reconcile(ws), ws.job(id).status)[1] == "interrupted",
        "the end to be noticed",
    )
    print(f"noticed after {time.monotonic() - killed:.1f} s")
    assert not ws.slugs(id), "nothing half-made is shown"
    assert "learning" in (ws.folder(id) / "log.txt").read_text()
    queue.resume(ws, id)
    assert queue.wait(ws, id, timeout=200).status == "done"
    np.testing.assert_allclose(find_artifact(ws, id, Embedding).z, straight, atol=1e-4)


def test_a_run_whose_node_is_lost_goes_on_elsewhere_from_its_last_checkpoint(
    ws: Workspace, nodes: Nodes, straight: np.ndarray, request: pytest.FixtureRequest
) -> None:
    if "ray" not in request.node.callspec.id:
        pytest.skip("about a cluster")
    id = started(ws, pause=0.05)
    until(lambda: ws.job(id).progress > 0.3, "a third of the run")
    before, killed = ws.job(id), time.monotonic()
    nodes.kill_node_of(before.pid)
    until(lambda: ws.job(id).born != before.born, "the loss to be noticed")
    print(f"loss noticed after {time.monotonic() - killed:.1f} s")
    assert ws.job(id).status in ("queued", "running")
    until(lambda: not lives(before.pid), "the attempt before to end", 20)
    done = queue.wait(ws, id, timeout=200)
    assert (done.status, done.error) == ("done", "")
    assert "gone on from the last checkpoint" in done.note
    assert [a.cause for a in attempts.load(ws.folder(id))] == [reconciling.LOST]
    steps = [p["step"] for p in records.read_curves(ws.folder(id))]
    assert steps == sorted(set(steps)), "each step stands once in the curve"
    np.testing.assert_allclose(find_artifact(ws, id, Embedding).z, straight, atol=1e-4)
    assert done.seconds > before.seconds


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
