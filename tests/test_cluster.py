"""What is said where a cluster cannot be used, who comes next there, and that no two write into one
run folder.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import UserError
from core.io.locks import hold_lock
from core.jobs import attempt_guard, attempts, cluster, reconciling, scheduler
from core.jobs.attempts import Attempt
from core.jobs.resources import BASE, Needs, estimate_needs
from core.settings import Settings
from core.workspace.catalogue import Job
from tests.survive import _make


@pytest.fixture
def ws(tmp_path):
    return _make.workspace(tmp_path / "home")


def refused(engine: str) -> str:
    with pytest.raises(UserError) as said:
        cluster.connect(engine)
    assert "\n" not in str(said.value)
    return str(said.value)


# -- what cannot be used ---------------------------------------------------------------------------
def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    assert "Ray is not installed here: pip install lightbox[cluster]" in refused("ray")


@pytest.fixture
def no_package_needed(monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: True)


def test_no_cluster_on_this_machine_is_said(monkeypatch, tmp_path, no_package_needed):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert refused("ray").startswith("No Ray cluster runs on this machine")


@pytest.mark.parametrize("prefix", ["", "ray://"])
def test_a_cluster_nobody_answers_for_is_said(prefix, no_package_needed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    assert refused(prefix + address).startswith(f"The Ray cluster at {address} cannot be reached")


def test_other_versions_are_said():
    error = RuntimeError(
        "Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.1\n"
        "This process on 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.7\n"
    )
    assert cluster.describe_no_connection("a:1", error) == (
        "The cluster at a:1 has Ray 2.9.0 with Python 3.10.1, this machine Ray 2.60.0 with Python"
        " 3.11.7; both have to be the same."
    )


def test_ray_says_of_other_versions_what_is_looked_for():
    utils = pytest.importorskip("ray._private.utils", reason="Ray is not installed")
    with pytest.raises(RuntimeError) as error:
        utils.check_version_info({"ray_version": "2.9.0", "python_version": "3.10.1"}, "10.0.0.1")
    said = cluster.describe_no_connection("a:1", error.value)
    assert said.startswith("The cluster at a:1 has Ray 2.9.0 with Python 3.10.1, this machine Ray")


def node(host="here", **have):
    return {"NodeManagerHostname": host, "Resources": {"CPU": 2.0, "memory": float(4 << 30)} | have}


def test_more_than_any_node_has_is_said():
    cluster.check_room(Needs(2, 0, 4 << 30), [node(), node()])
    for needs in (Needs(3, 0, 1), Needs(1, 1, 1), Needs(1, 0, 5 << 30)):
        with pytest.raises(UserError, match=r"no node of the cluster has as much .the largest has"):
            cluster.check_room(needs, [node(), node()])
    with pytest.raises(UserError, match=r"needs 3 CPUs, 2 GPUs and 1.0 GiB of memory.*no node at"):
        cluster.check_room(Needs(3, 2, 1 << 30), [])


def test_several_machines_need_a_catalogue_they_can_share(monkeypatch):
    monkeypatch.setattr(cluster.platform, "node", lambda: "here")
    cluster.check_nodes([node(), node()])
    with pytest.raises(UserError, match=r"nodes on 2 machines.*LIGHTBOX_CATALOGUE to a PostgreSQL"):
        cluster.check_nodes([node(), node("there")])
    monkeypatch.setenv("LIGHTBOX_CATALOGUE", "postgresql+psycopg://somewhere/lightbox")
    cluster.check_nodes([node(), node("there")])


def test_a_node_without_lightbox_is_said_and_a_lost_one_is_none():
    assert "lacks Lightbox" in cluster.describe_refusal(
        "ModuleNotFoundError: No module named 'core'"
    )
    assert cluster.describe_refusal("The actor died because its node has died. Error") == ""


@pytest.mark.parametrize("engine", ["ray://", "ray://host", "cloud", "host:port", "ray://h:1/x y"])
def test_an_engine_that_is_none_is_refused(monkeypatch, engine):
    monkeypatch.setenv("LIGHTBOX_ENGINE", engine)
    with pytest.raises(ValueError, match="engine"):
        Settings()


def test_a_job_fails_with_the_sentence_and_is_never_done_here_instead(
    ws, monkeypatch, no_package_needed
):
    """By the scheduler, on a cluster that nobody answers for; pages are told as well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("LIGHTBOX_ENGINE", f"127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("LIGHTBOX_IDLE_SECONDS", "0")
    monkeypatch.setattr(scheduler, "CLUSTER", cluster.Cluster())
    monkeypatch.setattr(scheduler, "LOCAL", None)
    job = _make.ask(ws, monkeypatch)

    class Local:
        lanes = lambda self: ["cpu"]  # noqa: E731
        release = lambda self: None  # noqa: E731

    monkeypatch.setattr(scheduler, "LOCAL", Local())
    scheduler.main(str(ws.home))
    now = ws.job(job.id)
    assert now.status == "failed"
    assert "cannot be reached (LIGHTBOX_ENGINE)" in now.error
    assert cluster.last_word(ws.home) == now.error
    monkeypatch.setenv("LIGHTBOX_ENGINE", "local")
    assert cluster.last_word(ws.home) == ""


def test_check_says_it(ws, monkeypatch, capsys, no_package_needed):
    from app.cli import main

    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    monkeypatch.setenv("LIGHTBOX_ENGINE", "127.0.0.1:1")
    monkeypatch.setattr(sys, "argv", ["lightbox", "check"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "The Ray cluster at 127.0.0.1:1 cannot be reached" in capsys.readouterr().err


# -- what is asked for, and in which order ---------------------------------------------------------
def test_a_job_asks_for_what_its_data_and_device_need(ws, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_JOB_CPUS", "3")
    job = _make.ask(ws, monkeypatch)
    stored = ws.dataset("few").samples.nbytes
    assert estimate_needs(ws, job, gpus_there=False) == Needs(3, 0, BASE + 2 * stored)
    assert estimate_needs(ws, job, gpus_there=True).gpus == 1
    ws.catalogue.set_job(job.id, device="cpu")
    assert estimate_needs(ws, ws.job(job.id), gpus_there=True).gpus == 0
    ws.catalogue.set_job(job.id, device="cuda")
    assert estimate_needs(ws, ws.job(job.id), gpus_there=False).gpus == 1
    ws.catalogue.set_job(job.id, kind="map")
    assert estimate_needs(ws, ws.job(job.id), gpus_there=True) == Needs(1, 0, BASE + 2 * stored)


def test_of_each_queue_one_waits_for_its_place_and_nobody_overtakes():
    kinds = ("train", "train", "map", "explain", "import", "import")
    waiting = [Job(id=f"{i}", kind=kind, dataset="x") for i, kind in enumerate(kinds)]

    def starts(running=(), unplaced=()):
        return [j.id for j, _ in scheduler.plan_handovers(waiting, list(running), set(unplaced))]

    assert starts() == ["0", "2", "4"]
    running = [Job(id="a", kind="train", dataset="x"), Job(id="b", kind="map", dataset="x")]
    assert starts(running) == ["0", "2", "4"], "they have their places"
    assert starts(running, ["a"]) == ["2", "4"]
    assert starts([Job(id="c", kind="import", dataset="x")]) == ["0", "2"]


# -- never two writers -----------------------------------------------------------------------------
def started(ws, monkeypatch, born="ray:one", **values):
    job = _make.ask(ws, monkeypatch)
    ws.catalogue.set_job(job.id, status="running", born=born, **values)
    return ws.job(job.id)


def test_an_attempt_waits_until_the_one_before_has_left_the_folder(ws, monkeypatch):
    job = started(ws, monkeypatch)
    monkeypatch.setattr(attempt_guard, "LEFT", 0.2)
    before = hold_lock(ws.folder(job.id) / attempt_guard.LOCK)
    assert attempt_guard.take_folder(ws, job.id, "ray:one") is None
    before.close()
    assert attempt_guard.take_folder(ws, job.id, "ray:one") is not None


def test_an_attempt_that_another_one_has_followed_does_not_begin(ws, monkeypatch):
    job = started(ws, monkeypatch, born="ray:two")
    assert attempt_guard.take_folder(ws, job.id, "ray:one") is None
    monkeypatch.setattr(attempt_guard, "NAMED", 0.2)
    ws.catalogue.set_job(job.id, born="")
    assert attempt_guard.take_folder(ws, job.id, "ray:one") is None, "nobody has named it"


def test_an_attempt_that_was_cut_off_quits_once_another_has_the_run(ws, monkeypatch):
    from core.jobs import reporter

    job = started(ws, monkeypatch)
    quits = []
    monkeypatch.setattr(reporter.os, "_exit", quits.append)
    told = reporter.Reporter(ws, job, alone=True)
    time.sleep(2.5 * reporter.BEAT)
    assert quits == []
    ws.catalogue.set_job(job.id, born="ray:two")
    time.sleep(2.5 * reporter.BEAT)
    told.close()
    assert quits
    assert set(quits) == {attempt_guard.LOST}


@pytest.mark.skipif(os.name == "nt", reason="a parent's death is not told there")
def test_a_worker_ends_with_what_started_it(tmp_path):
    child = (
        "from core.jobs.attempt_guard import end_with_parent; end_with_parent();"
        f" open({str(tmp_path / 'pid')!r}, 'w').write(str(__import__('os').getpid()));"
        " sum(range(10**12))"  # in a call that hears nothing
    )
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
    root = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, "-c", parent], cwd=root) as process:
        end = time.monotonic() + 60
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < end
            time.sleep(0.05)
        process.kill()
    pid, end = int((tmp_path / "pid").read_text()), time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() if sys.platform == "linux" else False:
        assert time.monotonic() < end, "it goes on without its place"
        time.sleep(0.05)


class Lost(cluster.Cluster):
    """A cluster on which each attempt is lost, or refused, or has ended by itself."""

    def __init__(self, refusal="", code=None):
        super().__init__()
        self.told = refusal, code

    def alive(self, job):
        return False

    def refusal(self, job):
        return self.told[0]

    def ending(self, job):
        return self.told[1]


def test_a_job_goes_on_by_itself_where_its_node_was_lost_but_not_for_ever(ws, monkeypatch):
    monkeypatch.setattr(reconciling, "CLUSTER", Lost())
    job = started(ws, monkeypatch)
    for _ in range(reconciling.LOSSES - 1):
        reconciling.reconcile(ws)
        now = ws.job(job.id)
        assert (now.status, now.resume, now.born, now.pid) == ("queued", 1, "", None)
        assert "gone on from the last checkpoint" in now.note
        ws.catalogue.set_job(job.id, status="running", born="ray:again", pid=1)
    reconciling.reconcile(ws)
    assert ws.job(job.id).status == "interrupted"
    assert {a.cause for a in attempts.load(ws.folder(job.id))} == {reconciling.LOST}


def test_a_cancelled_job_whose_node_was_lost_is_cancelled(ws, monkeypatch):
    monkeypatch.setattr(reconciling, "CLUSTER", Lost())
    job = started(ws, monkeypatch, cancel=1)
    reconciling.reconcile(ws)
    assert ws.job(job.id).status == "cancelled"


def test_what_a_node_could_not_begin_with_fails_in_its_sentence(ws, monkeypatch):
    monkeypatch.setattr(reconciling, "CLUSTER", Lost(refusal="The node x does not see it."))
    job = started(ws, monkeypatch)
    reconciling.reconcile(ws)
    assert (ws.job(job.id).status, ws.job(job.id).error) == (
        "failed",
        "The node x does not see it.",
    )


def test_a_crash_on_a_node_is_one_of_the_job(ws, monkeypatch):
    monkeypatch.setattr(reconciling, "CLUSTER", Lost(code=-11))
    job = started(ws, monkeypatch, heartbeat=1.0)
    reconciling.reconcile(ws)
    assert "brought down from within (SIGSEGV)" in ws.job(job.id).error
    assert attempts.load(ws.folder(job.id)) == [Attempt("SIGSEGV", "", 0, True)]


def test_pages_declare_no_job_of_a_cluster_dead(ws, monkeypatch):
    """Only the supervisor asks the cluster."""
    job = started(ws, monkeypatch, pid=1)
    reconciling.reconcile(ws)
    assert ws.job(job.id).status == "running"


def test_a_node_refuses_what_it_cannot_do(tmp_path):
    from core import __version__
    from core.jobs.cluster_node import why_not_here

    folder = tmp_path / "runs" / "x"
    said = why_not_here(folder, __version__)
    assert f"does not see the workspace folder {tmp_path};" in said
    assert "has Lightbox" in why_not_here(folder, "0.0.0")
    folder.mkdir(parents=True)
    assert why_not_here(folder, __version__) == ""
