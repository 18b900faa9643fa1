"""Lesions of a scan on screen: the projection, and regions left out of them."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.panels import painted_region
from core.artifacts import Lesions, MadeBy
from core.data.dataset import Dataset
from core.imaging import orientation, render
from core.jobs import queue
from core.workspace import left_out, notes
from core.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A scan of 12 slices of 16 x 16, a small run on it, and two lesions in slices 4 and 8."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (12, 1, 16, 16), dtype=np.uint8)
    table = pd.DataFrame({"volume": "a", "slice": range(12), "split": ["train"] * 6 + ["test"] * 6})
    ws = Workspace(tmp_path_factory.mktemp("lesions"))
    ws.add(Dataset("scan", "image", table, x, roles={"split": "split"}))
    job = queue.train(ws, "scan", "pca", {"dimensions": 2})
    assert queue.wait(ws, job.id, timeout=120).status == "done"
    mask, lines = np.zeros((12, 16, 16), np.int32), [[] for _ in range(12)]
    for number, row in ((1, 6), (2, 9)):
        mask[row - 1 : row + 1, 4:8, 5:9] = number
        line = {"number": number, "place": [5, 6], "slices": 2, "pixels": 32, "ml": 0.1 * number}
        values = {"largest": 6.0, "mean": 4.0, "residual": 0.4, "mean residual": 0.3}
        lines[row].append(line | values)
    unit = ws.artifact(job.id, "anomalymaps").unit  # PCA has a heat map of its own
    one = Lesions(rows=np.arange(12), mask=mask, table=lines, unit=unit)
    one.made_by = MadeBy(run=job.id, method="pca")
    one.save(ws.folder(job.id) / "artifacts" / one.slug)
    return ws.home


def script() -> None:
    from app import state
    from app.views import lesions

    state.adopt_url()
    context = state.context()
    assert context is not None
    lesions.show(context.ws.artifact(context.job.id, "lesions"), context)


@pytest.fixture
def app(home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    return AppTest.from_function(script, default_timeout=120).run()


def choice(app, label):
    return next(c for c in app.segmented_control if c.label == label)


def test_a_scan_is_shown_in_one_picture_of_its_values_or_its_heat(app):
    assert not app.exception
    planes = choice(app, "Projection")
    assert planes.options == ["as stored", "along rows", "along columns"]
    assert any("12 slices in one picture" in c.value for c in app.caption)
    choice(app, "Of").set_value("the heat").run()
    planes.set_value("along columns").run()
    assert not app.exception


def press(app, label):
    next(b for b in app.button if b.label == label).click().run()
    assert not app.exception


def test_a_lesion_is_accepted_or_rejected_and_that_is_undone(app, home):
    ws = Workspace(home)
    job = ws.catalogue.jobs()[0].id
    line = app.dataframe[0].value
    assert line["lesion"].tolist() == [2, 1]  # the largest first, which is chosen
    for word, value, said in (("Accept", True, "accepted"), ("Reject", False, "rejected")):
        press(app, word)
        ((lesion, decided),) = notes.load_lesion_decisions(ws, job).items()
        assert (lesion, decided["accepted"]) == ("9-2", value)
        assert app.dataframe[0].value["decision"].tolist() == [said, ""]
        assert any(f"1 {said}" in c.value for c in app.caption)
        off = {b.label for b in app.button if b.disabled}
        assert word in off
        assert "Undo" not in off
    press(app, "Undo")
    assert notes.load_lesion_decisions(ws, job) == {}
    assert app.dataframe[0].value["decision"].tolist() == ["", ""]


def test_the_healthy_twin_changes_places_with_the_slice(home, monkeypatch):
    drawn, whole = [], render.window_to_rgb
    twin = np.full((1, 16, 16), 77.0, np.float32)

    def look(picture, window):
        drawn.append(np.asarray(picture))
        return whole(picture, window)

    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    monkeypatch.setattr("app.views.lesions._twin", lambda artifact, line, context: twin)
    monkeypatch.setattr("app.views.lesions.render.window_to_rgb", look)
    app = AppTest.from_function(script, default_timeout=120).run()
    assert not app.exception

    def first():
        captions = [image.caption for one in app.get("image") for image in one.proto.imgs]
        return [c for c in captions if "as it is" in c or "twin, made" in c]

    swap = next(b for b in app.button if b.label == "Show as if healthy")
    assert swap.proto.shortcut == "b"
    assert first() == ["as it is, without the outline"]
    assert not any(np.array_equal(p, twin) for p in drawn)
    drawn.clear()
    press(app, "Show as if healthy")
    assert first() == ["healthy twin, made by the model"]
    assert sum(np.array_equal(p, twin) for p in drawn) == 1
    press(app, "Show as it is")
    assert first() == ["as it is, without the outline"]


def test_a_region_left_out_leaves_its_lesion_out_until_it_is_taken_back(app, home):
    ws = Workspace(home)
    job = ws.catalogue.jobs()[0].id
    assert app.dataframe[0].value["decision"].tolist() == ["", ""]
    app.toggle[0].set_value(True).run()
    ends = {s.label: s.value for s in app.slider}
    assert ends == {
        "Slices": (7, 10),
        "Rows": (3, 8),
        "Columns": (4, 9),
    }
    app.text_input[0].set_value("bladder").run()
    next(b for b in app.button if b.label == "Leave out").click().run()
    assert not app.exception
    (one,) = left_out.load_left_out(ws, job).values()
    assert (one["rows"], one["box"]) == ([7, 8, 9, 10], [[3, 8], [4, 9]])
    assert app.dataframe[0].value["decision"].tolist() == ["left out", ""]
    assert any("1 left out" in c.value for c in app.caption)
    assert not app.toggle[0].value
    assert any("bladder" in c.value for c in app.caption)
    next(b for b in app.button if b.label == "Take back").click().run()
    assert left_out.load_left_out(ws, job) == {}
    assert app.dataframe[0].value["decision"].tolist() == ["", ""]


def test_a_nameless_region_is_refused_with_a_sentence(app, home):
    app.toggle[0].set_value(True).run()
    app.text_input[0].set_value(" ").run()
    next(b for b in app.button if b.label == "Leave out").click().run()
    assert "name" in app.error[0].value
    assert left_out.load_left_out(Workspace(home), Workspace(home).catalogue.jobs()[0].id) == {}


def test_pictures_alone_have_no_projection_and_a_region_may_be_that_of_all(home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    monkeypatch.setattr("app.panels.lesion_scan.scan_of", lambda line, context: None)
    app = AppTest.from_function(script, default_timeout=120).run()
    assert not any(c.label == "Projection" for c in app.segmented_control)
    app.toggle[0].set_value(True).run()
    assert [s.label for s in app.slider] == ["Rows", "Columns"]
    app.checkbox[0].set_value(True).run()
    next(b for b in app.button if b.label == "Leave out").click().run()
    assert not app.exception
    ws = Workspace(home)
    (one,) = left_out.load_left_out(ws, ws.catalogue.jobs()[0].id).values()
    assert (one["rows"], one["box"]) == (list(range(12)), [[3, 8], [4, 9]])
    assert app.dataframe[0].value["decision"].tolist() == ["left out", "left out"]
    assert any("12 cases" in c.value for c in app.caption)
    next(b for b in app.button if b.label == "Take back").click().run()
    assert app.dataframe[0].value["decision"].tolist() == ["", ""]


def test_a_region_drawn_around_leaves_out_only_what_lies_within(home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    corners = np.array([[4, 3], [9, 3], [9, 8], [4, 8]], np.float32)
    monkeypatch.setattr("app.panels.painted_region.outline", lambda data, id, key: corners)
    app = AppTest.from_function(script, default_timeout=120).run()
    app.toggle[0].set_value(True).run()
    choice(app, "Region").set_value("drawn around").run()
    assert not app.exception
    assert [s.label for s in app.slider] == ["Slices"]
    next(b for b in app.button if b.label == "Leave out").click().run()
    assert not app.exception
    ws = Workspace(home)
    (one,) = left_out.load_left_out(ws, ws.catalogue.jobs()[0].id).values()
    assert (one["rows"], one["box"]) == ([7, 8, 9, 10], [[3, 7], [4, 8]])
    assert left_out.painted(one).all()
    assert app.dataframe[0].value["decision"].tolist() == ["left out", ""]
    assert any("25 pixels drawn around" in c.value for c in app.caption)
    next(b for b in app.button if b.label == "Take back").click().run()
    assert app.dataframe[0].value["decision"].tolist() == ["", ""]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
@pytest.mark.parametrize("flip", [(False, False), (True, False), (False, True), (True, True)])
def test_what_is_drawn_on_a_hung_slice_lies_at_the_same_place_of_the_stored_one(order, flip):
    at = orientation.DisplayPlane("axial", order, flip, {}, None)
    stored = np.arange(5 * 7).reshape(5, 7)
    assert (painted_region.unhang(orientation.orient(stored, at), at) == stored).all()


def test_a_line_of_two_corners_holds_nothing():
    assert not painted_region.within(np.zeros((2, 2), np.float32), (5, 7)).any()
    square = np.array([[0.5, 0.5], [3.5, 0.5], [3.5, 2.5], [0.5, 2.5]], np.float32)
    found = painted_region.within(square, (5, 7))
    assert found.sum() == 6
    assert found[1:3, 1:4].all()
