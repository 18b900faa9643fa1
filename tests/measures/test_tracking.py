"""Scores of tracked outlines: those worked out by hand, and the rivals that copy and shift."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from core.data.clips import Clip, clip_scores, repeat_outline, shift_outline, translate_mask
from core.stats.tracking import dice, relative_d98, surface_distances


def disc(y: float, x: float, r: float = 8, side: int = 48) -> np.ndarray:
    a, b = np.mgrid[:side, :side]
    return np.hypot(a - y, b - x) < r


def test_scores_are_those_worked_out_by_hand():
    truth = np.stack([disc(20, 20)] * 4)
    clip = Clip("c", np.arange(4), np.ones(4, bool))
    same = clip_scores(truth, truth, clip)
    assert same == {
        "Dice": 1.0,
        "centroid error": 0.0,
        "95 % surface distance": 0.0,
        "mean surface distance": 0.0,
        "relative D98": pytest.approx(1.0),
    }
    aside = clip_scores(np.stack([translate_mask(m, 0, 3) for m in truth]), truth, clip, mm=2.0)
    assert aside["centroid error"] == pytest.approx(6.0)  # 3 pixels of 2 mm
    square = np.zeros((1, 10, 10), bool)
    square[0, 2:6, 2:6] = True
    assert dice(np.roll(square, 2, 2), square)[0] == 0.5
    assert surface_distances(np.roll(square, 3, 2)[0], square[0])[0] == 3.0
    none = clip_scores(np.zeros_like(truth), truth, clip)
    assert (none["Dice"], none["centroid error"], none["95 % surface distance"]) == (
        0.0,
        48.0,
        48.0,
    )
    assert none["relative D98"] == pytest.approx(0.0)
    assert (
        relative_d98(truth[0], np.array([[0.0, 6.0]] * 3))
        < relative_d98(truth[0], np.array([[0.0, 2.0]] * 3))
        <= 1.0
    )


def test_the_given_frame_and_frames_with_nothing_outlined_do_not_count():
    truth = np.stack([disc(20, 20), disc(20, 20), np.zeros((48, 48), bool), disc(20, 26)])
    clip = Clip("c", np.arange(4), truth.any((1, 2)))
    wrong_there = truth.copy()
    wrong_there[0], wrong_there[2] = False, True
    assert clip_scores(wrong_there, truth, clip) == clip_scores(truth, truth, clip)
    assert (
        clip_scores(
            wrong_there, truth, Clip("c", np.arange(4), np.array([True, False, False, False]))
        )
        == {}
    )


def test_the_rivals_copy_and_shift():
    rng, given = np.random.default_rng(0), disc(22, 22)
    picture = gaussian_filter(rng.normal(0, 1, (48, 48)), 1.5)
    frames = np.stack([np.roll(picture, (k, 2 * k), (0, 1))[None] for k in range(4)]).astype("f4")
    assert np.array_equal(
        shift_outline(given, frames, 0),
        np.stack([translate_mask(given, k, 2 * k) for k in range(4)]),
    )
    assert np.array_equal(repeat_outline(given, frames), np.stack([given] * 4))
