"""Tests of one group are done by one process, and a run in which they are not fails."""

from types import SimpleNamespace

import pytest

from tests.groups import ByGroup, Together, group_of


@pytest.mark.parametrize(
    ("test", "group"),
    [
        ("tests/app/test_cli.py::test_samples[a::b]", "tests/app/test_cli.py"),
        ("tests/contract/test_odd_data.py::test_odd_data[pca-no rows]", "tests/contract:pca"),
        ("tests/contract/test_results.py::test_figures[pca]", "tests/contract:pca"),
        ("tests/contract/test_odd_data.py::test_small", "tests/contract/test_odd_data.py"),
    ],
)
def test_a_file_is_a_group_and_a_method_s_contract(test, group):
    assert group_of(test) == group


def test_this_run_hands_out_by_group(request):
    config = request.config
    if not hasattr(config, "workerinput"):
        pytest.skip("one process does all tests")
    scheduler = config.hook.pytest_xdist_make_scheduler(
        config=SimpleNamespace(
            getoption=lambda name: "loadscope",
            getvalue=lambda name: ["popen"],
            pluginmanager=SimpleNamespace(register=lambda *given: None),
        ),
        log=None,
    )
    assert isinstance(scheduler, ByGroup)


def done(together, test, process):
    gateway = SimpleNamespace(id=process)
    report = SimpleNamespace(nodeid=test, node=SimpleNamespace(gateway=gateway))
    together.pytest_runtest_logreport(report)


def test_a_run_that_tears_a_group_fails_and_names_it():
    together, session, lines = Together(), SimpleNamespace(exitstatus=0), []
    say = SimpleNamespace(write_line=lambda line, red: lines.append(line))
    done(together, "tests/test_a.py::test_1", "gw0")
    done(together, "tests/test_b.py::test_1", "gw1")
    done(together, "tests/test_a.py::test_2", "gw0")
    together.pytest_sessionfinish(session)
    together.pytest_terminal_summary(say)
    assert (session.exitstatus, lines) == (0, [])
    done(together, "tests/test_a.py::test_2[x]", "gw1")
    together.pytest_sessionfinish(session)
    together.pytest_terminal_summary(say)
    assert session.exitstatus == pytest.ExitCode.TESTS_FAILED
    assert lines == ["Done by several processes: tests/test_a.py"]
