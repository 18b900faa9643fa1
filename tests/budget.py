"""Processor seconds of every test, and what a method's tests may take.

A method's contract and science tests together are to take BUDGET seconds of one processor; the run
fails when they take TOLERANCE times that, since processors differ and a busy one counts up to 2.3
times the seconds for the same work (measured). Seconds are those of the test's process and of the
children it has waited for. What a fixture of the whole session takes is no test's: it is told
apart. `--costs` prints what takes most, and there counts servers, browsers, supervisors and workers
as well: all that was started from the test's process (`tests/processes.py`).
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from core.registry import methods
from tests.processes import Tree, own_seconds
from tests.soak import SOAK

BUDGET = 12.0
TOLERANCE = 4.0
SHOWN = 20
SESSION = "fixtures of the whole session"
OWN_FILE = re.compile(r"^tests/methods/test_(\w+)\.py::")
CONTRACT = re.compile(r"^tests/contract/\w+\.py::\w+\[(\w+?)(?:-[^\]]*)?\]")


def method_of(test: str) -> str | None:
    """The method on whose budget the test named `test` counts; None for other tests.

    >>> method_of("tests/contract/test_odd_data.py::test_odd_data[pca-no rows]")
    'pca'
    """
    found = OWN_FILE.match(test) or CONTRACT.match(test)
    return found[1] if found and found[1] in methods() else None


def by_method(seconds: dict[str, float]) -> dict[str, float]:
    """Processor seconds of each method's tests, of the methods that were tested."""
    total: Counter[str] = Counter()
    for test, spent in seconds.items():
        id = method_of(test)
        if id:
            total[id] += spent
    return dict(total)


def over_budget(spent: dict[str, float]) -> list[str]:
    """A sentence for each method whose tests took more than is allowed."""
    return [
        f"The tests of {id} took {seconds:.0f} s of processor time; a method has {BUDGET:.0f} s,"
        f" and {BUDGET * TOLERANCE:.0f} s on a busy machine (see CONTRIBUTING.md)."
        for id, seconds in sorted(spent.items())
        if seconds > BUDGET * TOLERANCE
    ]


class Clock:
    """Adds to each report the seconds since the one before, and sums them up."""

    def __init__(self, prints: bool) -> None:
        self.prints = prints
        self.tree: Tree | None = None
        self.in_session_fixtures = 0.0  # since the report before
        self.nested = False  # whether one of them is being set up
        self.seconds: Counter[str] = Counter()
        self.last = 0.0

    def so_far(self) -> float:
        """Processor seconds of this process; with `--costs`, of all below it."""
        return self.tree.seconds() if self.tree else own_seconds()

    def pytest_collection_finish(self) -> None:
        """In a process that does tests, which the one that hands them out does not."""
        self.tree = Tree() if self.prints else None
        self.last = self.so_far()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        if fixturedef.scope != "session" or self.nested:
            return (yield)
        began, self.nested = self.so_far(), True
        try:
            return (yield)
        finally:
            self.in_session_fixtures += self.so_far() - began
            self.nested = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        report = yield
        now = self.so_far()
        own = max(0.0, now - self.last - self.in_session_fixtures)
        report.user_properties.append(("processor_seconds", own))
        report.user_properties.append(("session_seconds", self.in_session_fixtures))
        self.last, self.in_session_fixtures = now, 0.0
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = dict(report.user_properties)
        self.seconds[report.nodeid] += float(told.get("processor_seconds", 0.0))
        self.seconds[SESSION] += float(told.get("session_seconds", 0.0))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.over_budget() and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        say = terminalreporter.write_line
        if self.prints:
            for line in costs(self.seconds):
                say(line)
        for sentence in self.over_budget():
            say(sentence, red=True)

    def over_budget(self) -> list[str]:
        """See `over_budget`; long hunts are about no budget."""
        return [] if SOAK else over_budget(by_method(self.seconds))


def costs(seconds: dict[str, float]) -> list[str]:
    """Lines that say which files, tests and methods take most processor time."""
    files: Counter[str] = Counter()
    for test, spent in seconds.items():
        files[test.split("::")[0]] += spent
    of_methods = by_method(seconds)
    lines = [f"{sum(files.values()):8.0f} s of processor time in all"]
    for title, spent_by in (("files", files), ("tests", seconds), ("methods", of_methods)):
        if spent_by:
            lines.append(f"The {title} that take most, in seconds of processor time:")
        lines += [f"{n:8.1f} {name}" for name, n in Counter(spent_by).most_common(SHOWN)]
    if of_methods:
        middle = statistics.median(of_methods.values())
        lines.append(f"{middle:8.1f} the median method, which has {BUDGET:.0f}")
    return lines
