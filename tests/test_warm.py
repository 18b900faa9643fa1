"""Children of a warm process are processes like any other."""

import os
import sys

import pytest

from core.jobs import engines
from tests import warm

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows cannot fork")


@pytest.fixture(scope="module")
def server():
    made = warm.Server("tests.warm")
    yield made
    made.end()


def test_a_child_has_its_own_environment_folder_session_and_log(server, tmp_path):
    log = tmp_path / "log.txt"
    code = "import os; print(os.environ['A'], os.getcwd(), os.getsid(0) == os.getpid())"
    where = {"log": str(log), "cwd": str(tmp_path), "env": {"A": "1"}}
    child = server.start("builtins", "exec", [code], **where)
    assert child.wait(60) == child.returncode == 0
    assert log.read_text().split() == ["1", str(tmp_path), "True"]


def test_how_a_child_ended_is_known(server, tmp_path):
    log = str(tmp_path / "log.txt")
    failed = server.start("builtins", "exec", ["raise KeyError('x')"], log=log)
    assert failed.wait(60) == 1
    assert "KeyError" in (tmp_path / "log.txt").read_text()
    sleeper = server.start("time", "sleep", [100], log=log)
    assert sleeper.poll() is None
    assert engines.process_identity(sleeper.pid)
    sleeper.kill()
    assert sleeper.wait(60) == -9


def test_what_a_child_imports_is_imported_already(server, tmp_path):
    log = tmp_path / "log.txt"
    code = "import sys; print('tests.warm' in sys.modules)"
    assert server.start("builtins", "exec", [code], log=str(log)).wait(60) == 0
    assert log.read_text() == "True\n"
    assert "tests.warm" in sys.modules
