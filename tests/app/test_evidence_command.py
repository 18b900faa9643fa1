"""`lightbox benchmark` leaves the cards' figures alone: what it measures goes into the
workspace.
"""

import json
import subprocess
import sys

from app.commands import evidence as command
from core import evidence
from tests.app.test_cli import lightbox

TABLE = {
    "title": "t",
    "measure": "m",
    "data": "d",
    "split": "test",
    "n": 3,
    "rows": [{"name": "x", "value": 0.5, "low": None, "high": None}],
    "verdict": "v",
}


def measured(monkeypatch):
    """A benchmark that stores one table and takes no time."""
    code = f"from core import evidence; evidence.store_evidence('pca', [{TABLE!r}])"
    monkeypatch.setattr(
        command, "python_command", lambda *args, **more: [sys.executable, "-c", code]
    )
    # stderr is no file here
    monkeypatch.setattr(
        subprocess,
        "call",
        lambda words, stdout=None, **more: subprocess.run(words, check=False, **more).returncode,
    )


def test_what_is_measured_goes_into_the_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    measured(monkeypatch)
    before = (evidence.FOLDER / "pca.json").read_bytes()
    code, out, err = lightbox("benchmark", "pca", "--json")
    assert code == 0, err
    assert json.loads(out)["tables"] == [TABLE]
    assert (tmp_path / "home" / "evidence" / "pca.json").exists()
    assert (evidence.FOLDER / "pca.json").read_bytes() == before


def test_an_installed_lightbox_keeps_its_cards(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(evidence, "is_checkout", lambda: False)
    measured(monkeypatch)
    code, _, err = lightbox("benchmark", "pca", "--store")
    assert code == 2
    assert "leave --store out" in err
    monkeypatch.delenv("LIGHTBOX_EVIDENCE", raising=False)
    assert evidence.evidence_folder() == tmp_path / "home" / "evidence"


def test_store_replaces_the_cards_figures_in_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(evidence, "is_checkout", lambda: True)
    monkeypatch.setattr(evidence, "FOLDER", tmp_path / "assets")
    measured(monkeypatch)
    assert lightbox("benchmark", "pca", "--store")[0] == 0
    assert (tmp_path / "assets" / "pca.json").exists()
