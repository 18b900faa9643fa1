"""Generated pairs on screen: approved one by one, with undo, and taken out only then."""

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import text
from app.panels.gallery import thumbs
from core.artifacts import Pairs
from core.data.readers import read
from core.jobs import queue
from core.workspace import notes
from core.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """24 pictures, the shape of the example, and a small run on them."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("pairs")
    x = rng.integers(0, 255, (24, 16, 16), dtype=np.uint8)
    np.savez(folder / "x.npz", images=x, labels=np.arange(24) % 3)
    ws = Workspace(tmp_path_factory.mktemp("home"))
    ws.add(read(folder / "x.npz", name="noise"))
    job = queue.train(ws, "noise", "pca", {"dimensions": 4})
    assert queue.wait(ws, job.id, timeout=120).status == "done"
    return ws.home


def script() -> None:
    from app import state
    from app.views import pairs
    from core import artifacts

    state.adopt_url()
    context = state.context()
    assert context is not None
    made = artifacts.Pairs.example()
    made.made_by = artifacts.MadeBy(run=context.job.id, method="pca")
    pairs.show(made, context)


@pytest.fixture
def at(home, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    at = AppTest.from_function(script, default_timeout=120).run()
    assert not at.exception
    return at


def press(at, word):
    next(b for b in at.button if b.label == word).click().run()
    assert not at.exception


def shown(at):
    return {b.key.split("-")[2] for b in at.button if b.label == "Attention"}


def test_the_banner_says_that_no_patient_is_behind_it(at):
    assert "not patient data" in at.warning[0].value


def test_a_pair_is_approved_by_name_and_that_is_undone(at, home):
    ws = Workspace(home)
    run = ws.runs()[0].id
    at.text_input[0].set_value("Ann").run()
    press(at, "Approve")
    found = notes.load_pair_decisions(ws, run)
    assert [(k, v["approved"], v["author"]) for k, v in found.items()] == [(0, True, "Ann")]
    assert any("approved] by Ann" in m.value for m in at.markdown)
    press(at, "Undo")
    assert notes.load_pair_decisions(ws, run) == {}


def test_chips_show_one_prompt_and_one_decision(at, home):
    assert len(shown(at)) == 6
    at.pills[0].set_value("normal").run()
    assert shown(at) == {"5"}
    press(at, "Reject")
    at.pills[0].set_value("all").run()
    at.segmented_control[0].set_value("rejected").run()
    assert shown(at) == {"5"}
    press(at, "Undo")
    assert any("No pair fits" in c.value for c in at.caption)


def test_where_tokens_looked_is_opened_and_closed(at):
    def opened():
        return any("Where the tokens looked" in m.value for m in at.markdown)

    assert not opened()
    press(at, "Attention")
    assert opened()
    press(at, "Attention")
    assert not opened()


def test_each_pair_stands_beside_the_real_pictures_that_are_most_like_it(home, monkeypatch):
    example, drawn = Pairs.example(), []
    made = replace(example, closest=example.nearest[::-1] + 12)
    data = Workspace(home).dataset("noise")

    def look(found, rows, size):
        drawn.append(int(rows[0]))
        return thumbs(found, rows, size)

    monkeypatch.setenv("LIGHTBOX_HOME", str(home))
    monkeypatch.setattr(Pairs, "example", lambda: made)
    monkeypatch.setattr("app.views.pairs.thumbs", look)
    at = AppTest.from_function(script, default_timeout=120).run()
    assert not at.exception
    wanted = np.stack([made.nearest, made.closest], 1)
    assert drawn == wanted.ravel().tolist()
    captions = [image.caption for one in at.get("image") for image in one.proto.imgs]
    real = [c for c in captions if "real" in c or "abnormal" in c]
    names = data.of(wanted.ravel()).names()
    words = ("most like it, real", "most like it, abnormal")
    assert real == [f"{words[i % 2]}: {text.label(name, 20)}" for i, name in enumerate(names)]
