"""Nearest normal patches on screen: not before they are asked for, framed at their place."""

from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.panels import case_stages, heat, nearest_normal, nearest_patches, threshold
from core.explain.marked_places import Level
from tests.test_feature_patches import trained


def context():
    data, _, maps = trained()
    return SimpleNamespace(
        data=data,
        ws=SimpleNamespace(home="here", artifact=lambda run, slug: maps),
        job=SimpleNamespace(id="run", method="dinomaly"),
        key=lambda name: f"run-{name}",
    )


def script(panel: str, row: int) -> None:
    from app.panels import case_stages, nearest_patches
    from tests.app.test_nearest_patches import context
    from tests.test_feature_patches import trained

    shown = {"patches": nearest_patches, "stages": case_stages}[panel]
    shown.show(trained()[2], context(), row)


@pytest.fixture
def opened(monkeypatch):
    """Whether the model was opened."""
    asked = []

    def open_(home, run):
        asked.append(run)
        return trained()[1]

    train = trained()[0].part("train").rows
    for place in (case_stages, nearest_patches):
        monkeypatch.setattr(place, "opened", open_)
    monkeypatch.setattr(nearest_normal, "normal_rows", lambda *_: (train, "known normal"))
    monkeypatch.setattr(threshold, "threshold_of", lambda *_: 0.5)
    monkeypatch.setattr(heat, "reach", lambda *_: (0.0, 1.0))
    monkeypatch.setattr(heat, "level", lambda *_: Level(0.5, "cases"))
    monkeypatch.setattr(heat.state, "context_of", lambda run: context())
    monkeypatch.setattr(heat.state, "workspace", lambda: context().ws)
    return asked


def run(panel, row):
    at = AppTest.from_function(script, args=(panel, row), default_timeout=120).run()
    assert not at.exception
    return at


@pytest.mark.parametrize("panel", ["patches", "stages"])
def test_nothing_is_opened_before_it_is_asked_for(panel, opened):
    at = run(panel, 35)
    assert not opened
    at.toggle[0].set_value(True).run()
    assert not at.exception
    assert opened


def test_the_hottest_places_stand_beside_patches_of_normal_pictures(opened):
    at = run("patches", 35).toggle[0].set_value(True).run()
    said = " ".join(c.value for c in at.caption)
    assert "Sought among 24 normal training pictures (known normal)" in said
    assert "none of the same patient" in said
    assert said.count("of the case") >= 1
    buttons = [b for b in at.button if b.key.startswith("run-patch-0-")]
    assert len(buttons) == nearest_patches.NEAR
    assert all("×" in b.label for b in buttons)
    buttons[0].click().run()
    assert at.session_state["selection"].primary in trained()[0].part("train").rows


def test_a_case_without_heat_says_so(opened):
    data, _, maps = trained()
    other = type(maps)(rows=maps.rows[:8], score=maps.score[:8], map=maps.map[:8])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.test_feature_patches.trained", lambda: (data, None, other))
        at = run("patches", 35).toggle[0].set_value(True).run()
    assert not at.exception
    assert any("no heat of this case" in c.value for c in at.caption)
    assert not opened


def test_layers_are_shown_on_one_scale_with_the_line_at_the_threshold(opened):
    at = run("stages", 35).toggle[0].set_value(True).run()
    assert not at.select_slider, "nothing to set"
    said = [c.value for c in at.caption]
    for title in ("Shallow layers", "Deep layers", "Both, blurred", "At the threshold"):
        assert any(f"**{title}**" in words for words in said)
    assert "one scale of the run" in said[-1]
    assert any("line at 0" in words for words in said)


def test_a_crop_shows_the_patch_in_its_middle():
    x = np.zeros((1, 32, 32), "f4")
    x[0, 8:16, 24:32] = 1.0  # place 7 of 4 x 4
    data = trained()[0]
    cut = nearest_patches.crop(x, 7, 4, data)
    middle = slice(cut.shape[0] // 3 + 2, 2 * cut.shape[0] // 3 - 2)
    assert (cut[middle, middle] == 255).all()
    assert (cut[middle, -4:] == 0).all(), "beyond the edge"
    whole = nearest_patches.framed((x[0, ..., None] * 255).astype("u1").repeat(3, 2), 7, 4, data)
    framed = (whole == nearest_patches.render.ORANGE).all(-1)
    rows, columns = np.flatnonzero(framed.any(1)), np.flatnonzero(framed.any(0))
    side = whole.shape[0]
    assert abs(rows.min() - side // 4) <= 3
    assert abs(rows.max() - side // 2) <= 3
    assert abs(columns.min() - 3 * side // 4) <= 3
    heat_at = nearest_patches._mean_at(x[0], 7, 4)
    assert heat_at == 1
