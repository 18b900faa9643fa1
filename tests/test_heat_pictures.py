"""Heat as lines, hot areas, and a case beside its reconstruction."""

import numpy as np
import pandas as pd
import pytest

from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.data.geometry import Geometry
from core.explain.components import find_components
from core.explain.marked_places import find_level, is_score_of_hottest
from core.imaging import comparison, contours, render
from core.report import figures


def test_lines_lie_at_shares_of_the_given_scale_and_leave_the_rest_untouched():
    heat = np.tile(np.arange(100, dtype=float), (100, 1))
    ground = np.full((200, 200, 3), 90, np.uint8)
    drawn = contours.draw_contours(ground, heat, 0.0, 100.0, render.colour_ramp())
    changed = np.flatnonzero((drawn != ground).any((0, 2)))
    assert changed.tolist() == [50, 100, 150], "pixels enlarged by two"
    half = contours.draw_contours(ground, heat, 0.0, 200.0, render.colour_ramp())
    assert np.flatnonzero((half != ground).any((0, 2))).tolist() == [100]
    assert (contours.draw_contours(ground, heat, 200.0, 300.0, render.colour_ramp()) == 90).all()
    assert (ground == 90).all()


def test_heat_maps_are_drawn_as_lines_or_laid_over_on_the_same_scale():
    data = picture(np.full((1, 1, 16, 16), 0.5, "f4"))
    heat = np.zeros((1, 16, 16), "f4")
    heat[0, 4:10, 4:10] = 1
    given = (data, heat, data.rows, (0.0, 1.0))
    (plain,), (lines,), (over,) = (
        render.draw_heat_maps(*given, 0.0, 64),
        render.draw_heat_maps(*given, 0.4, 64, contour=True),
        render.draw_heat_maps(*given, 0.4, 64),
    )
    middle = (slice(24, 30), slice(24, 30))
    assert (lines[middle] == plain[middle]).all()
    assert (over[middle] != plain[middle]).any()
    assert (lines != plain).any()


def test_one_line_is_drawn_around_marked_places_in_place_of_the_heat():
    data = picture(np.full((1, 1, 16, 16), 0.5, "f4"))
    heat = np.random.default_rng(0).random((1, 16, 16)).astype("f4")
    marked = np.zeros((1, 16, 16), bool)
    marked[0, 4:10, 4:10] = True
    given = (data, heat, data.rows, (0.0, 1.0))
    (plain,) = render.draw_heat_maps(*given, 0.0, 64)
    for contour in (False, True):
        (lines,) = render.draw_heat_maps(*given, 0.4, 64, contour=contour, marked=marked)
        changed = (lines != plain).any(-1)
        assert {tuple(c) for c in lines[changed]} == {render.ORANGE}
        rows = np.flatnonzero(changed.any(1))
        assert (rows[0], rows[-1]) == (15, 40), "around rows 4 to 9, of 4 pixels each"
        assert not changed[16:40, 16:40].any()
    (none,) = render.draw_heat_maps(*given, 0.4, 64, marked=np.zeros_like(marked))
    assert (none == plain).all()


def test_of_a_volume_the_line_lies_in_the_hottest_slice():
    x = np.full((1, 1, 6, 16, 16), 0.5, "f4")
    table = pd.DataFrame({"file": ["a.nii"], "axes": ["HAR"]})
    data = Dataset("v", "volume", table, x, None, {"file": "file"}, (), (0.0, 1.0), {})
    heat = np.zeros((1, 6, 16, 16), "f4")
    heat[0, 4, 5:9, 5:9] = 1.0
    marked = heat > 0.5
    given = (data, heat, data.rows, (0.0, 1.0))
    (plain,) = render.draw_heat_maps(*given, 0.0, 64)
    (lines,) = render.draw_heat_maps(*given, 0.4, 64, marked=marked)
    assert {tuple(c) for c in lines[(lines != plain).any(-1)]} == {render.ORANGE}
    marked[0, 4] = False
    (none,) = render.draw_heat_maps(*given, 0.4, 64, marked=marked)
    assert (none == plain).all(), "what other slices hold is not drawn"


def test_a_pinned_figure_has_the_line_and_no_scale_of_colours():
    data = picture(np.full((6, 1, 16, 16), 0.5, "f4"))
    heat = np.random.default_rng(0).random((6, 16, 16)).astype("f4")
    maps = AnomalyMaps(rows=data.rows, score=heat.max((1, 2)), map=heat, unit="edges")
    pinned = [
        figures.anomaly_figure(data, maps, data.rows, above=above) for above in (None, 0.5, 2.0)
    ]
    assert all(p.startswith(b"\x89PNG") for p in pinned)
    assert len(set(pinned)) == 3


def test_the_threshold_of_cases_is_one_of_pixels_where_scores_are_of_the_hottest_ones():
    heat = np.random.default_rng(0).gamma(1.0, 0.2, (40, 16, 16)).astype("f4")
    rows, hottest = np.arange(40), np.sort(heat.reshape(40, -1))[:, -5:]
    scale = (0.0, 2.0)
    for score in (heat.max((1, 2)), hottest.mean(1)):
        maps = AnomalyMaps(rows=rows, score=score, map=heat, pixel_threshold=0.7)
        level = find_level(maps, 0.9, scale)
        assert (level.value, level.of) == (0.9, "cases")
        assert (level.mark(maps, heat) == (heat > 0.9)).all()
    at = float(np.median(heat.max((1, 2))))
    maps = AnomalyMaps(rows=rows, score=heat.max((1, 2)), map=heat)
    drawn = find_level(maps, at, scale).mark(maps, heat).any((1, 2))
    assert (drawn == (maps.score > at)).all(), "a line in flagged cases and in no others"


def test_scores_on_another_scale_leave_the_line_at_the_threshold_of_pixels():
    heat = np.random.default_rng(0).gamma(1.0, 0.2, (40, 16, 16)).astype("f4")
    rows, mean = np.arange(40), heat.mean((1, 2))
    for score in (mean, 100 * mean):
        maps = AnomalyMaps(rows=rows, score=score, map=heat, pixel_threshold=0.7, smallest=4)
        assert not is_score_of_hottest(maps)
        level = find_level(maps, 0.9, (0.0, 2.0))
        assert (level.value, level.of) == (0.7, "pixels")
        assert (level.mark(maps, heat) == maps.marked(heat)).all()
        other = AnomalyMaps(rows=rows, score=score, map=heat)
        level = find_level(other, 0.9, (0.0, 2.0))
        assert (level.value, level.of) == (1.0, "half the scale")
    assert not is_score_of_hottest(AnomalyMaps(rows=rows, score=mean))


def test_hot_areas_are_told_by_size_heat_and_place():
    heat = np.zeros((30, 30))
    heat[2:5, 20:24] = 2.0
    heat[3, 22] = 5.0
    heat[25, 1] = 3.0
    found = find_components(heat, heat > 1, Geometry("PL", (0.5, 2.0)))
    assert [c.pixels for c in found] == [12, 1]
    assert found[0].size == pytest.approx(12.0)
    assert found[0].unit == "mm²"
    assert (found[0].peak, found[0].peak_at) == (5.0, (3, 22))
    assert found[0].mean == pytest.approx((11 * 2 + 5) / 12)
    assert found[0].place == "upper (A) right (L)", "the patient's left is at the right edge"
    assert found[1].place == "lower (P) left (R)"
    other = find_components(heat, heat > 1, Geometry("PL", (0.5, 2.0)), "neurological")
    assert other[0].place == "upper (A) left (L)"
    assert find_components(heat, heat > 1, Geometry())[0].size is None
    assert find_components(heat, heat > 9, Geometry()) == []


def test_hot_areas_of_a_volume_reach_over_slices():
    heat = np.zeros((4, 9, 9))
    heat[1:3, 4, 4] = [1.0, 2.0]
    (one,) = find_components(heat, heat > 0, Geometry("", (10.0, 1.0, 1.0)))
    assert one.pixels == 2
    assert one.size == pytest.approx(0.02)
    assert one.unit == "ml"
    assert one.place == "slice 3, middle centre"


def picture(samples) -> Dataset:
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(len(samples))]})
    return Dataset("t", "image", table, samples, None, {"file": "file"}, (), (0.0, 1.0), {})


def test_case_and_reconstruction_are_seen_through_one_window_and_the_difference_is_signed():
    x = np.full((1, 1, 16, 16), 0.5, "f4")
    made = x[0].copy()
    made[0, :4] = 0.3  # the case is brighter
    made[0, -4:] = 0.9
    pair = comparison.make_pair(picture(x), 0, made, reach=0.4)
    alike = (pair.original == pair.made).all(-1)
    assert alike[6:10].all()
    assert not alike[:4].any()
    assert (pair.difference[6:10] == comparison.GROUND).all()
    assert pair.difference[0, 0, 0] > pair.difference[0, 0, 2], "orange"
    assert pair.difference[-1, 0, 2] > pair.difference[-1, 0, 0], "blue"
    assert tuple(pair.difference[-1, 0]) == (86, 180, 233), "full colour at the given reach"


def test_all_but_the_case_itself_is_marked_as_generated():
    x = np.full((1, 1, 16, 16), 0.5, "f4")
    pair = comparison.make_pair(picture(x), 0, x[0], reach=1.0)
    assert (comparison.blend(pair, 0.0, 64) == render.enlarge(pair.original, 64)).all()
    for share in (0.1, 1.0, 2.0):
        assert (comparison.blend(pair, share, 64)[-4:] == 17).any(), "the band of the mark"
    assert comparison.describe(1.5) == (
        "Shown: between its reconstruction by the model and the difference of the two."
    )


def test_a_volume_is_shown_where_it_differs_most_or_at_the_slice_asked_for():
    x = np.full((1, 1, 5, 16, 16), 0.5, "f4")
    table = pd.DataFrame({"file": ["v.nii"]})
    data = Dataset("v", "volume", table, x, None, {"file": "file"}, (), (0.0, 1.0), {})
    made = x[0].copy()
    made[0, 3] = 0.1
    found = comparison.make_pair(data, 0, made, 0.4)
    assert found.slice == "Slice 4 of 5"
    assert (found.difference != comparison.GROUND).any()
    asked = comparison.make_pair(data, 0, made, 0.4, place=1)
    assert asked.slice == "Slice 2 of 5"
    assert (asked.difference == comparison.GROUND).all()
