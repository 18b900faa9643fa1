"""A training through the real queue, supervisor and worker, and what is made from it."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.artifacts import Map
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.export import export_run
from core.jobs import engines, queue
from core.report.html import report_html
from core.workspace import records
from core.workspace.workspace import Workspace

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    made = Workspace(tmp_path_factory.mktemp("home"))
    made.add(make_sample("digits"), sample=True)
    return made


@pytest.fixture(scope="module")
def done(ws):
    return queue.wait(ws, queue.train(ws, "digits", "pca", {"dimensions": 8}).id, timeout=300)


def test_run_ends_with_artifacts_and_metrics(ws, done):
    assert done.status == "done", done.error
    assert {"embedding-latent", "metrics", "model"} <= set(ws.slugs(done.id))


def test_map_is_made_once(ws, done):
    first = queue.derive(ws, "map", done.id, {"how": "pca", "dims": 2})
    assert queue.wait(ws, first.id, timeout=300).status == "done"
    assert queue.derive(ws, "map", done.id, {"how": "pca", "dims": 2}).id == first.id
    made = ws.artifact(first.id, "map")
    assert isinstance(made, Map)
    assert np.isfinite(made.xy).all()


def test_export_and_report(ws, done, tmp_path):
    export_run(ws, done.id, tmp_path / "out")
    assert (tmp_path / "out" / "rows.csv").read_text().startswith("row,name")
    page = report_html(ws, [done.id])
    assert 'src="http' not in page
    assert "Research use, not for diagnosis" in page


def test_cancel_stops_a_run(ws):
    job = queue.train(ws, "digits", "gaussian_vae", {"epochs": 2000})
    queue.cancel(ws, job.id)
    assert queue.wait(ws, job.id, timeout=300).status == "cancelled"


def test_a_cancelled_run_goes_on_from_where_it_stood(ws):
    job = queue.train(ws, "digits", "gaussian_vae", {"epochs": 30})
    while (ws.job(job.id).progress or 0) < 0.2 and not ws.job(job.id).ended:
        time.sleep(0.05)
    queue.cancel(ws, job.id)
    assert queue.wait(ws, job.id, timeout=300).status == "cancelled"
    before = [(p["step"], p["loss"]) for p in records.read_curves(ws.folder(job.id)) if "loss" in p]
    queue.resume(ws, job.id)
    done = queue.wait(ws, job.id, timeout=300)
    assert (done.status, done.progress) == ("done", 1.0)
    assert "resumed from its last checkpoint" in done.note
    curve = [(p["step"], p["loss"]) for p in records.read_curves(ws.folder(job.id)) if "loss" in p]
    assert curve[: len(before)] == before, "what was learned is not learned again"
    steps = [step for step, _ in curve]
    assert steps == sorted(set(steps))


def test_bad_asks_are_sentences(ws):
    with pytest.raises(UserError, match="no method"):
        queue.train(ws, "digits", "nothing")
    with pytest.raises(UserError, match="does not fit"):
        queue.train(ws, "digits", "tabular_ncd")
    with pytest.raises(UserError, match="already"):
        ws.add(make_sample("digits"))


def test_threads_are_told_to_a_process_unless_its_user_has_said_so(tmp_path, monkeypatch):
    (tmp_path / "says_threads.py").write_text(
        "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['OPENBLAS_NUM_THREADS'])"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    engines.spawn("says_threads", [], tmp_path / "log.txt", 2).wait(60)
    assert (tmp_path / "log.txt").read_text().split() == ["7", "2"]


def test_the_time_a_run_will_take_rests_on_runs_of_the_same_kind_of_device(ws, done, monkeypatch):
    from core.registry import methods
    from core.training import time_estimate

    def runs(**device):
        return time_estimate.estimate(
            ws, methods()["pca"], {"dimensions": 8}, ws.dataset("digits"), **device
        ).runs

    monkeypatch.setattr(time_estimate, "gpu_here", lambda: False)
    assert runs() == runs(device="cpu") == 1
    monkeypatch.setattr(time_estimate, "gpu_here", lambda: True)
    assert (runs(), runs(device="cpu")) == (0, 1)


def test_no_time_is_told_where_nothing_of_like_size_was_trained(ws, done):
    from core.registry import methods
    from core.training.time_estimate import estimate

    data, kind = ws.dataset("digits"), methods()["pca"]
    seconds = estimate(ws, kind, {"dimensions": 8}, data).seconds
    assert 4 < seconds < 4 + 5 * done.seconds
    few = data.take(np.arange(40))
    assert estimate(ws, kind, {"dimensions": 8}, few).seconds is None  # 45 times less work
    assert estimate(ws, methods()["gaussian_vae"], {"epochs": 3}, data).seconds is None


def test_asked_for_by_two_at_one_moment_it_is_one_run(ws, done, monkeypatch):
    """Each finds out slowly whether it was asked for before, so that both would find nothing."""
    asked = ws.catalogue.jobs

    def slow(**equal):
        found = asked(**equal)
        time.sleep(0.3 if "key" in equal else 0)
        return found

    monkeypatch.setattr(ws.catalogue, "jobs", slow)
    for ask in (
        lambda who: queue.train(ws, "digits", "gaussian_vae", {"epochs": 1999}, token=who),
        lambda who: queue.derive(ws, "map", done.id, {"how": "umap", "dims": 2}),
    ):
        with ThreadPoolExecutor(2) as both:
            first, second = both.map(ask, ("one tab", "another"))
        assert first.id == second.id
        queue.cancel(ws, first.id)
        queue.wait(ws, first.id, timeout=300)
