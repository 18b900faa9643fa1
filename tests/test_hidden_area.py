"""How much of each picture a run hid: from its pictures, as a column, and as a histogram."""

import numpy as np
import pytest

from app.panels import hidden_area as panel
from core.artifacts import Images, MadeBy
from core.columns import HIDDEN
from core.imaging import hidden_area
from core.imaging.hidden_area import hidden_share
from core.jobs import queue
from core.workspace.workspace import Workspace
from tests.app.test_anomaly_page import pictures, words
from tests.app.test_pages import opened
from tests.methods.test_ear import trained


def made(share, mask="saliency", size=40):
    """Pictures of which the first so many columns stand out."""
    salient = np.zeros((len(share), 1, size, size), "f4")
    for one, part in zip(salient, share):
        one[..., : round(part * size)] = 0.8
    rows = np.arange(len(share)) + 5
    by = MadeBy(params={"mask": mask})
    return [
        Images(rows=rows, name="saliency-spectral-residual", role="attention", image=salient),
        Images(rows=rows, name="excised", role="preprocessed", image=salient, made_by=by),
        Images(rows=rows, name="recovered", role="reconstruction", image=salient),
    ]


def test_the_share_is_that_of_what_stands_out_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(hidden_area, "AT_ONCE", 2)
    rows, share = hidden_share(made([0.0, 0.25, 0.6, 1.0]))
    assert rows.tolist() == [5, 6, 7, 8]
    assert share == pytest.approx([0, 0.25, 0.6, 1.0])


def test_large_pictures_are_counted_at_some_of_their_pixels(monkeypatch):
    monkeypatch.setattr(hidden_area, "SIDE", 16)
    assert hidden_share(made([0.25], size=64))[1] == pytest.approx([0.25])


def test_runs_that_hide_nothing_or_the_same_of_all_have_none():
    given = made([0.5])
    assert hidden_share([]) is None
    assert hidden_share([given[0], given[2]]) is None, "nothing was hidden"
    assert hidden_share(given[1:]) is None
    given[0].made_by = MadeBy(params={"mask": "grid"})
    assert hidden_share(given) is None, "a grid hides the same of all"


@pytest.mark.parametrize("mask", ["saliency", "grid"])
def test_it_is_what_the_run_says_it_hid(mask):
    data, _, given = trained(mask=mask)
    found = hidden_share(given.values())
    if mask == "grid":
        assert found is None
        return
    rows, share = found
    for m in given["metrics"]:
        if m.name == "share hidden":
            at = np.isin(rows, data.part(m.split).rows)
            assert share[at].mean() == pytest.approx(m.value, abs=1e-3)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIGHTBOX_HOME", str(tmp_path_factory.mktemp("hidden")))
        ws = Workspace()
        ws.add(pictures())
        params = {"epochs": 1, "side": 32, "batch_size": 8, "width": 2}
        job = queue.train(ws, "squares", "ear", params, only_normal=True)
        job = queue.wait(ws, job.id, timeout=300)
        assert job.status == "done", job.error
        yield ws, job


def test_the_page_shows_who_was_hidden_how_much_and_the_map_can_be_coloured_by_it(home):
    ws, job = home
    at = opened("anomalies", run=job.id)
    assert "How much was hidden" in words(at)
    assert "known normal" in words(at)
    assert "known abnormal" in words(at)
    assert HIDDEN in next(s.options for s in at.selectbox if s.label == "Colour by")
    button = next(b for b in at.button if b.label.endswith("most hidden"))
    button.click().run()
    assert not at.exception
    picked = at.session_state["selection"].rows
    rows, share = hidden_share(ws.artifact(job.id, slug) for slug in ws.slugs(job.id))
    test = ws.dataset("squares").part("test").rows
    of_test = share[np.isin(rows, test)]
    assert np.isin(picked, test).all()
    assert share[np.isin(rows, picked)].min() >= np.sort(of_test)[::-1][len(picked) - 1]


def test_the_histogram_counts_each_case_once_and_marks_the_one_looked_at():
    share = np.array([0.1, 0.2, 0.2, 0.9])
    found = {"known normal": np.array([1, 1, 0, 0], bool), "known abnormal": share > 0.2}
    figure = panel.draw_histogram(share, found, 0.2)
    assert [int(bar.y.sum()) for bar in figure.data] == [2, 1]
    assert figure.layout.shapes[0].x0 == pytest.approx(20)
    assert not panel.draw_histogram(share, found, None).layout.shapes
    said = panel.describe(share, found)
    assert "known normal 15 %" in said
    assert "n = 1" in said
