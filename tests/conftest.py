"""Which tests run before a release only, and a workspace for each file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests import postgres, warm
from tests.budget import Clock
from tests.groups import ByGroup, Together, turn_of
from tests.soak import SOAK, Results, only_in_soak


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", action="store_true", help="print what takes most processor time")


def pytest_configure(config: pytest.Config) -> None:
    # a worker waits, and a supervisor stays, in the tests that are about them
    os.environ |= {"LIGHTBOX_IDLE_SECONDS": "20", "LIGHTBOX_STANDBY": "0"}
    config.pluginmanager.register(Clock(config.getoption("--costs")), "processor-seconds")
    if SOAK:
        config.pluginmanager.register(Results(), "soak-results")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup | None:
    """With `--dist loadscope`, which is what `make test` says."""
    if config.getoption("dist") != "loadscope":
        return None
    config.pluginmanager.register(Together(), "groups-together")
    return ByGroup(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    later = [] if SOAK else [item for item in items if only_in_soak(item)]
    if later:
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if not only_in_soak(item)]
    items.sort(key=turn_of)


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


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """A PostgreSQL server of this process's own; skipped where none is installed."""
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    made = postgres.Server()
    yield made
    made.end()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Has workspaces keep their catalogues in either database, each workspace in a schema of its
    own; what makes a workspace for several tests asks for it first.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("workspace") / "home"))
        if request.param == "postgresql":
            patch.setenv("LIGHTBOX_CATALOGUE", request.getfixturevalue("server").url())
        yield request.param
