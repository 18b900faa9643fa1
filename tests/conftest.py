"""Which tests go to which process, which run before a release only, and a workspace for each file.

Tests are handed out by group (`--dist loadgroup`): the contract of each method is a group, whose
tests share its fits, and so is every other file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests import warm
from tests.budget import Clock, method_of
from tests.soak import SOAK, Results, only_in_soak

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
    "test_pages",
    "contract",
)
CONTRACT = "tests/contract"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", action="store_true", help="print what takes most processor time")


def pytest_configure(config: pytest.Config) -> None:
    # a worker waits, and a supervisor stays, in the tests that are about them
    os.environ |= {"LIGHTBOX_IDLE_SECONDS": "20", "LIGHTBOX_STANDBY": "0"}
    config.pluginmanager.register(Clock(config.getoption("--costs")), "processor-seconds")
    if SOAK:
        config.pluginmanager.register(Results(), "soak-results")


def turn_of(item: pytest.Item) -> int:
    """Where in the order of the run a test's file stands."""
    name = "contract" if item.path.parent.name == "contract" else item.path.stem
    return FIRST.index(name) if name in FIRST else len(FIRST)


def group_of(item: pytest.Item) -> str:
    """The tests that one process does: those of a file, of the contract's those of a method."""
    file = item.nodeid.split("::")[0]
    id = method_of(item.nodeid) if file.startswith(CONTRACT) else None
    return f"{CONTRACT}:{id}" if id else file


@pytest.hookimpl(tryfirst=True)  # before xdist writes the groups into the tests' names
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    later = [] if SOAK else [item for item in items if only_in_soak(item)]
    if later:
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if not only_in_soak(item)]
    items.sort(key=turn_of)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))


@pytest.fixture(autouse=True, scope="module")
def own_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new workspace for each file, and none of what the file before has left in caches: files may
    come in any order, and in any process.
    """
    streamlit: Any = sys.modules.get("streamlit")
    if streamlit:
        streamlit.cache_data.clear()
        streamlit.cache_resource.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("workspace") / "home"))
        yield


@pytest.fixture(autouse=True, scope="module")
def warm_processes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Supervisors and workers are forked from one process that has imported everything, but in
    files marked `processes`.
    """
    if os.name == "nt" or request.node.get_closest_marker("processes"):
        yield
        return
    from core.jobs import engines, starting

    with pytest.MonkeyPatch.context() as patch:
        for module in (engines, starting):
            patch.setattr(module, "spawn", warm.spawn)
        yield
