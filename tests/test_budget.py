"""Processor seconds are counted on the method they are spent for, and too many fail the run."""

import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from tests import budget
from tests.budget import BUDGET, SESSION, TOLERANCE, Clock, by_method, costs, method_of, over_budget
from tests.processes import OFTEN, Tree, own_seconds

CONTRACT = "tests/contract/test_odd_data.py::test_odd_data[{}]"


@pytest.mark.parametrize(
    ("test", "method"),
    [
        (CONTRACT.format("pca"), "pca"),
        (CONTRACT.format("gaussian_vae-no rows"), "gaussian_vae"),
        (CONTRACT.format("pca-every case-its own class"), "pca"),
        (CONTRACT.format("nothing"), None),
        ("tests/contract/test_odd_data.py::test_small_sets", None),
        ("tests/contract/test_rows.py::test_it[pca]", "pca"),
        ("tests/methods/test_swav.py::test_it[a]", "swav"),
        ("tests/methods/test_classic.py::test_it[pca]", None),
        ("tests/test_jobs.py::test_it", None),
    ],
)
def test_a_test_counts_on_its_method(test, method):
    assert method_of(test) == method


def test_contract_and_science_of_a_method_are_summed_up():
    spent = by_method(
        {
            CONTRACT.format("swav"): 4.0,
            "tests/methods/test_swav.py::test_it": 5.0,
            CONTRACT.format("pca-no rows"): 1.0,
            "tests/test_jobs.py::test_it": 9.0,
        }
    )
    assert spent == {"swav": 9.0, "pca": 1.0}


def test_a_run_fails_by_a_method_that_takes_too_much_and_by_nothing_else():
    most = BUDGET * TOLERANCE
    session = SimpleNamespace(exitstatus=0)
    clock = Clock(prints=False)
    clock.seconds[CONTRACT.format("pca")] = most
    clock.seconds["tests/test_jobs.py::test_it"] = 99 * most
    clock.pytest_sessionfinish(session)
    assert session.exitstatus == 0
    clock.seconds["tests/methods/test_swav.py::test_it"] = most + 1
    clock.pytest_sessionfinish(session)
    assert session.exitstatus == 1
    (said,) = over_budget(by_method(clock.seconds))
    assert f"tests of swav took {most + 1:.0f} s" in said


def test_long_hunts_have_no_budget(monkeypatch):
    monkeypatch.setattr(budget, "SOAK", True)
    session, clock = SimpleNamespace(exitstatus=0), Clock(prints=False)
    clock.seconds[CONTRACT.format("pca")] = 9 * BUDGET
    clock.pytest_sessionfinish(session)
    assert (session.exitstatus, clock.over_budget()) == (0, [])


def test_seconds_are_those_of_the_processor_and_told_with_the_report():
    clock, ends = Clock(prints=False), SimpleNamespace(nodeid="tests/a.py::b")
    ends.user_properties = []
    clock.pytest_collection_finish()
    sum(range(2_000_000))
    step = clock.pytest_runtest_makereport()
    next(step)
    with pytest.raises(StopIteration):
        step.send(ends)
    clock.pytest_runtest_logreport(ends)
    assert 0 < clock.seconds["tests/a.py::b"] < 10


def test_what_takes_most_stands_first():
    lines = costs({CONTRACT.format("pca"): 1.0, "tests/test_jobs.py::test_it": 9.0})
    assert lines[0].split()[0] == "10"
    assert [line.split()[1] for line in lines if "tests/" in line][:2] == [
        "tests/test_jobs.py",
        "tests/contract/test_odd_data.py",
    ]


PARENT = """
import subprocess, sys
work = "import time\\nwhile time.process_time() < 0.6: pass\\ntime.sleep(60)"
print(subprocess.Popen([sys.executable, "-c", work], stdout=2).pid, flush=True)
sys.stdin.read()
"""


def test_seconds_are_also_those_of_processes_that_nobody_waits_for():
    tree = Tree()
    own, before = own_seconds(), tree.seconds()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", PARENT], **pipes) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(OFTEN)
        tree.seconds()
        assert child in tree.seen
    try:
        end = time.monotonic() + 60
        while sum(child.cpu_times()[:2]) < 0.4 and time.monotonic() < end:
            time.sleep(OFTEN)
        time.sleep(OFTEN)
        counted = tree.seconds() - before
        assert own_seconds() - own + 0.3 < counted
    finally:
        child.kill()
    child.wait(60)
    time.sleep(OFTEN)
    assert tree.seconds() - before >= 0.4


def test_what_a_fixture_of_the_session_takes_is_no_test_s():
    clock, ends = Clock(prints=False), SimpleNamespace(nodeid="tests/a.py::b", user_properties=[])
    clock.pytest_collection_finish()
    for scope in ("session", "function"):
        setup = clock.pytest_fixture_setup(SimpleNamespace(scope=scope))
        next(setup)
        sum(range(3_000_000))
        with pytest.raises(StopIteration):
            setup.send(None)
    step = clock.pytest_runtest_makereport()
    next(step)
    with pytest.raises(StopIteration):
        step.send(ends)
    clock.pytest_runtest_logreport(ends)
    own, shared = clock.seconds["tests/a.py::b"], clock.seconds[SESSION]
    assert shared > 0
    assert 0.3 < own / shared < 3
