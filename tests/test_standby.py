"""The worker that waits: it takes the next job, gives what a new process would, and is gone when it
is not needed.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from core.children import environment
from core.data.samples.catalogue import make_sample
from core.jobs import engines, queue, scheduler, standby, starting
from core.jobs.engines import Local
from core.jobs.priority import NICE
from core.jobs.threads import THREADS, WINDOW, Load
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace

pytestmark = pytest.mark.processes


def eventually(what, seconds=120.0):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    """A workspace whose supervisor keeps a worker ready, and stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_STANDBY", "1")
        patch.setenv("LIGHTBOX_IDLE_SECONDS", "600")
        for name in THREADS:  # sums of other numbers of threads differ in their last digits
            patch.setenv(name, "1")
        made = Workspace(tmp_path_factory.mktemp("home"))
        made.add(make_sample("tiny-scans"), sample=True)
        yield made
        for process in (supervisor(made), waiting(made)):
            if process:
                process.kill()


def supervisor(ws):
    held = [p for p in psutil.process_iter(["cmdline"]) if is_ours(p, "core.jobs.scheduler", ws)]
    return held[0] if held else None


def waiting(ws):
    """The process that waits for a job of this workspace, or now does one."""
    found = [
        p for p in psutil.process_iter(["cmdline"]) if is_ours(p, "core.jobs.standby_worker", ws)
    ]
    return found[0] if found else None


def is_ours(process, module, ws):
    words = process.info["cmdline"] or []
    return module in words and str(ws.home) in words and process.status() != "zombie"


def done_by(ws, job):
    """How a job ended, and the number of the process that did it."""
    number = eventually(lambda: ws.job(job.id).pid)
    return queue.wait(ws, job.id, timeout=300), number


def test_a_worker_that_waited_gives_what_a_new_process_gives(ws):
    params = {"epochs": 2, "width": 4, "latent": 3}
    new, number = done_by(ws, queue.train(ws, "tiny-scans", "gaussian_vae", params))
    assert new.status == "done", new.error
    process = eventually(lambda: waiting(ws))
    assert process.pid != number
    again, number = done_by(ws, queue.train(ws, "tiny-scans", "gaussian_vae", params))
    assert again.status == "done", again.error
    assert number == process.pid
    for slug, one in ws.artifacts(new.id).items():
        other = ws.artifact(again.id, slug)
        for name, value in vars(one).items():
            if isinstance(value, np.ndarray):
                assert np.array_equal(value, getattr(other, name), equal_nan=True), (slug, name)
    assert "learning" in (ws.folder(again.id) / "log.txt").read_text()
    # a job of its own each, and lower than who looks at the screen
    following = eventually(lambda: (p := waiting(ws)) and p.pid != number and p)
    eventually(lambda: following.nice() >= NICE)
    mapped, number = done_by(ws, queue.derive(ws, "map", new.id, {"how": "umap", "dims": 2}))
    assert mapped.status == "done", mapped.error
    assert number == following.pid


@pytest.mark.skipif(os.name == "nt", reason="no such signal")
def test_it_ends_with_its_supervisor(ws):
    starting.request_supervisor(ws.home)
    process = eventually(lambda: waiting(ws))
    eventually(lambda: supervisor(ws)).send_signal(signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(process.pid) or process.status() == "zombie")


class Pretended:
    """Instead of a process that waits."""

    pid = os.getpid()

    def __init__(self, *args, **more):
        self.asked, self.code, self.stdin = args[0], None, self
        self.told = b""

    def poll(self):
        return self.code

    def write(self, words):
        self.told += words

    def close(self):
        pass

    def kill(self):
        self.code = -9

    wait = poll


@pytest.fixture
def local(monkeypatch):
    started = []

    def start(*args, **more):
        started.append(Pretended(*args, **more))
        return started[-1]

    monkeypatch.setattr(engines, "spawn", start)
    monkeypatch.setattr(engines, "LOOK", 0.0)
    monkeypatch.setattr(standby, "TO_START", 0)
    monkeypatch.setattr(standby, "TO_STAY", 0)
    made = Local()
    made.started = started
    return made


def test_none_waits_where_memory_is_short(ws, local, monkeypatch):
    monkeypatch.setattr(standby, "TO_START", 1 << 60)
    local.keep_ready(ws)
    assert local.started == []
    monkeypatch.setattr(standby, "TO_START", 0)
    local.keep_ready(ws)
    local.keep_ready(ws)
    assert [p.poll() for p in local.started] == [None]
    monkeypatch.setattr(standby, "TO_STAY", 1 << 60)
    local.keep_ready(ws)
    local.keep_ready(ws)
    assert [p.poll() for p in local.started] == [-9]


def test_what_one_takes_does_not_end_it():
    assert standby.TO_START - standby.TO_STAY > 700 << 20


def test_one_of_older_code_gets_no_job(ws, local, monkeypatch):
    local.keep_ready(ws)
    monkeypatch.setattr(standby, "newest_code_time", lambda: 1e12)
    local.start(ws, Job(id="a" * 8, kind="train", dataset=""), "cpu")
    assert [p.asked for p in local.started] == ["core.jobs.standby_worker", "core.jobs.worker"]
    assert [p.poll() for p in local.started] == [-9, None]


def test_an_import_gets_a_process_of_its_own(ws, local):
    local.keep_ready(ws)
    local.start(ws, Job(id="a" * 8, kind="import", dataset=""), "")
    assert [p.asked for p in local.started] == ["core.jobs.standby_worker", "core.jobs.worker"]
    local.start(ws, Job(id="b" * 8, kind="map", dataset=""), "")
    assert b'"job": "bbbbbbbb"' in local.started[0].told
    assert len(local.started) == 2


def test_one_that_dies_is_not_started_again_at_once(ws, local):
    local.keep_ready(ws)
    local.started[0].code = 1
    for _ in range(3):
        local.keep_ready(ws)
    assert len(local.started) == 1


def test_the_supervisor_leaves_once_its_code_is_old(ws, monkeypatch):
    seen = iter([1.0, 1.0])
    monkeypatch.setattr(scheduler, "LOOK", 0.0)
    monkeypatch.setattr(scheduler, "newest_code_time", lambda: next(seen, 2.0))
    monkeypatch.setenv("LIGHTBOX_STANDBY", "0")
    assert scheduler._serve(ws)


def test_the_supervisor_leaves_when_the_app_is_closed(ws, monkeypatch):
    monkeypatch.setattr(starting, "start_supervisor", lambda home: "")
    monkeypatch.setenv("LIGHTBOX_STANDBY", "0")
    starting.request_supervisor(ws.home)
    assert starting.last_request(ws.home) > 0
    monkeypatch.setattr(scheduler.time, "sleep", lambda s: starting.release_supervisor(ws.home))
    assert scheduler._serve(ws) is False
    assert starting.last_request(ws.home) == 0


@pytest.mark.parametrize(("busy", "threads"), [(0.0, 4), (0.24, 3), (1.0, 1)])
def test_a_job_takes_the_processors_that_nobody_uses(busy, threads, monkeypatch):
    kind = type(psutil.cpu_times())
    empty = kind(*[0.0] * len(kind._fields))
    clock = iter([0.0, 1.0])

    def now():
        seconds = next(clock)
        return empty._replace(idle=4 * (1 - busy) * seconds, user=4 * busy * seconds)

    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    monkeypatch.setattr(psutil, "cpu_times", now)
    load = Load()
    load.look()
    time.sleep(WINDOW)
    assert load.free_threads() == threads


def test_what_is_imported_already_is_bound_to_the_threads_too(tmp_path):
    words = (
        "import torch, faiss, numba, os\n"
        "from core.jobs.threads import limit_threads\n"
        "limit_threads(1)\n"
        "print(torch.get_num_threads(), faiss.omp_get_max_threads(), numba.get_num_threads(),"
        " os.environ['MKL_NUM_THREADS'], numba.njit(lambda x: x + 1)(0))"
    )
    free = {k: v for k, v in environment().items() if not k.endswith("_NUM_THREADS")}
    command = [sys.executable, "-P", "-c", words]
    out = subprocess.run(command, env=free, capture_output=True, text=True, cwd=tmp_path)
    assert out.stdout.split() == ["1"] * 5, out.stderr


def test_the_app_lets_the_supervisor_go_when_it_ends(tmp_path, monkeypatch):
    from app.server import StayHome

    async def life(scope, receive, send):
        (tmp_path / starting.WANTED).touch()

    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    asyncio.run(StayHome(life)({"type": "lifespan"}, None, None))
    assert starting.last_request(tmp_path) == 0


GROUP = Path("/proc/self/autogroup")


@pytest.mark.skipif(not GROUP.exists(), reason="no scheduling groups here")
def test_a_session_of_its_own_gives_way_as_a_whole(tmp_path):
    words = (
        f"from core.jobs import priority\npriority.lower_priority()\nprint(open('{GROUP}').read())"
    )
    command = [sys.executable, "-P", "-c", words]
    out = subprocess.run(
        command, env=environment(), capture_output=True, text=True, start_new_session=True
    )
    assert out.stdout.split()[-1] == str(NICE), out.stderr
