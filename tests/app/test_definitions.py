"""A film under two definitions: new words are judged at once, strange ones are noted, and what was
written can be saved and taken again.
"""

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.data.samples.digit_films import digit_films
from core.jobs import queue
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
