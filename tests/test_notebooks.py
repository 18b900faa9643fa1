"""The notebooks of `examples/` run, and hold the outputs of such a run."""

import json

import pytest

from tests.notebooks import EXAMPLES, run

NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def kinds(book):
    return [
        [output["output_type"] for output in cell["outputs"]]
        for cell in book["cells"]
        if cell["cell_type"] == "code"
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_runs_and_is_stored_with_its_outputs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert kinds(stored) == kinds(run(path)), "store them again: python -m tests.notebooks"


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["images", "own-method", "tables"]
