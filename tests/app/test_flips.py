"""The page that compares two runs: cases they decide differently, and their selection."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.artifacts import AnomalyMaps
from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.jobs.run_folder import find_artifact
from core.workspace.workspace import Workspace
from tests.hostile._make import ROOT


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """(workspace, run of 8 components, run of 3): the newest is opened first."""
    ws = Workspace(tmp_path_factory.mktemp("flips"))
    ws.add(make_sample("digits"), sample=True)
    runs = []
    for dimensions in (8, 3):
        asked = queue.train(ws, "digits", "pca", {"dimensions": dimensions})
        runs.append(queue.wait(ws, asked.id, timeout=300).id)
        for spec in ({"how": "auto", "dims": 2},):
            queue.wait(ws, queue.derive(ws, "map", runs[-1], spec).id, timeout=300)
    return ws, *runs


@pytest.fixture
def page(two, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(two[0].home))
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300)
    at.query_params["run"] = two[1]
    at.run()
    return at.switch_page("../pages/compare.py").run()


def flagged(ws, run, at=None):
    found = find_artifact(ws, run, AnomalyMaps)
    return set(found.rows[np.asarray(found.score) > (found.threshold if at is None else at)])


def press(at, words):
    next(b for b in at.button if words in b.label).click().run()
    assert not at.exception


def test_cases_that_two_runs_decide_differently_are_counted_and_selected(two, page):
    ws, first, second = two
    test = set(ws.dataset("digits").part("test").rows)
    flips = (flagged(ws, first) ^ flagged(ws, second)) & test
    assert not page.exception
    assert len(flips) > 3
    assert any(f"{len(flips)} of {len(test)} test cases" in m.value for m in page.markdown)
    press(page, "on both maps")
    assert set(page.session_state["selection"].rows) == flips


def test_two_thresholds_of_one_run(two, page):
    ws, first, _ = two
    test = set(ws.dataset("digits").part("test").rows)
    next(t for t in page.toggle if "two thresholds" in t.label).set_value(True).run()
    one, other = (n for n in page.number_input if n.label.startswith("Threshold of the"))
    one.set_value(0.02).run()
    other = next(n for n in page.number_input if n.label == "Threshold of the second")
    other.set_value(0.03).run()
    assert not page.exception
    press(page, "on both maps")
    wanted = (flagged(ws, first, 0.02) ^ flagged(ws, first, 0.03)) & test
    assert wanted
    assert set(page.session_state["selection"].rows) == wanted
