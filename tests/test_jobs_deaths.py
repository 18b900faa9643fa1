"""Processes that die as they start, or end twice alike: said in a sentence, never started again for
ever, and not offered again.
"""

import os
import subprocess
import sys
import time

import pytest

from core.errors import UserError
from core.io.locks import hold_lock
from core.jobs import attempts, engines, queue, reconciling, starting
from core.jobs.attempts import Attempt
from tests.survive import _make


@pytest.fixture
def ws(tmp_path):
    return _make.workspace(tmp_path / "home")


def child(code, log):
    with open(log, "ab") as out:
        return subprocess.Popen([sys.executable, "-c", code], stdout=out, stderr=out)


@pytest.fixture
def spawned(monkeypatch):
    """Whatever is to be started runs `spawned.code` in its place; `spawned.made` are the
    processes.
    """

    class Spawned:
        code, made = "raise SystemExit('No module named “numpy”')", []

        def __call__(self, module, args, log, *more):
            self.made.append(child(self.code, log))
            return self.made[-1]

    one = Spawned()
    one.made = []
    monkeypatch.setattr(starting, "spawn", one)
    monkeypatch.setattr(engines, "spawn", one)
    starting._LAST.clear()
    return one


def test_a_supervisor_that_dies_as_it_starts_is_started_twice_and_then_said(ws, spawned):
    """The command that waits ends with the last line of the log, and whoever asks again is answered
    anew.
    """
    for asked in (1, 2):
        job = queue.train(ws, "few", "pca", {"dimensions": 4}, seed=asked)
        job = queue.wait(ws, job.id, timeout=120)
        assert job.status == "failed"
        assert len(spawned.made) == 2 * asked
        assert (
            job.error
            == "Nothing can be started here: the process that starts the work ended at once, 2"
            " times (exit code 1). The last line of its log: No module named “numpy”. The log"
            f" is {ws.home / 'log' / 'supervisor.log'}."
        )


def test_the_command_line_says_it_with_exit_2(ws, spawned, monkeypatch, capsys):
    from app.cli import main

    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    monkeypatch.setattr(sys, "argv", ["lightbox", "train", "few", "pca", "-p", "dimensions=4"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "Nothing can be started here" in said
    assert said.count("\n") == 1


def test_one_that_is_starting_is_waited_for_and_one_that_hangs_is_ended(ws, spawned, monkeypatch):
    spawned.code = "import time; time.sleep(60)"
    assert starting.start_supervisor(ws.home) == starting.start_supervisor(ws.home) == ""
    assert len(spawned.made) == 1, "it is on its way"
    starting.mark_supervisor_started(ws.home, spawned.made[0].pid)
    assert starting.start_supervisor(ws.home) == ""
    assert len(spawned.made) == 2, "it has had the lock and let it go, so it is leaving"
    monkeypatch.setattr(starting, "STUCK", 0.0)
    assert starting.start_supervisor(ws.home) == ""
    assert len(spawned.made) == 3
    assert "ended at once, 2 times (SIGKILL). It wrote nothing." in starting.start_supervisor(
        ws.home
    )
    spawned.made[0].kill()


def test_a_supervisor_that_lived_or_left_well_counts_for_nothing(ws, spawned):
    spawned.code = "pass"
    for _ in range(4):
        assert starting.start_supervisor(ws.home) == ""
        spawned.made[-1].wait()
    held = hold_lock(ws.home / starting.SUPERVISOR)
    assert starting.start_supervisor(ws.home) == ""
    assert len(spawned.made) == 4
    held.close()


def dies(ws, job, spawned, code, began=True):
    """Start a job whose process runs `code`, and look after it once it is dead, as the supervisor
    does.
    """
    spawned.code = code
    ws.catalogue.set_job(
        job.id, status="running", heartbeat=None, phase="starting", pid=None, born=""
    )
    ws.catalogue.set_job(job.id, **engines.LOCAL.start(ws, job, "cpu"))
    if began:
        ws.catalogue.set_job(job.id, heartbeat=time.time(), phase="learning")
    spawned.made[-1].wait()
    reconciling.reconcile(ws)
    return ws.job(job.id)


def test_a_worker_that_dies_before_it_begins_is_started_once_more_and_then_said(
    ws, spawned, monkeypatch
):
    job = _make.ask(ws, monkeypatch)
    assert dies(ws, job, spawned, "raise ImportError('no torch')", began=False).status == "queued"
    now = dies(ws, job, spawned, "raise ImportError('no torch')", began=False)
    assert (now.status, now.error) == (
        "failed",
        (
            "The process ended twice as it started, by exit code 1. The last line of its log:"
            " ImportError: no torch"
        ),
    )


CRASH = "import os, signal; os.kill(os.getpid(), signal.SIG{})"


def test_a_crash_that_would_repeat_is_not_gone_on_with(ws, spawned, monkeypatch):
    job = _make.ask(ws, monkeypatch)
    now = dies(ws, job, spawned, CRASH.format("SEGV"))
    assert (now.status, queue.why_would_fail_again(ws, now)) == ("interrupted", "")
    assert "brought down from within (SIGSEGV)" in now.error
    assert queue.resume(ws, job.id).status == "queued"
    now = dies(ws, job, spawned, CRASH.format("SEGV"))
    assert (now.status, now.error) == (
        "failed",
        "The process ended twice at the same step (0, learning), by SIGSEGV.",
    )
    with pytest.raises(
        UserError, match=r"ended twice at the same step in the same way .SIGSEGV.*--from-scratch"
    ):
        queue.resume(ws, job.id)
    assert queue.resume(ws, job.id, from_scratch=True).status == "queued"


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_what_was_killed_from_outside_may_always_go_on(ws, spawned, monkeypatch, signal):
    job = _make.ask(ws, monkeypatch)
    for _ in range(3):
        now = dies(ws, job, spawned, CRASH.format(signal))
        assert (now.status, now.error) == ("interrupted", reconciling.STOPPED["run"])
        assert queue.resume(ws, job.id).status == "queued"


def test_an_error_of_the_work_itself_is_not_met_a_third_time(ws, monkeypatch):
    """As a method raises it, in a worker: the same error at the same step, twice; a full disk is
    another matter.
    """
    from core.jobs import tasks

    def fail(error):
        monkeypatch.setitem(
            tasks.TASKS, "train", lambda ws, job, tell: (_ for _ in ()).throw(error)
        )
        return _make.do(ws, job.id)

    job = _make.ask(ws, monkeypatch)
    for _ in range(3):
        assert fail(OSError(28, "No space left on device")).status == "failed"
        assert queue.resume(ws, job.id).status == "queued"
    for _ in range(2):
        assert queue.why_would_fail_again(ws, ws.job(job.id)) == ""
        assert fail(ValueError("names of patients")).status == "failed"
        if not queue.why_would_fail_again(ws, ws.job(job.id)):
            queue.resume(ws, job.id)
    assert "ValueError" in queue.why_would_fail_again(ws, ws.job(job.id))
    assert "patients" not in (ws.folder(job.id) / attempts.FILE).read_text()
    with pytest.raises(UserError, match="ended twice"):
        queue.resume(ws, job.id)


def test_endings_are_alike_by_cause_phase_and_step():
    def tried(*more):
        return [
            Attempt(
                *({"cause": "SIGABRT", "phase": "learning", "step": 100, "own": True} | m).values()
            )
            for m in more
        ]

    assert attempts.find_repeated_cause(tried({}, {})) == "SIGABRT"
    assert attempts.find_repeated_cause(tried({}, {"step": 104})) == "SIGABRT"
    for other in ({"step": 120}, {"cause": "SIGSEGV"}, {"phase": "measuring"}, {"own": False}):
        assert attempts.find_repeated_cause(tried({}, other)) == ""
    assert attempts.find_repeated_cause(tried({})) == attempts.find_repeated_cause([]) == ""
    assert attempts.find_repeated_cause(tried({}, {}, {"step": 500})) == "", "it got further"


def test_an_end_is_named():
    assert [attempts.describe_exit(c) for c in (1, -11, -9)] == [
        "exit code 1",
        "SIGSEGV",
        "SIGKILL",
    ]
    assert os.name == "nt" or attempts.attempt_of_exit(-9, "", 0).own is False
