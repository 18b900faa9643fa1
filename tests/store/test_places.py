"""Results are written to addresses other than paths: an export and a report, whole, and nothing
over what is there.
"""

import json

import fsspec
import numpy as np
import pytest

from core.errors import UserError
from core.io import files
from tests.app.test_cli import refused, told
from tests.survive import _make


@pytest.fixture(scope="module")
def run(database, tmp_path_factory):
    ws = _make.workspace(tmp_path_factory.mktemp("places") / "home")
    with pytest.MonkeyPatch.context() as patch:
        yield _make.do(ws, _make.ask(ws, patch).id).id, ws


def test_an_export_and_a_report_go_to_an_address(run, database, monkeypatch, tmp_path):
    id, ws = run
    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    there = told("export", id, "--to", f"memory://{database}/run")
    memory = fsspec.filesystem("memory")
    assert "rows.csv" in there["files"]
    with memory.open(f"/{database}/run/embedding-latent/z.npy") as f:
        np.testing.assert_array_equal(np.load(f), ws.artifact(id, "embedding-latent").z)
    assert json.loads(memory.cat(f"/{database}/run/run.json"))["run"] == id
    assert "already holds files" in refused("export", id, "--to", f"memory://{database}/run")
    page = told("report", id, "--to", f"file://{tmp_path}/deep/page.html")
    assert (tmp_path / "deep" / "page.html").stat().st_size == page["bytes"]
    assert "cannot be written to" in refused("report", id, "--to", "nonsense://x/page.html")


def test_an_address_that_refuses_is_a_sentence(tmp_path):
    files.write_bytes(tmp_path / "a", b"x")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written to"):
        files.send_to_remote(tmp_path / "a", f"file://{tmp_path}/file/a")
