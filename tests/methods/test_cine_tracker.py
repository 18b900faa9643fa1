"""The film tracker: it beats copying and shifting, looks back only, follows what was asked for,
uses both memories, and SAM 2.1 stands behind the same door.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter

from core.artifacts import Predictions
from core.data.clips import BASELINES, Clip, clips_of, compare_trackers
from core.data.dataset import Dataset
from core.data.samples.generated import cine
from core.errors import UserError
from core.measures.tracking import Tracking
from core.methods.tracking.cine_tracker import CineTracker
from core.stats.tracking import dice
from core.training.compatibility import why_not
from core.training.run import Run
from tests.methods._fit import fit
from tests.soak import longer

SMALL = {"width": 16, "side": 32}


# -- made-up films ---------------------------------------------------------------------------------
def carousel(
    n: int = 20,
    frames: int = 10,
    speed: tuple[float, float] = (0, 15),
    seed: int = 0,
    hidden: range = range(0),
    test: bool = False,
) -> Dataset:
    """Three discs that look alike on a turning ring, one of them outlined: only memory can tell
    which. Frames `hidden` show nothing.
    """
    rng, side = np.random.default_rng(seed), 48
    y, x = np.mgrid[:side, :side]
    images, masks, lines = [], [], []
    for c in range(n):
        texture = gaussian_filter(rng.normal(0, 1, (side, side)), 2) * 0.2
        turn, pace = rng.uniform(0, 6.28), np.deg2rad(rng.uniform(*speed)) * rng.choice([-1, 1])
        ring, middle = rng.uniform(12, 15), side / 2 + rng.uniform(-2, 2, 2)
        for k in range(frames):
            discs = [
                np.hypot(y - middle[0] - ring * np.sin(a), x - middle[1] - ring * np.cos(a)) < 5
                for a in turn + pace * k + 2.0944 * np.arange(3)
            ]
            image = (
                np.full((side, side), 0.35)
                if k in hidden
                else gaussian_filter(0.3 + texture + 0.4 * np.any(discs, 0), 0.8)
            )
            images.append(np.clip(image + rng.normal(0, 0.04, image.shape), 0, 1))
            masks.append(discs)
            lines.append(
                {
                    "clip": f"C{c:02d}",
                    "frame": k,
                    "part": "test" if test or c >= 0.8 * n else "train",
                }
            )
    samples, masks = (np.stack(images)[:, None] * 255).round().astype(np.uint8), np.stack(masks)
    roles = {"group": "clip", "sequence": "clip", "time": "frame", "split": "part"}
    return Dataset(
        "carousel",
        "image",
        pd.DataFrame(lines),
        samples,
        masks[:, 0].astype(np.uint8),
        roles,
        input_range=(0, 255),
        card={"discs": masks},
    )


@cache
def on_chambers():
    """A tracker of chambers that move by up to 7 pixels, and what it gave."""
    data = cine(patients=14, sway=7)
    taught = data.groups < longer("P05", "P99")
    data = data.take(np.flatnonzero(taught | (data.splits != "train")))
    return data, *fit("cine_tracker", data, epochs=longer(1, 7), **SMALL)


@cache
def on_carousel():
    return fit("cine_tracker", carousel(), epochs=12, window=8.0, learning_rate=5e-3, **SMALL)[0]


def tracked(method, data, clip):
    return method.follow(data, clip) > 0.5


def mean_dice(method, data, frames=slice(1, None)):
    """Mean Dice over all clips of `data`, of these frames."""
    return float(
        np.mean(
            [
                dice(tracked(method, data, c), data.of(c.rows).mask())[frames].mean()
                for c in clips_of(data)
            ]
        )
    )


# -- (a) better than copying and shifting ----------------------------------------------------------
@pytest.mark.soak(only=True)
def test_it_beats_the_copied_outline_and_the_shifted_one_on_held_out_chambers():
    data, _, found = on_chambers()
    said, part = found["predictions-tracked"], data.part("test")
    clips = clips_of(part)
    way = [
        np.ptp([np.argwhere(m).mean(0) for m in part.of(c.rows).mask()], axis=0).max()
        for c in clips
    ]
    assert max(way) >= 6
    scores, unit = compare_trackers(
        data, clips, {c.name: said.prob[said.at(c.rows)].argmax(1) > 0 for c in clips}
    )
    mean = {
        who: {k: np.mean([s[who][k] for s in scores]) for k in ("Dice", "centroid error")}
        for who in ("tracked", *BASELINES)
    }
    assert unit == "mm"
    for rival in BASELINES:
        assert mean["tracked"]["Dice"] >= mean[rival]["Dice"] + 0.10
        assert mean["tracked"]["centroid error"] <= mean[rival]["centroid error"] / 2


@pytest.mark.soak(only=True)
def test_untrained_it_is_far_behind():
    data, method, _ = on_chambers()
    bare = CineTracker(method.params)
    bare.channels_, bare.config_ = method.channels_, None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bare.net_ = bare.make_net().eval()
    assert mean_dice(method, data.part("test")) > mean_dice(bare, data.part("test")) + 0.3


# -- (b) causal ------------------------------------------------------------------------------------
@pytest.mark.parametrize("t", [1, 4, 8])
def test_frames_after_t_change_no_bit_of_the_masks_up_to_t(t):
    data, method, _ = on_chambers()
    clip = clips_of(data.part("test"))[0]
    straight = method.follow(data, clip)
    samples = data.samples.copy()
    later = clip.rows[t + 1 :]
    samples[later] = np.random.default_rng(0).integers(0, 256, samples[later].shape)
    masks = data.masks.copy()
    masks[later] = 0
    scrambled = method.follow(replace(data, samples=samples, masks=masks), clip)
    assert np.array_equal(scrambled[: t + 1], straight[: t + 1])
    assert not np.array_equal(scrambled[t + 1 :], straight[t + 1 :])


def test_frames_before_the_given_one_stay_empty_unless_asked_for():
    data, method, _ = on_chambers()
    clip = clips_of(data.part("test"))[0]
    late = Clip(clip.name, clip.rows, np.arange(len(clip.rows)) >= 5)
    assert not method.follow(data, late)[:5].any()
    back = CineTracker(method.params.model_copy(update={"backwards": True}))
    back.restore(method.state())
    both = back.follow(data, late)
    np.testing.assert_allclose(both[5:], method.follow(data, late)[5:], atol=1e-4)


@pytest.mark.soak(only=True)
def test_backwards_it_finds_what_was_there_before_the_given_frame():
    data, method, _ = on_chambers()
    clip = clips_of(data.part("test"))[0]
    late = Clip(clip.name, clip.rows, np.arange(len(clip.rows)) >= 5)
    back = CineTracker(method.params.model_copy(update={"backwards": True}))
    back.restore(method.state())
    found = back.follow(data, late) > 0.5
    assert dice(found, data.of(clip.rows).mask())[:5].min() > 0.6


# -- (c) what was asked for ------------------------------------------------------------------------
@pytest.mark.soak(only=True)
def test_it_follows_the_disc_it_was_given_and_not_its_twins():
    method, data = on_carousel(), carousel(6, 6, (4, 8), seed=21, test=True)
    own, twin = [], []
    for which in (0, 1):
        asked = replace(data, masks=data.card["discs"][:, which].astype(np.uint8))
        for clip in clips_of(asked):
            made, discs = tracked(method, asked, clip), data.card["discs"][clip.rows]
            own.append(dice(made, discs[:, which])[1:].mean())
            twin.append(dice(made, discs[:, 1 - which])[1:].mean())
    assert np.mean(own) > 0.6
    assert np.mean(twin) < 0.2


# -- (d) both memories -----------------------------------------------------------------------------
@pytest.mark.soak(only=True)
def test_without_the_first_frame_in_memory_a_hidden_disc_is_lost():
    method, data = on_carousel(), carousel(8, 20, (0, 0), seed=8, hidden=range(4, 14), test=True)
    full = mean_dice(method, data, slice(14, None))
    method.net_.anchor = False
    try:
        without = mean_dice(method, data, slice(14, None))
    finally:
        method.net_.anchor = True
    assert full > 0.85
    assert without < full - 0.15


@pytest.mark.soak(only=True)
def test_without_the_last_frames_in_memory_a_disc_that_moves_on_is_lost():
    method, data = on_carousel(), carousel(8, 12, (10, 14), seed=9, test=True)
    full = mean_dice(method, data, slice(6, None))
    recent, method.net_.recent = method.net_.recent, 0
    try:
        without = mean_dice(method, data, slice(6, None))
    finally:
        method.net_.recent = recent
    assert full > 0.4
    assert without < full / 2


# -- (e) fine-tuning -------------------------------------------------------------------------------
@pytest.mark.soak(only=True)
def test_fine_tuned_on_five_films_of_a_new_contrast_it_learns_that_and_keeps_the_old():
    data, method, _ = on_chambers()
    other = cine(patients=9, seed=31)
    other = replace(
        other,
        samples=255 - other.samples,
        table=other.table.assign(split=np.where(other.groups < "P05", "train", "test")),
    )
    before, old = mean_dice(method, other.part("test")), mean_dice(method, data.part("test"))
    tuned = CineTracker(CineTracker.Params(epochs=4, learning_rate=2e-4, **SMALL))
    tuned.restore(method.state())
    run = Run(seed=0, device="cpu")
    with run.seeded():
        tuned.fit(other, run)
    tuned.to("cpu")
    assert mean_dice(tuned, other.part("test")) > before + 0.2
    assert mean_dice(tuned, data.part("test")) >= 0.95 * old


# -- (f), (g) figures ------------------------------------------------------------------------------
def test_the_time_of_a_frame_and_the_films_without_an_outline_are_told():
    data, _, found = on_chambers()
    said = {m.name: m for m in found["metrics-speed"]}
    assert said["seconds per frame"].value > 0
    assert said["seconds per frame"].n == len(data)
    assert said["clips without any outlined frame"].value == 0


def test_the_measure_tells_tracker_and_rivals_and_no_interval_of_two_patients():
    data, _, found = on_chambers()
    told = Tracking().compute(data, found["predictions-tracked"], rng=np.random.default_rng(0))
    by = {(m.name, m.group): m for m in told}
    own, copy = (
        by["Dice after the given frame", "all"],
        by[f"Dice after the given frame, rival: {BASELINES[0]}", "all"],
    )
    assert own.low is None
    assert "too few for an interval" in own.note  # two patients
    assert own.split == "test"
    assert own.n == len(clips_of(data.part("test")))
    assert copy.n == own.n
    each = [m.value for m in told if m.name == own.name and m.group != "all"]
    assert np.mean(each) == pytest.approx(own.value)
    truth = np.stack([~data.mask(), data.mask()], 1).astype("f4")
    perfect = Tracking().compute(
        data,
        Predictions(rows=data.rows, prob=truth, classes=["background", "marked"]),
        rng=np.random.default_rng(0),
    )
    assert {
        m.value for m in perfect if m.name in ("Dice after the given frame", "centroid error (mm)")
    } == {1.0, 0.0}
    assert "no films" in Tracking().declines(replace(data, roles={}), found["predictions-tracked"])


@pytest.mark.soak(only=True)
def test_the_measure_puts_the_tracker_before_the_copied_outline():
    data, _, found = on_chambers()
    told = Tracking().compute(data, found["predictions-tracked"], rng=np.random.default_rng(0))
    by = {m.name: m.value for m in told if m.group == "all"}
    name = "Dice after the given frame"
    assert by[name] > by[f"{name}, rival: {BASELINES[0]}"]


# -- what it declines ------------------------------------------------------------------------------
DECLINED = {
    "Needs a film": lambda d: replace(d, roles={k: v for k, v in d.roles.items() if k != "time"}),
    "Needs masks": lambda d: replace(d, masks=None),
    "one or three channels": lambda d: replace(d, samples=np.repeat(d.samples, 2, 1)),
    "must hold numbers": lambda d: replace(
        d, table=d.table.assign(frame=[f"t{k}" for k in d.table["frame"]])
    ),
    "lack the name of their clip or their time": lambda d: replace(
        d, table=d.table.assign(frame=d.table["frame"].where(d.table["frame"] != 3))
    ),
    "two sides of the split": lambda d: replace(
        d, table=d.table.assign(split=np.where(d.table["frame"] < 9, "train", "test"))
    ),
}


@pytest.mark.parametrize("words", DECLINED)
def test_data_that_does_not_fit_is_declined_in_words(words):
    said = why_not(CineTracker, DECLINED[words](cine(patients=6)))
    assert words in said


def test_a_film_without_any_outline_in_training_is_refused():
    data = cine(patients=6)
    with pytest.raises(UserError, match="No training clip has an outlined frame"):
        fit("cine_tracker", replace(data, masks=np.zeros_like(data.masks)), epochs=1, **SMALL)
