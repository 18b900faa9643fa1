"""Rows 6, 7, 10, 11, 17 and 19: servers that come and go, clocks that jump, numbers that are used
again, many asks at once, one ask twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from app.commands import serve
from core.errors import UserError
from core.io.locks import hold_lock
from core.jobs import engines, queue, reconciling, scheduler
from core.workspace import records
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace
from tests.survive import _make

pytestmark = pytest.mark.processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(100)"]


@pytest.fixture
def ws(tmp_path):
    return _make.workspace(tmp_path / "home")


@pytest.fixture
def sleeper():
    """A process that does nothing, and that it is started with."""
    with subprocess.Popen(SLEEP) as process:
        yield process
        process.kill()


def running(ws, monkeypatch, **values):
    job = _make.ask(ws, monkeypatch)
    ws.catalogue.set_job(job.id, status="running", **values)
    return ws.job(job.id)


# -- row 10: the clock -----------------------------------------------------------------------------
def test_a_clock_that_jumps_makes_no_run_dead(ws, monkeypatch, sleeper):
    """An hour back or forth in whatever tells the time of day: the process is the same, the run
    goes on, and the queue keeps its order.
    """
    job = running(ws, monkeypatch, pid=sleeper.pid, born=engines.process_identity(sleeper.pid))
    first = _make.ask(ws, monkeypatch, seed=1)
    now, booted = time.time(), psutil.boot_time()
    for jump in (-3600.0, 3600.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        monkeypatch.setattr(psutil, "boot_time", lambda jump=jump: booted + jump)
        monkeypatch.setattr(psutil.Process, "create_time", lambda self, jump=jump: now + jump)
        assert engines.LOCAL.alive(job)
        reconciling.reconcile(ws)
        assert ws.job(job.id).status == "running"
        assert ws.catalogue.jobs(status="queued")[0].id == first.id
        _make.ask(ws, monkeypatch, seed=round(9999 + jump))
    assert [j.place for j in ws.catalogue.jobs()] == [1, 2, 3, 4]


def test_a_run_that_is_being_started_is_left_alone_whatever_the_clock_says(ws, monkeypatch):
    job = running(ws, monkeypatch, started=time.time() - 3600, pid=None)
    reconciling.reconcile(ws)
    assert ws.job(job.id).status == "running", (
        "an hour ago by the clock of the day, just now by one that nobody sets"
    )
    monkeypatch.setitem(reconciling._unseen, job.id, time.monotonic() - reconciling.STALE - 1)
    reconciling.reconcile(ws)
    assert ws.job(job.id).status == "interrupted"


# -- row 11: a number used again -------------------------------------------------------------------
def test_a_stranger_with_the_number_of_a_worker_is_no_worker(ws, monkeypatch, sleeper):
    # starts are told apart by hundredths of a second; a number is not used again within one
    time.sleep(0.05)
    with subprocess.Popen(SLEEP) as gone:
        was = engines.process_identity(gone.pid)
        gone.kill()
    # as it is kept now, and as it was before
    for born, start in ((was, None), ("", time.time() - 9999)):
        job = running(ws, monkeypatch, pid=sleeper.pid, born=born, pid_start=start)
        assert not engines.LOCAL.alive(job)
        reconciling.reconcile(ws)
        assert ws.job(job.id).status == "interrupted"
    assert sleeper.poll() is None
    job = running(
        ws,
        monkeypatch,
        pid=sleeper.pid,
        born="",
        pid_start=psutil.Process(sleeper.pid).create_time(),
    )
    assert engines.LOCAL.alive(job), "one started by a Lightbox before this goes on"


def test_a_dead_process_nobody_has_fetched_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    was = engines.process_identity(child.pid)
    end = time.monotonic() + 30
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert was
    assert engines.process_identity(child.pid) == ""
    child.wait()


# -- row 17: many at once --------------------------------------------------------------------------
def test_twenty_runs_at_once_take_turns(ws, monkeypatch):
    """Asked for by several threads at a time; the supervisor starts one after the other in their
    order, and each is done.
    """

    class Instant:
        """Does a job at its next look, in this process: what is tried here is the queue."""

        def __init__(self):
            self.order, self.at_work, self.most = [], set(), 0

        def lanes(self):
            return [engines.CPU]

        def start(self, ws, job, lane):
            self.order.append(job.id)
            self.at_work.add(job.id)
            self.most = max(self.most, len(self.at_work))
            return {"pid": os.getpid(), "born": engines.process_identity(os.getpid())}

        def alive(self, job):
            if job.id in self.at_work:
                self.at_work.remove(job.id)
                records.end_job(ws.catalogue, ws.home, job, status="done", finished=time.time())
            return True

        def stop(self, job, hard):
            raise AssertionError

        def keep_ready(self, ws):
            raise AssertionError("none was asked for")

        def release(self):
            pass

    engine = Instant()
    monkeypatch.setattr(scheduler, "LOCAL", engine)
    monkeypatch.setattr(reconciling, "LOCAL", engine)
    monkeypatch.setenv("LIGHTBOX_IDLE_SECONDS", "0")
    monkeypatch.setattr(scheduler.time, "sleep", lambda s: None)
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    threads = [
        threading.Thread(
            target=lambda k=k: [
                queue.train(ws, "few", "pca", {"dimensions": 4}, seed=5 * k + i) for i in range(5)
            ]
        )
        for k in range(4)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    asked = [j.id for j in ws.catalogue.jobs()]
    assert len(asked) == 20
    assert [j.place for j in ws.catalogue.jobs()] == list(range(1, 21))
    for k in range(4):
        assert [s for s in (j.seed for j in ws.catalogue.jobs()) if s // 5 == k] == list(
            range(5 * k, 5 * k + 5)
        ), "each one's asks in their order"
    scheduler.main(str(ws.home))
    assert engine.order == asked
    assert engine.most == 1
    assert {j.status for j in ws.catalogue.jobs()} == {"done"}


def jobs(*asked):
    return [
        Job(id=f"{i}", kind=kind, dataset="x", device=device, lane=lane)
        for i, (kind, device, lane) in enumerate(asked)
    ]


@pytest.mark.parametrize(
    ("cards", "running", "waiting", "starts"),
    [
        (
            [],
            (),
            (
                ("train", "auto", ""),
                ("train", "cpu", ""),
                ("map", "auto", ""),
                ("import", "auto", ""),
            ),
            [("0", "cpu"), ("2", ""), ("3", "")],
        ),
        (
            ["0"],
            (),
            (
                ("train", "auto", ""),
                ("train", "cuda", ""),
                ("train", "cpu", ""),
                ("train", "cpu", ""),
            ),
            [("0", "0"), ("2", "cpu")],
        ),
        (
            ["0", "1"],
            (("train", "auto", "0"),),
            (("train", "auto", ""), ("train", "auto", "")),
            [("0", "1")],
        ),
        (
            ["0"],
            (("train", "cpu", "cpu"), ("train", "auto", "0")),
            (("train", "auto", ""), ("train", "cpu", "")),
            [],
        ),
        (
            [],
            (("train", "auto", "cpu"), ("measure", "auto", "")),
            (("map", "auto", ""), ("train", "auto", "")),
            [],
        ),
    ],
)
def test_who_starts_next(cards, running, waiting, starts):
    """One training a graphics card and one on the processors; nobody who waits for the same is
    overtaken.
    """
    assert [
        (j.id, lane) for j, lane in scheduler.plan_starts(jobs(*waiting), jobs(*running), cards, 1)
    ] == starts


# -- row 6: the server dies ------------------------------------------------------------------------
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_run_outlives_whoever_asked_for_it(ws):
    """Server and supervisor are killed while a run goes on: it ends, and whoever comes then sees it
    done; the next in the queue is started anew.
    """
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom core.jobs import queue\nfrom"
        " core.workspace.workspace import Workspace\nws = Workspace(Path(sys.argv[1]))\nfor seed in"
        " (0, 1):\n    print(queue.train(ws, 'few', 'pca', {'dimensions': 4}, seed=seed).id,"
        " flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(ws.home)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as server:
        ids = [server.stdout.readline().strip() for _ in range(2)]
        until(lambda: ws.job(ids[0]).pid is not None)
        worker = ws.job(ids[0]).pid
        above = [
            p
            for p in psutil.process_iter(["cmdline"])
            if (p.info["cmdline"] or [])[-2:] == ["core.jobs.scheduler", str(ws.home)]
        ]
        server.send_signal(signal.SIGKILL)
        for process in above:
            process.kill()
    assert above
    until(lambda: not engines.process_identity(worker))
    reconciling.reconcile(ws)
    assert ws.job(ids[0]).status == "done"
    again = Workspace(ws.home)
    queue.ensure_supervisor(again)
    assert queue.wait(again, ids[1], timeout=500).status == "done"
    _make.whole(again)


def until(true, seconds=400.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


# -- row 7: two servers ----------------------------------------------------------------------------
@pytest.mark.skipif(os.name == "nt", reason="the process is replaced on POSIX only")
def test_a_second_server_is_refused_and_told_of_the_first(tmp_path, monkeypatch):
    """The first holds its place through becoming another program, and gives it up by dying."""
    ws = Workspace(tmp_path)
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom app.commands.serve import _alone\nfrom"
        " core.workspace.workspace import Workspace\nheld = _alone(Workspace(Path(sys.argv[1])),"
        " 'http://127.0.0.1:8555')\nos.set_inheritable(held.fileno(),"
        " True)\nos.execv(sys.executable, [sys.executable, '-c', 'print(1, flush=True); import"
        " time; time.sleep(100)'])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(ws.home)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as first:
        assert first.stdout.readline() == b"1\n"
        with pytest.raises(UserError, match=rf"process {first.pid} at http://127\.0\.0\.1:8555"):
            serve._alone(ws, "http://127.0.0.1:8556")
        first.kill()
    serve._alone(ws, "http://127.0.0.1:8556").close()


def test_a_hold_is_one_processs_and_ends_with_it(tmp_path):
    one = hold_lock(tmp_path / "lock")
    assert hold_lock(tmp_path / "lock", wait=0.1) is None
    one.close()
    two = hold_lock(tmp_path / "lock")
    assert two is not None
    two.close()


# -- row 19: asked twice ---------------------------------------------------------------------------
def test_one_token_is_one_run(ws, monkeypatch):
    """The same press twice, one after the other and at once, also from two tabs that ask for the
    very same.
    """
    first = _make.ask(ws, monkeypatch, token="press one")
    assert _make.ask(ws, monkeypatch, token="press one").id == first.id
    assert _make.ask(ws, monkeypatch, token="another tab").id == first.id, (
        "the very same and not ended"
    )
    assert _make.ask(ws, monkeypatch, token="another tab", seed=1).id != first.id
    got = []
    threads = [
        threading.Thread(
            target=lambda: got.append(_make.ask(ws, monkeypatch, token="at once", seed=2).id)
        )
        for _ in range(6)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(got)) == 1
    assert len(ws.catalogue.jobs()) == 3
    assert len(list((ws.home / "runs").iterdir())) == 3
    ws.catalogue.set_job(first.id, status="done")
    assert _make.ask(ws, monkeypatch, token="press one").id == first.id, "a press that comes late"
    assert _make.ask(ws, monkeypatch, token="press two").id != first.id, (
        "asked for anew once it is done"
    )
    assert _make.ask(ws, monkeypatch).id != _make.ask(ws, monkeypatch).id, (
        "without a token each ask is one"
    )


def test_one_press_is_one_import(ws, monkeypatch, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 9)
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    first = queue.import_data(ws, tmp_path / "a.csv", "a", token="once")
    assert queue.import_data(ws, tmp_path / "a.csv", "a", token="once").id == first.id
    assert len(ws.catalogue.jobs()) == 1


def test_going_on_with_another_version_is_noted(ws, monkeypatch):
    """Row 21: a run begun by one version and gone on with by another says so."""
    job = running(ws, monkeypatch)
    records.end_job(ws.catalogue, ws.home, replace(job), status="interrupted")
    assert queue.resume(ws, job.id).note == ""
    ws.catalogue.set_job(job.id, status="interrupted", version="0.0.9")
    assert "0.0.9" in queue.resume(ws, job.id).note
    assert queue.resume(ws, job.id).status == "queued", "asked twice it changes nothing"
