"""Which tests go to the same process: those of a file, and of the contract those of a method, so
that what they share (fits, servers, browsers) is made once.

xdist's own groups (`--dist loadgroup`) are not used: xdist 3.8 writes them into the tests' ids,
which pytest 9.2 does not take from it, and every test goes where there is room without a word.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.budget import method_of

FIRST = (  # what takes longest, so that no process is left with one of them at the end
    "test_wheel",
    "test_words_on_screen",
    "test_more_journeys",
    "test_on_screen",
    "test_journey",
    "test_first_look",
    "test_current_folder",
    "test_maps",
    "test_volumes",
    "test_forgetting",
    "test_viewer",
    "test_network",
    "test_killer",
    "test_cli",
    "test_review",
    "test_jobs_deaths",
    "test_engines",
    "test_pages",
    "contract",
)
CONTRACT = "tests/contract"


def group_of(test: str) -> str:
    """The group of the test whose id is `test`.

    >>> group_of("tests/app/test_cli.py::test_samples[pca]")
    'tests/app/test_cli.py'
    >>> group_of("tests/contract/test_odd_data.py::test_odd_data[pca-no rows]")
    'tests/contract:pca'
    """
    file = test.split("::")[0]
    id = method_of(test) if file.startswith(CONTRACT) else None
    return f"{CONTRACT}:{id}" if id else file


def turn_of(item: pytest.Item) -> int:
    """Where in the order of the run a test's file stands."""
    name = "contract" if item.path.parent.name == "contract" else item.path.stem
    return FIRST.index(name) if name in FIRST else len(FIRST)


class ByGroup(LoadScopeScheduling):
    """Hands a group to a process, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


class Together:
    """Fails the run when tests of one group went to several processes."""

    def __init__(self) -> None:
        self.processes: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        node = getattr(report, "node", None)  # of a test that another process did
        if node is not None:
            self.processes.setdefault(group_of(report.nodeid), set()).add(node.gateway.id)

    def torn(self) -> list[str]:
        """The groups that went to several processes."""
        return sorted(group for group, nodes in self.processes.items() if len(nodes) > 1)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.torn() and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.torn():
            groups = ", ".join(self.torn())
            terminalreporter.write_line(f"Done by several processes: {groups}", red=True)
