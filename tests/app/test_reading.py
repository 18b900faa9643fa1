"""The reading room: nothing of the model is on screen before the reader has answered."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.panels import model_answer, reading_queue, threshold, viewer
from core.artifacts import AnomalyMaps, Predictions
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.jobs import queue
from core.workspace import readings
from core.workspace.workspace import Workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    ws = Workspace(tmp_path_factory.mktemp("reading"))
    ws.add(make_sample("head-phantom"))
    job = queue.train(ws, "head-phantom", "pca", {"dimensions": 8})
    assert queue.wait(ws, job.id, timeout=600).status == "done"
    return ws.home


@pytest.fixture
def room(home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    at = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=300).run()
    at = at.switch_page("../pages/reading.py").run()
    assert not at.exception
    return at


def words(at):
    return " ".join(str(e.value) for e in [*at.main.markdown, *at.main.caption])


def press(at, key):
    at = next(b for b in at.main.button if str(b.key) == key).click().run()
    assert not at.exception
    return at


def test_the_models_answer_and_the_label_come_after_the_readers_and_both_are_kept(room, home):
    ws = Workspace(home)
    room.main.selectbox(key="w-reading-order").select(reading_queue.AS_STORED).run()
    before = words(room)
    assert "The model" not in before
    assert "Stored label" not in before
    assert all(b.disabled for b in room.main.button if str(b.key).startswith("reading-answer"))
    room.main.text_input(key="w-reader").input("Dr A").run()
    room = press(room, "reading-answer-2")  # lesion
    [made] = readings.list_readings(ws, "head-phantom")
    data = ws.dataset("head-phantom")
    row = int(np.sort(data.part("test").rows)[0])
    assert (made.row, made.answer, made.first, made.reader) == (row, "lesion", True, "Dr A")
    assert made.label == data.classes[data.of(np.array([row])).labels[0]]
    assert made.model in (model_answer.UNUSUAL, model_answer.USUAL)
    assert made.seconds is None, "times are kept only on request"
    after = words(room)
    assert "The model" in after
    assert f"Stored label: **{made.label}**" in after
    room = press(room, "reading-disagree")
    [made] = readings.list_readings(ws, "head-phantom")
    assert made.verdict == "disagree"
    room = press(room, "reading-undo")
    room = press(room, "reading-undo")
    assert readings.list_readings(ws, "head-phantom") == []
    assert "The model" not in words(room)
    room = press(room, "reading-answer-1")
    [made] = readings.list_readings(ws, "head-phantom")
    assert not made.first, "the model's answer to this case was seen already"
    readings.undo_reading(ws, "head-phantom", made.id)


def test_without_the_model_nothing_of_it_is_shown_and_the_next_case_waits(room, home):
    ws = Workspace(home)
    room.main.text_input(key="w-reader").input("Dr B").run()
    room.main.selectbox(key="w-reading-mode").select("Without the model").run()
    room.main.toggle(key="w-reading-timed").set_value(True).run()
    room = press(room, "reading-Next")
    room = press(room, "reading-answer-3")
    made = readings.list_readings(ws, "head-phantom")[-1]
    assert (made.answer, made.shown, made.model) == (readings.CANNOT_TELL, None, "")
    assert made.seconds is not None
    assert "The model" not in words(room)
    assert any(str(b.key) == "reading-Back" and not b.disabled for b in room.main.button)


def test_relabelled_cases_carry_the_readers_answer_until_undone(room, home):
    ws = Workspace(home)
    room.main.text_input(key="w-reader").input("Dr C").run()
    room.main.selectbox(key="w-reading-order").select(reading_queue.AS_STORED).run()
    data = ws.dataset("head-phantom")
    row = int(np.sort(data.part("test").rows)[0])
    label = data.classes[data.of(np.array([row])).labels[0]]
    other = 1 - data.classes.index(label)
    room = press(room, f"reading-answer-{other + 1}")
    room = press(room, f"reading-relabel-{other}")
    assert ws.dataset("head-phantom").of(np.array([row])).labels[0] == other
    assert any("Train again" in b.label for b in room.main.button)
    key = next(str(b.key) for b in room.main.button if str(b.key).startswith("reading-undo-"))
    room = press(room, key)
    assert ws.dataset("head-phantom").of(np.array([row])).labels[0] == 1 - other


# -- orders ----------------------------------------------------------------------------------------
def context(predictions=None, scores=None):
    n = 8
    table = pd.DataFrame({"label": ["a", "b"] * 4, "split": ["train"] * 2 + ["test"] * 6})
    data = Dataset(
        "made", "table", table, np.zeros((n, 2), "f4"), roles={"label": "label", "split": "split"}
    )
    found = {"p": predictions, "s": scores}
    found = {k: v for k, v in found.items() if v is not None}
    ws = SimpleNamespace(
        home=Path("."), slugs=lambda run: list(found), artifact=lambda r, s: found[s]
    )
    return SimpleNamespace(ws=ws, data=data, job=SimpleNamespace(id="run"), columns={})


def test_cases_are_ordered_by_score_doubt_and_failure():
    prob_a = np.array([0.1, 0.9, 0.2, 0.05, 0.55, 0.9, 0.6, 0.3], "f4")  # truth: a b a b a b a b
    predictions = Predictions(
        rows=np.arange(8), prob=np.stack([prob_a, 1 - prob_a], 1), classes=["a", "b"]
    )
    scores = AnomalyMaps(rows=np.arange(1, 8), score=np.arange(7, 0, -1).astype("f4"))
    made, all_ = context(predictions, scores), np.arange(8)
    by = {
        o: reading_queue.order_cases(made, all_, o).tolist()
        for o in reading_queue.HELP
        if o != reading_queue.DOUBTED
    }
    assert by[reading_queue.AS_STORED] == list(range(8))
    assert sorted(by[reading_queue.MIXED]) == list(range(8))
    assert by[reading_queue.MIXED] != list(range(8))
    assert by[reading_queue.UNUSUAL] == [1, 2, 3, 4, 5, 6, 7], "row 0 has no score"
    assert by[reading_queue.UNSURE][:3] == [4, 6, 7]
    assert by[reading_queue.FAILED] == [5, 2], "held-out ones only, the surest first"


def test_what_is_offered_follows_what_the_run_says(monkeypatch):
    monkeypatch.setattr(reading_queue, "_doubted", lambda context: np.zeros(0, np.int64))
    prob = np.full((8, 2), 0.5, "f4")
    none = context()
    assert reading_queue.offered_orders(none) == [reading_queue.MIXED, reading_queue.AS_STORED]
    assert model_answer.describe_answer(none, 0) is None
    assert model_answer.offered_answers(none) == ["a", "b"]
    both = context(
        Predictions(rows=np.arange(8), prob=prob, classes=["x", "y"]),
        AnomalyMaps(rows=np.arange(8), score=np.arange(8).astype("f4")),
    )
    assert reading_queue.FAILED in reading_queue.offered_orders(both)
    assert model_answer.offered_answers(both) == ["x", "y"]
    monkeypatch.setattr(threshold, "threshold_of", lambda scores, context: 5.5)
    low, high = (model_answer.describe_answer(both, r) for r in (0, 7))
    assert (low.said, high.said) == ("x, not unusual", "x, unusual")
    assert any("More unusual than 88 of 100 cases" in line for line in high.lines)


def test_the_marked_truth_is_not_sent_before_the_answer():
    from tests.app.test_viewer import unpacked

    data = make_sample("head-phantom")
    row = int(data.rows[np.flatnonzero(data.mask().any((1, 2)))[0]])
    assert unpacked(viewer.built(data, row, 400))[0]["mask"]
    assert not unpacked(viewer.built(data, row, 400, reading=True, truth=False))[0]["mask"]
