"""Real workers killed at any moment: what is shown is true, what is saved is whole, and what they
come to in the end is what one in one go comes to.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from core.artifacts import Embedding
from core.data.samples.catalogue import make_sample
from core.jobs import queue, reconciling
from core.jobs.reporter import Reporter
from core.training.checkpoints import Checkpoints, whole
from core.workspace import records
from core.workspace.workspace import Workspace
from tests.soak import longer
from tests.survive import _make

pytestmark = pytest.mark.skipif(
    sys.platform == "win32",
    reason="processes are made ready once and forked, which this system cannot",
)
HERE = Path(__file__).parent
KILLS = longer(5, 30)


def until(true: Callable[[], Any], what: str, seconds: float = 400) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.02)
    return found


def at_work(home: str, id: str, hook: str = "") -> None:
    """The worker of a job in a process of its own, `hook` prepared before."""
    from core.jobs import worker

    os.setsid()
    sys.stdout = sys.stderr = open(Path(home) / "runs" / id / "log.txt", "a", buffering=1)  # noqa: SIM115
    if hook:
        globals()[hook]()
    worker.main(home, id)


def dies_before_naming() -> None:
    """The process is killed when its third checkpoint is written and not yet named."""
    from core.training import checkpoints

    real, named = checkpoints.publish, []

    def publish(made: Path, target: Path) -> None:
        named.append(target)
        if len(named) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        real(made, target)

    checkpoints.publish = publish


class Workers:
    """Starts workers from one process that has imported everything, in place of the supervisor."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.survive._warm"])

    def start(self, id: str, hook: str = "") -> Any:
        assert self.ws.catalogue.set_job(
            id, only_if="queued", status="running", started=time.time(), pid=None, born=""
        )
        process = self.context.Process(
            target=at_work, args=(str(self.ws.home), id, hook), daemon=False
        )
        # a page tried in this process before may have left itself as its main module, which would
        # be run again
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
            process.start()
        until(
            lambda: self.ws.job(id).pid == process.pid or not process.is_alive(),
            "the worker to begin",
        )
        return process


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    ws = Workspace(tmp_path_factory.mktemp("killer"))
    digits = make_sample("digits")
    some = np.sort(
        np.concatenate(
            [
                np.flatnonzero(digits.splits == s)[:n]
                for s, n in (("train", 64), ("val", 16), ("test", 16))
            ]
        )
    )
    # little is measured without labels
    roles = {k: v for k, v in digits.roles.items() if k != "label"}
    ws.add(
        replace(
            digits,
            samples=np.asarray(digits.samples[some]),
            table=digits.table.iloc[some].reset_index(drop=True),
            roles=roles,
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "ensure_supervisor", lambda ws: None)
        patch.setenv("LIGHTBOX_METHODS", str(HERE / "methods"))
        patch.setenv("LIGHTBOX_CHECKPOINT_SECONDS", "0.05")
        patch.setenv("OMP_NUM_THREADS", "1")
        from core.registry import methods

        methods.cache_clear()
        yield Workers(ws)
        methods.cache_clear()


def submit(ws: Workspace, method: str = "fragile", **params: Any) -> str:
    return queue.train(ws, "digits", method, params).id


def ended(workers: Workers, id: str, hook: str = "") -> Any:
    """The job after its worker is gone."""
    workers.start(id, hook).join(120)
    reconciling.reconcile(workers.ws)
    return workers.ws.job(id)


def result(ws: Workspace, id: str) -> np.ndarray:
    found = next(a for a in ws.artifacts(id).values() if isinstance(a, Embedding))
    return np.array(found.z)


@pytest.mark.soak
def test_killed_at_any_moment_runs_end_as_if_nothing_had_happened(
    workers: Workers,
) -> None:
    ws, rng, params = (
        workers.ws,
        np.random.default_rng(11),
        {"epochs": 15, "more": 15, "batch_size": 16, "pause": 0.002},
    )
    ended(workers, submit(ws, epochs=1, more=1))  # all is imported
    whole_run = submit(ws, **params)
    began = time.monotonic()
    assert ended(workers, whole_run).status == "done", ws.job(whole_run).error
    longest, straight = time.monotonic() - began, result(ws, whole_run)
    kills, finished, began, hit, id = 0, 0, time.monotonic(), set(), submit(ws, **params)
    while kills < KILLS or ws.job(id).status != "done":
        process = workers.start(id)
        if 0 < kills < KILLS:  # the first one dies as soon as it has begun
            process.join(float(rng.uniform(0, longest / 2)))
        if kills >= KILLS or not process.is_alive():
            process.join(120)
        else:
            os.kill(process.pid, signal.SIGKILL)
            process.join(20)
            kills += 1
        reconciling.reconcile(ws)
        job = ws.job(id)
        if job.status == "done":
            np.testing.assert_array_equal(result(ws, id), straight)
            finished += 1
            if kills < KILLS:
                id = submit(ws, **params)
            continue
        assert job.status == "interrupted", job.error
        assert "resume" in job.error
        assert not ws.slugs(id), "nothing of an unfinished run is shown"
        saved = Checkpoints(ws.folder(id)).found()
        assert all(whole(p) for p in saved)
        log = ws.folder(id) / "log.txt"
        said = log.read_text().splitlines() if log.exists() else []
        hit.add((said[-1][9:] if said else "starting", saved[-1].name if saved else "nothing"))
        queue.resume(ws, id)
    print(
        f"{kills} kills in {time.monotonic() - began:.0f} s, {finished} runs finished; last words"
        f" and checkpoints: {sorted(hit)}"
    )
    assert kills == KILLS
    assert finished
    assert len(hit) > 1, "kills came at different moments"
    assert not Checkpoints(ws.folder(whole_run)).folder.exists(), (
        "a finished run needs no checkpoint"
    )


def test_killed_between_writing_a_checkpoint_and_naming_it_the_one_before_is_used(
    workers: Workers,
) -> None:
    ws, params = workers.ws, {"epochs": 12, "more": 1, "batch_size": 16, "pause": 0.01}
    id, straight = submit(ws, **params), submit(ws, **params)
    assert ended(workers, id, "dies_before_naming").status == "interrupted"
    kept = Checkpoints(ws.folder(id))
    assert (kept.folder / "tmp" / "manifest.json").exists()
    assert len(kept.found()) == 2
    queue.resume(ws, id)
    job = ended(workers, id)
    assert job.status == "done", job.error
    assert "resumed from its last checkpoint" in job.note
    assert ended(workers, straight).status == "done"
    np.testing.assert_array_equal(result(ws, id), result(ws, straight))


def test_a_poisoned_case_stops_the_run_and_is_named(workers: Workers) -> None:
    ws = workers.ws
    bad = int(ws.dataset("digits").part("train").rows[5])
    job = ended(workers, submit(ws, poison=bad, batch_size=16, epochs=500))
    assert job.status == "failed"
    assert "stopped being a number at step" in job.error
    assert not job.bug, "the user can fix it"
    assert all(whole(p) for p in Checkpoints(ws.folder(job.id)).found())


def test_a_batch_in_parts_is_told_and_kept_for_when_the_run_is_resumed(workers: Workers) -> None:
    ws = workers.ws
    id = submit(ws, fits=20, batch_size=32, epochs=3, more=1, pause=0.05)
    process = workers.start(id)
    until(lambda: Checkpoints(ws.folder(id)).found(), "a checkpoint")
    process.kill()
    process.join(20)
    reconciling.reconcile(ws)
    assert ws.job(id).params["batch_size"] == 32
    assert "each batch of 32 was computed in 2 parts" in ws.job(id).note
    queue.resume(ws, id)
    job = ended(workers, id)
    assert job.status == "done", job.error
    assert [
        job.note.count(w) for w in ("in 2 parts", "resumed from its last checkpoint", "began again")
    ] == [1, 1, 0]
    assert ws.artifacts(id)["metrics"].made_by.notes == job.note.splitlines()


def test_a_curve_that_goes_back_to_a_checkpoint_has_each_step_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws = _make.workspace(tmp_path / "home")
    job = _make.ask(ws, monkeypatch)
    reporter = Reporter(ws, job)
    for step in (1, 2, 3, 4, 3, 4, 5):
        time.sleep(0.11)  # a point is written ten times a second at most
        reporter.step(step, 9, {"loss": float(step)})
    reporter.close()
    assert [p["step"] for p in records.read_curves(ws.folder(job.id))] == [1, 2, 3, 4, 5]


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_again_unasked(
    workers: Workers,
) -> None:
    ws = workers.ws
    id = submit(ws, epochs=200, pause=0.01)
    process = workers.start(id)
    until(lambda: len(Checkpoints(ws.folder(id)).found()) == 2, "two checkpoints")
    process.kill()
    process.join(20)
    for one in Checkpoints(ws.folder(id)).found():
        (one / "tensors.safetensors").write_bytes(b"")
    queue.resume(ws, id)
    job = ended(workers, id)
    assert (job.status, "start it from scratch" in job.error) == ("failed", True)
    ws.catalogue.set_job(id, spec=job.spec | {"params": job.params | {"epochs": 1, "more": 1}})
    queue.resume(ws, id, from_scratch=True)
    job = ended(workers, id)
    assert (job.status, job.note) == ("done", "")


@pytest.mark.parametrize(
    ("where", "params"),
    [
        ("in a batch", {"epochs": 10_000, "pause": 0.01}),
        ("in a call that heeds nothing", {"epochs": 1, "deaf": 300.0}),
        ("in one long step", {"pause": 60.0}),
    ],
)
def test_cancelled_it_is_gone_in_seconds(
    workers: Workers, where: str, params: dict[str, Any]
) -> None:
    ws = workers.ws
    id = submit(ws, **params)
    process = workers.start(id)
    until(lambda: ws.job(id).phase.startswith("learning"), "the training")
    time.sleep(0.3)
    began = time.monotonic()
    assert queue.cancel(ws, id).status == queue.cancel(ws, id).status == "running"
    # not by the supervisor, which is not there
    until(lambda: ws.job(id).status == "cancelled", "the end", 9)
    print(f"{where}: cancelled within {time.monotonic() - began:.1f} s")
    process.join(20)
    assert not process.is_alive()
    assert not ws.slugs(id)
    assert not (ws.folder(id) / "artifacts.tmp").exists()
    assert queue.cancel(ws, id).status == "cancelled"


def saves_slowly() -> None:
    from core.artifacts import Artifact

    real = Artifact.save

    def save(self: Any, folder: Path, without: Any = None) -> None:
        real(self, folder, without)
        time.sleep(120)

    Artifact.save = save  # type: ignore[method-assign]


def loads_slowly() -> None:
    from core.data.dataset import Dataset

    def raw(self: Any, positions: Any = None) -> np.ndarray:
        time.sleep(120)
        raise AssertionError("it was to be cancelled")

    Dataset.raw = raw  # type: ignore[method-assign]


@pytest.mark.parametrize("hook", ["saves_slowly", "loads_slowly"])
def test_cancelled_while_it_saves_or_reads_nothing_is_left(workers: Workers, hook: str) -> None:
    ws = workers.ws
    id = submit(ws, epochs=1, more=1)
    process = workers.start(id, hook)
    if hook == "saves_slowly":
        until(lambda: (ws.folder(id) / "artifacts.tmp").exists(), "the artifacts to be saved")
    queue.cancel(ws, id)
    until(lambda: ws.job(id).status == "cancelled", "the end", 9)
    process.join(20)
    assert not process.is_alive()
    assert not (ws.folder(id) / "artifacts.tmp").exists()
    assert not ws.slugs(id)


def test_asking_twice_is_asking_once(workers: Workers) -> None:
    ws = workers.ws
    id = submit(ws, epochs=1, more=1)
    # before it began
    assert queue.cancel(ws, id).status == queue.cancel(ws, id).status == "cancelled"
    first, second = queue.resume(ws, id), queue.resume(ws, id)
    assert (first.status, second.status, len(ws.catalogue.jobs(id=id))) == ("queued", "queued", 1)
    job = ended(workers, id)
    assert job.status == "done"
    assert "began again from the start" in job.note
    before = ws.artifacts(id)["metrics"].made_by
    assert queue.cancel(ws, id).status == "done"
    with pytest.raises(Exception, match="nothing to resume"):
        queue.resume(ws, id)
    assert ws.artifacts(id)["metrics"].made_by == before
