"""Several processes that train one run: they learn what one does, and none is left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from core.artifacts import Embedding
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.jobs import queue, scheduler
from core.jobs.run_folder import find_artifact
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.ranks import Ranks
from core.training.run import Run
from core.training.split_calls import share_of
from core.workspace import records
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace
from tests import together
from tests.soak import longer
from tests.test_engines import lives, until

pytestmark = pytest.mark.processes

# cross-entropy with batch normalisation; a likelihood with random draws in the network; codes by
# Sinkhorn over the batch and a memory of earlier ones; Dice over the batch; sparse codes
SOME = ("classifier", "gaussian_vae", "swav", "unet_plus_plus", "abs_topk_sae")
LOSSES = longer(SOME, tuple(id for id, kind in methods().items() if kind.shares_batches))
PARAMS = {"epochs": 30, "more": 10, "batch_size": 16, "pause": 0.02}  # 160 steps of at least 20 ms


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return together.pair(tmp_path_factory.mktemp("pair"), list(LOSSES))


@pytest.mark.soak
@pytest.mark.parametrize("id", LOSSES)
def test_two_processes_have_the_losses_of_one(id: str, pair: dict[str, Any]) -> None:
    alone, both = together.train(id), pair[id]
    assert both["shared"] >= 2, "calls of the network were shared out"
    assert alone["shared"] == 0
    assert [step for step, _ in both["curve"]] == [step for step, _ in alone["curve"]]
    for (step, one), (_, two) in zip(alone["curve"], both["curve"], strict=True):
        assert one.keys() == two.keys()
        for name, value in one.items():
            assert two[name] == pytest.approx(value, rel=1e-4, abs=1e-4), (step, name)


@pytest.mark.parametrize("rows", [4, 5, 17])
@pytest.mark.parametrize("size", [2, 3])
def test_rows_that_are_taken_apart_come_together_again(rows: int, size: int) -> None:
    import torch

    for stacks, k in ((1, 1), (1, 3), (2, 2), (2, 1), (3, 6)):
        whole = torch.arange(rows * k * 2).reshape(rows * k, 2)
        shares = [share_of(rows, Ranks(rank, size), stacks) for rank in range(size)]
        parts = [share.pick(whole, k) for share in shares]
        assert [len(p) for p in parts] == [k * share.mine for share in shares]
        assert torch.equal(shares[0].join(parts, k), whole)


def test_what_cannot_be_shared_is_refused_in_a_sentence(ws: Workspace) -> None:
    for method, many, words in (
        ("dirichlet_vae", 2, "would not be sure to learn the same"),
        ("pca", 2, "does not train in batches"),
        ("fragile", 0, "at least one process, not 0"),
        ("fragile", 1000, r"need as many \w+s; this machine has"),
    ):
        with pytest.raises(UserError, match=words):
            queue.train(ws, "digits", method, processes=many)


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    digits = make_sample("digits")
    few = np.flatnonzero(digits.splits == "train")[:64]
    made = Workspace(tmp_path_factory.mktemp("together"))
    made.add(
        replace(
            digits,
            samples=np.asarray(digits.samples[few]),
            table=digits.table.iloc[few].reset_index(drop=True),
            roles={k: v for k, v in digits.roles.items() if k != "label"},
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_METHODS", str(Path(__file__).parent / "survive" / "methods"))
        patch.setenv("LIGHTBOX_CHECKPOINT_SECONDS", "0.3")
        patch.setenv("LIGHTBOX_ENGINE", "local")
        methods.cache_clear()
        yield made
    methods.cache_clear()


@pytest.fixture(scope="module")
def straight(ws: Workspace) -> np.ndarray:
    """What one process gives."""
    kind = methods()["fragile"]
    _, made = fit_and_apply(
        kind, check_params(kind, PARAMS | {"pause": 0}), ws.dataset("digits"), Run(device="cpu")
    )
    return next(a.z for a in made if isinstance(a, Embedding))


def started(ws: Workspace, **params: Any) -> tuple[Job, psutil.Process]:
    """A run of two processes that has taken some steps, and the one that is not its own."""
    id = queue.train(ws, "digits", "fragile", PARAMS | params, processes=2).id
    until(lambda: (ws.job(id).progress or 0) > 0.02, f"the first steps of {ws.job(id)}")
    job = ws.job(id)
    (other,) = [p for p in psutil.Process(job.pid).children() if p.status() != "zombie"]
    return job, other


def test_a_killed_process_ends_the_run_which_goes_on_as_if_nothing_had_happened(
    ws: Workspace, straight: np.ndarray
) -> None:
    job, other = started(ws)
    until(lambda: ws.job(job.id).progress > 0.3, "a third of the run")
    killed = time.monotonic()
    other.kill()
    failed = queue.wait(ws, job.id, timeout=60)
    took = time.monotonic() - killed
    print(f"told after {took:.1f} s")
    assert (failed.status, failed.bug) == ("failed", "")
    assert "Process 2 of the 2" in failed.error
    assert "SIGKILL" in failed.error
    assert took < 5
    assert not ws.slugs(job.id), "nothing half-made is shown"
    until(lambda: not lives(job.pid), "the process to end", 20)
    queue.resume(ws, job.id)
    done = queue.wait(ws, job.id, timeout=200)
    assert (done.status, done.error) == ("done", "")
    assert "resumed from its last checkpoint" in done.note
    assert "Trained by 2 processes" in done.note
    steps = [p["step"] for p in records.read_curves(ws.folder(job.id))]
    assert steps == sorted(set(steps)), "each step stands once in the curve"
    np.testing.assert_allclose(find_artifact(ws, job.id, Embedding).z, straight, atol=1e-4)


def test_a_process_that_does_not_answer_any_more_is_no_hang(ws: Workspace) -> None:
    """The first one waits in a call that hears nothing while the other ends."""
    job, other = started(ws, epochs=1, deaf=60.0)
    until(lambda: ws.job(job.id).progress > 0.05, "the end of the first loop")
    time.sleep(1.0)
    killed = time.monotonic()
    other.kill()
    failed = queue.wait(ws, job.id, timeout=60)
    assert (failed.status, time.monotonic() - killed < 5) == ("failed", True)
    assert "SIGKILL" in failed.error


def test_cancelled_or_killed_it_leaves_no_process(ws: Workspace) -> None:
    job, other = started(ws, epochs=500)
    asked = time.monotonic()
    queue.cancel(ws, job.id)
    assert queue.wait(ws, job.id, timeout=60).status == "cancelled"
    assert time.monotonic() - asked < 5
    until(lambda: not lives(job.pid) and not lives(other.pid), "both processes to end", 20)
    job, other = started(ws, epochs=500)
    os.kill(job.pid, signal.SIGKILL)
    until(lambda: not lives(other.pid), "the other process to end", 5)
    assert queue.wait(ws, job.id, timeout=60).status == "interrupted"


def test_a_loss_that_is_no_number_is_told_as_by_one_process(ws: Workspace) -> None:
    job = queue.train(ws, "digits", "fragile", PARAMS | {"poison": 3}, processes=2)
    failed = queue.wait(ws, job.id, timeout=100)
    assert "The loss stopped being a number at step" in failed.error


def test_a_run_of_two_gpus_waits_for_two_and_is_not_overtaken() -> None:
    def job(id: str, processes: int = 1, lane: str = "") -> Job:
        return Job(id, "train", "d", spec={"processes": processes}, lane=lane)

    def plan(waiting: list[Job], running: list[Job], cards: list[str]) -> list[tuple[str, str]]:
        return [(j.id, lane) for j, lane in scheduler.plan_starts(waiting, running, cards, 1)]

    one, two = job("one"), job("two", 2)
    assert plan([two, one], [], ["0", "1", "2"]) == [("two", "0,1"), ("one", "2")]
    assert plan([two, one], [job("a", lane="0")], ["0", "1"]) == []
    assert plan([one], [job("a", 2, "0,1")], ["0", "1"]) == []
    assert plan([two], [job("a", lane="1")], ["0", "1", "2"]) == [("two", "0,2")]
    assert plan([two], [], []) == [("two", "cpu")]
