"""The film player on a run of the tracker: it steps, finds the worst frame, plays, and draws what
was followed and the truth in their colours.
"""

import io

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from app.views import clips, views_of
from core.artifacts import Predictions
from core.data.clips import clips_of
from core.data.samples.generated import cine
from core.jobs import queue
from core.stats.tracking import dice
from core.workspace.workspace import Workspace


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("film")
    ws = Workspace(home)
    ws.add(cine(patients=14, frames=5))
    job = queue.train(ws, "cine", "cine_tracker", {"epochs": 1, "width": 8, "side": 32})
    assert queue.wait(ws, job.id, timeout=250).status == "done"
    return ws, job


def script() -> None:
    from app import state
    from app.views import clips

    state.adopt_url()
    context = state.context()
    assert context is not None
    clips.show(context.ws.artifact(context.job.id, "predictions-tracked"), context)


@pytest.fixture
def page(run, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(run[0].home))
    return AppTest.from_function(script, default_timeout=300).run()


def named(kind, label):
    return next(w for w in kind if w.label == label)


def test_it_steps_finds_the_worst_frame_and_plays(page, run):
    ws, job = run
    data, said = ws.dataset("cine"), ws.artifact(job.id, "predictions-tracked")
    assert not page.exception
    frame = page.slider[0]
    assert (frame.min, frame.max, frame.value) == (1, 5, 1)
    named(page.button, "Next").click().run()
    assert page.slider[0].value == 2
    assert not page.exception
    clip = next(c for c in clips_of(data) if page.selectbox[0].options[0].startswith(c.name))
    each = dice(np.asarray(said.prob[said.at(clip.rows)]).argmax(1) > 0, data.of(clip.rows).mask())
    named(page.button, "Worst").click().run()
    assert page.slider[0].value == 1 + 1 + int(each[1:].argmin())
    assert any(f"{each[1:].min():.2f}" in m.value for m in page.markdown)
    named(page.toggle, "Play").set_value(True).run()
    assert not page.exception


def test_the_clips_can_be_had_worst_first(page):
    before = page.selectbox[0].options
    named(page.toggle, "Worst clip first").set_value(True).run()
    ranked = [o for o in page.selectbox[0].options if "Dice" in o]
    assert sorted(before) == sorted(page.selectbox[0].options)
    assert ranked == sorted(ranked, key=lambda o: float(o.rpartition(" ")[2]))
    assert len(ranked) > 0


def a_film(factor=4):
    clip = clips_of(cine(patients=1, frames=3))[0]
    masks = np.zeros((3, 40, 40), bool)
    masks[:, 10:20, 10:20] = True
    return clips.Film(
        clip,
        np.full((3, 40, 40, 3), 50, np.uint8),
        np.arange(3.0),
        {"tracked": np.roll(masks, 8, 2)},
        masks,
        None,
    )


def test_amber_is_what_was_followed_and_blue_the_truth():
    film = a_film()
    plain, both = (
        clips.draw_frame(film, 1, trail=False, truth=False, side=80),
        clips.draw_frame(film, 1, trail=False, truth=True, side=80),
    )
    amber, blue = ((both == np.array(c)).all(2) for c in (clips.PREDICTED, clips.TRUTH))
    assert amber[30, 35] or amber[30, 34:37].any()
    assert blue[30, 18:20].any()
    assert not (plain == np.array(clips.TRUTH)).all(2).any()
    trail = clips.draw_frame(film, 2, trail=True, truth=False, side=80)
    assert (
        not np.array_equal(trail, clips.draw_frame(film, 2, trail=False, truth=False, side=80))
        or (film.said["tracked"][1] == film.said["tracked"][2]).all()
    )


def test_the_film_plays_forward_only():
    from core.imaging.render import encode_gif

    frames = [np.full((8, 8, 3), 60 * k, np.uint8) for k in range(4)]
    shown = Image.open(io.BytesIO(encode_gif(frames, back=False)))
    assert (shown.n_frames, Image.open(io.BytesIO(encode_gif(frames))).n_frames) == (4, 6)


def test_only_outlines_of_films_are_played(run):
    data = cine(patients=2, frames=5)
    prob = np.zeros((10, 2, 48, 48), "f4")
    said = Predictions(rows=data.rows, prob=prob, classes=["background", "marked"])
    assert "clips" in {v.id for v in views_of(said, data)}
    assert "predictions" not in {v.id for v in views_of(said, data)}
    assert "player" not in {
        v.id
        for v in views_of(
            Predictions(rows=data.rows, prob=prob[:, :, 0, 0], classes=["a", "b"]), data
        )
    }
    from dataclasses import replace

    assert "player" not in {v.id for v in views_of(said, replace(data, roles={}))}
