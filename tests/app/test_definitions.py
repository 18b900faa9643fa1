"""A film under two definitions: new words are judged at once, strange ones are noted, and what was
written can be saved and taken again.
"""

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.data.clips import all_frames, clips_of
from core.data.samples.digit_films import digit_films
from core.jobs import queue
from core.registry import open_model
from core.workspace import notes
from core.workspace.workspace import Workspace

EVIL = "![](http://host/x.png) <b>three</b>"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    ws = Workspace(tmp_path_factory.mktemp("definitions"))
    data = digit_films()
    some = np.concatenate([np.flatnonzero(data.splits == s)[:120] for s in ("train", "test")])
    small = data.take(some)
    ws.add(
        replace(small, samples=small.raw(), table=small.frame.reset_index(drop=True), at=None), True
    )
    params = {"epochs": 1, "definitions": "normal; three or nine"}
    job = queue.train(ws, "digit-films", "lagovad", params)
    assert queue.wait(ws, job.id, timeout=250).status == "done"
    return ws


def script() -> None:
    from app import state
    from app.views import definitions

    state.adopt_url()
    context = state.context()
    assert context is not None
    definitions.show(context.ws.artifact(context.job.id, "definitions"), context)


@pytest.fixture
def page(run, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(run.home))
    return AppTest.from_function(script, default_timeout=300).run()


def warnings(page):
    return " ".join(w.value for w in page.warning)


def test_both_boxes_begin_with_what_was_learned(page):
    assert not page.exception
    assert page.text_area[0].value == "normal\nthree or nine"
    assert not page.warning
    assert page.selectbox[0].options[0].startswith("film 08")  # a held-out one


def test_words_never_read_are_noted_and_nothing_of_them_is_formatted(page):
    page.text_area[1].set_value(f"normal\nthree giraffes\n{EVIL}").run()
    assert not page.exception
    assert "giraffes" in warnings(page)
    assert "![](" not in warnings(page)


@pytest.mark.parametrize(
    ("words", "said"),
    [("normal", "add at least one"), ("", "Nothing is said"), ("a\n?", "no word")],
)
def test_what_cannot_be_read_is_told_and_the_other_definition_stays(page, words, said):
    page.text_area[0].set_value(words).run()
    assert not page.exception
    assert said in page.error[0].value
    assert [m.value for m in page.markdown if m.value.startswith("B:")]


def test_definitions_are_saved_and_taken_again(page, run):
    name = next(t for t in page.text_input if t.label == "Name")
    name.set_value("odd ones")
    next(b for b in page.button if b.label == "Save").click().run()
    assert not page.exception
    assert notes.load_definitions(run, "digit-films") == {"odd ones": ["normal", "three or nine"]}
    page.text_area[0].set_value("normal\nseven").run()
    next(b for b in page.button if "odd ones" in b.label).click().run()
    assert page.text_area[0].value == "normal\nthree or nine"


def look_at_charts(monkeypatch, page, clicked):
    """Run the page with a click on the frame `clicked`; figures of its charts, by key."""
    drawn = {}

    def chart(figure, key, **more):
        drawn[key] = figure
        return {"selection": {"points": [{"x": clicked}] if clicked and "curves" in key else []}}

    monkeypatch.setattr("streamlit.plotly_chart", chart)
    page.run()
    assert not page.exception
    return drawn


def test_curves_and_strips_are_those_of_the_definitions(page, run, monkeypatch):
    texts = ["normal\nthree or nine", "normal\nanything but seven"]
    page.text_area[1].set_value(texts[1])
    drawn = look_at_charts(monkeypatch, page, None)
    curves = next(f for k, f in drawn.items() if "curves" in k)
    strips = [f for k, f in drawn.items() if "strip" in k]
    assert [line.name for line in curves.data] == ["A", "B"]
    assert len(strips) == 2
    data, job = all_frames(run.dataset("digit-films")), run.runs()[0].id
    name = page.selectbox[0].value
    clip = next(c for c in clips_of(data) if c.name == page.selectbox[0].options[name])
    model = open_model(run.artifact(job, "model"))
    for line, strip, words in zip(curves.data, strips, texts):
        score, likeness = model.judge(data.of(clip.rows), words.split("\n"))
        assert line.x.tolist() == list(range(1, len(score) + 1))
        np.testing.assert_allclose(line.y, score, atol=1e-5)
        np.testing.assert_allclose(strip.data[0].z, likeness.T, atol=1e-4)
        assert [y.split(". ")[1] for y in strip.data[0].y] == words.split("\n")


def test_a_click_on_a_curve_shows_that_frame_once(page, monkeypatch):
    before = page.slider[0].value
    clicked = 7 if before != 7 else 8
    drawn = look_at_charts(monkeypatch, page, clicked)
    assert page.slider[0].value == clicked
    assert all(f.layout.shapes[-1].x0 == clicked for f in drawn.values())
    page.slider[0].set_value(3)  # the same click is not taken twice
    look_at_charts(monkeypatch, page, clicked)
    assert page.slider[0].value == 3
