"""The steps of a case: drawn as the method gives them, and again when a setting is moved."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest

from app.panels import case_stages
from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.stages import Control, Stage


class Doubling:
    """A method that shows a picture multiplied, and where it has changed."""

    def controls(self):
        return [Control("times", "Times", "How often.", 2.0, ((0.0, "black"), (2.0, "twice")))]

    def stages(self, x, times):
        after = (x[0] * times).clamp(0, 1).numpy()
        changed = np.abs(after - x[0].numpy())[0]
        return [
            Stage("Multiplied", f"by *{times:.0f}*", "generated", after),
            Stage("Given", "", "input", after),
            Stage("Changed", "", "heat", changed),
            Stage("Where", "", "places", (changed > 0).astype("f4")),
            Stage("Grey", "", "grey", changed),
        ]


def made() -> Dataset:
    x = np.linspace(0, 1, 12 * 16 * 16, dtype="f4").reshape(12, 1, 16, 16)
    return Dataset("made", "image", pd.DataFrame({"split": ["test"] * 12}), x)


def script() -> None:
    import numpy as np

    from app.panels import case_stages
    from core.artifacts import AnomalyMaps
    from tests.app.test_case_stages import context, made

    data = made()
    heat = np.random.default_rng(0).random((12, 16, 16)).astype("f4")
    maps = AnomalyMaps(rows=data.rows, score=heat.max((1, 2)), map=heat, threshold=0.5)
    case_stages.show(maps, context(data), 3)


def context(data):
    return SimpleNamespace(
        data=data,
        ws=SimpleNamespace(home="here"),
        job=SimpleNamespace(id="run", method="ear"),
        key=lambda name: f"run-{name}",
    )


@pytest.fixture
def shown(monkeypatch):
    monkeypatch.setattr(case_stages, "opened", lambda home, run: Doubling())
    monkeypatch.setattr(case_stages.heat, "reach", lambda home, run, slug: (0.0, 1.0))
    at = AppTest.from_function(script, default_timeout=300).run()
    assert not at.exception
    return at


def test_the_model_is_not_opened_before_it_is_asked_for(monkeypatch):
    def opened(home, run):
        raise AssertionError("opened")

    monkeypatch.setattr(case_stages, "opened", opened)
    at = AppTest.from_function(script, default_timeout=300).run()
    assert not at.exception
    assert "Step by step" in at.toggle[0].label
    assert not at.select_slider


def test_steps_come_with_their_settings_and_say_when_these_are_not_the_runs(shown):
    at = shown.toggle[0].set_value(True).run()
    assert not at.exception
    words = [c.value for c in at.caption]
    assert any("Multiplied" in w and "by \\*2\\*" in w for w in words)
    assert "settings of the run" in words[-1]
    at.select_slider[0].set_value(0.0).run()
    assert not at.exception
    last = at.caption[-1].value
    assert "nothing is stored" in last
    assert "times twice" in last
    assert "threshold 0.5" in last


def test_places_and_heat_are_laid_over_the_case_and_the_rest_is_drawn_as_it_is():
    data = made()
    case, steps = data.inputs()[3], Doubling().stages(torch.ones(1, 1, 16, 16), 0.0)
    pictures = [case_stages.draw(s, case, context(data), (0.0, 1.0)) for s in steps[1:]]
    assert all(p.dtype == np.uint8 and min(p.shape[:2]) >= 220 for p in pictures)
    given, heat, places, grey = pictures
    assert given.max() == 0
    assert grey.min() == 255
    assert len({tuple(p) for p in (heat.mean((0, 1)), places.mean((0, 1)))}) == 2
    half = case_stages._at_size(np.eye(8, dtype="f4"), (16, 16))
    assert half.shape == (16, 16)
    assert half.sum() == 8 * 4


def test_of_a_volume_the_slice_asked_for_is_shown_or_the_one_with_the_highest_heat():
    x = np.zeros((2, 1, 5, 16, 16), np.float32)
    x[1, 0] = np.linspace(0.1, 0.5, 5)[:, None, None]
    data = Dataset("made", "volume", pd.DataFrame({"split": ["test"] * 2}), x)
    heat = np.zeros((2, 5, 16, 16), np.float32)
    heat[1, 3, 4, 4] = 1
    maps = AnomalyMaps(rows=data.rows, score=heat.max((1, 2, 3)), map=heat, threshold=0.5)
    assert case_stages.fits(context(data))
    for place, at in ((None, 3), ((1, 0, 0), 1)):
        given, picture = case_stages._case(maps, context(data), 1, place)
        assert given.shape == (1, 1, 16, 16)
        assert given[0, 0, 0, 0] == np.float32(x[1, 0, at, 0, 0])
        assert abs(float(picture[100, 100, 0]) - 255 * x[1, 0, at, 0, 0]) <= 1


def test_only_pictures_of_methods_with_steps_have_them():
    data = made()
    assert case_stages.fits(context(data))
    other = context(data)
    other.job.method = "pca"
    assert not case_stages.fits(other)
    flat = Dataset("made", "table", pd.DataFrame({"a": range(12)}), np.zeros((12, 3), "f4"))
    assert not case_stages.fits(context(flat))
