"""Brightness alone: what is bright is found, whatever a scan's gain, and the marks choose where."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from core.artifacts import Metrics
from core.data.dataset import Dataset
from core.errors import UserError
from core.methods.anomaly import _intensity
from core.registry import open_model
from core.training.run import Run
from tests.methods._fit import fit

SIDE = 40
SPLITS = ["train"] * 16 + ["val"] * 12 + ["test"] * 12


def body():
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(y - 20, x - 20) < 16


def spot(k):
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(y - 20 - 6 * np.cos(k), x - 20 - 6 * np.sin(k)) < 3


def heads(channel=1, strength=0.25, splits=SPLITS, seed=0, masked=True):
    """Round heads of two channels on black; in every second validation and test picture a disc is
    `strength` brighter in `channel`, which the masks mark. Patients have four pictures each.
    """
    rng = np.random.default_rng(seed)
    n = len(splits)
    x = rng.normal(0.45, 0.05, (n, 2, SIDE, SIDE)).clip(0.1, 0.7) * body()
    marks = np.zeros((n, SIDE, SIDE), np.uint8)
    for k, part in enumerate(splits):
        if part != "train" and k % 2:
            marks[k] = spot(k)
            x[k, channel] += strength * marks[k]
    table = pd.DataFrame({"split": splits, "patient": [f"p{k // 4}" for k in range(n)]})
    return Dataset(
        "heads", "image", table, x.astype("f4"), marks if masked else None,
        roles={"split": "split", "group": "patient"},
    )  # fmt: skip


def changed(data, samples, **values):
    return Dataset(
        data.name, data.modality, data.table, samples.astype("f4"), data.masks,
        roles=data.roles, **values,
    )  # fmt: skip


@cache
def found(**params):
    data = heads()
    return data, *fit("brightness", data, **params)


def test_marks_of_validation_choose_the_channel_and_the_direction():
    for channel, strength, words in (
        (1, 0.25, (1, "brighter")),
        (0, 0.25, (0, "brighter")),
        (0, -0.25, (0, "darker")),
    ):
        method, given = fit("brightness", heads(channel, strength))
        assert (method.channel_, method.look_for_) == words
        tried = {m.group: m.value for m in given["metrics"]}
        assert len(tried) == 4
        assert max(tried, key=tried.get) == method.choice.words
        assert tried[method.choice.words] > 0.9


def test_discs_of_the_test_part_are_found_and_their_cases_lead():
    data, method, given = found()
    test = data.splits == "test"
    truth, heat = data.mask()[test], given["anomalymaps"].map[test]
    assert average_precision_score(truth.ravel(), heat.ravel()) > 0.95
    ill = truth.any((1, 2))
    assert (
        given["anomalymaps"].score[test][ill].min() > given["anomalymaps"].score[test][~ill].max()
    )
    marked = heat > method.pixel_threshold_
    assert marked[truth].mean() > 0.95
    assert marked[~truth & body()].mean() < 0.02


def test_marks_of_the_test_part_are_never_looked_at():
    data = heads()
    other = Dataset("heads", "image", data.table, data.samples, data.masks.copy(), roles=data.roles)
    other.masks[data.splits == "test"] = 1 - other.masks[data.splits == "test"]
    one, both = found()[2], fit("brightness", other)[1]
    assert np.array_equal(one["anomalymaps"].map, both["anomalymaps"].map)
    assert one["anomalymaps"].threshold == both["anomalymaps"].threshold


def test_without_marks_it_is_bright_in_the_first_channel_and_that_is_said():
    data = heads(masked=False)
    method, given = fit("brightness", data)
    assert (method.channel_, method.look_for_) == (0, "brighter")
    assert not list(given.get("metrics", Metrics.of([], data.rows)))
    words = _intensity.describe_choice(method.choice, [], -1, "automatic")
    assert "nothing is marked" in words
    assert fit("brightness", data, channel=1, look_for="darker")[0].choice.words == (
        "channel 1, darker"
    )


def test_heat_counts_robust_standard_deviations():
    data, _, given = found(smooth=0.0, channel=1, look_for="brighter")
    x, inside = data.inputs()[:4, 1], np.broadcast_to(body(), (4, SIDE, SIDE))
    middle = np.median(x[inside])
    spread = 1.4826 * np.median(np.abs(x[inside] - middle))
    heat = given["anomalymaps"].map[:4]
    wanted = ((x - middle) / spread)[inside]
    assert np.allclose(heat[inside].clip(0), wanted.clip(0), atol=1e-3)
    assert spearmanr(heat[inside], wanted).statistic > 0.9999
    assert heat[inside].min() > _intensity.BACKGROUND
    darker = found(smooth=0.0, channel=1, look_for="darker")[2]["anomalymaps"].map[:4]
    either = found(smooth=0.0, channel=1, look_for="either")[2]["anomalymaps"].map[:4]
    assert np.allclose(darker[inside].clip(0), (-wanted).clip(0), atol=1e-3)
    assert np.allclose(either[inside], np.abs(wanted), atol=1e-3)


def test_gain_and_offset_of_a_scan_change_nothing():
    data, _, given = found(smooth=0.0)
    x = data.inputs()
    patients = data.table["patient"].to_numpy()
    rng = np.random.default_rng(1)
    for name in np.unique(patients):
        own = patients == name
        gain, offset = rng.uniform(0.5, 1.0), rng.uniform(0, 0.2)
        x[own] = (gain * x[own] + offset) * body()
    again = fit("brightness", changed(data, x), smooth=0.0)[1]
    assert np.allclose(again["anomalymaps"].map, given["anomalymaps"].map, atol=2e-3)
    # on the scale of the training pictures they do
    fixed = fit("brightness", changed(data, x), smooth=0.0, scale="training pictures")[1]
    assert np.abs(fixed["anomalymaps"].map - given["anomalymaps"].map).max() > 0.5


def test_the_scale_of_a_scan_does_not_depend_on_which_of_its_pictures_are_asked_for():
    data, method, given = found()
    run = Run(device="cpu")
    one = next(iter(method.apply(data.take(np.array([29])), run)))
    assert np.allclose(one.map[0], given["anomalymaps"].map[29], atol=1e-5)


def test_background_is_lowest_and_never_marked():
    data, method, given = found(smooth=2.0)
    heat = given["anomalymaps"].map
    outside = np.broadcast_to(~body(), heat.shape)
    assert (heat[outside] == _intensity.BACKGROUND).all()
    assert not (heat > method.pixel_threshold_)[outside].any()
    empty = changed(data, np.zeros_like(data.inputs()))
    black = next(iter(method.apply(empty, Run(device="cpu"))))
    assert (black.map == _intensity.BACKGROUND).all()
    assert np.isfinite(black.score).all()


def test_a_dense_spot_of_a_ct_counts_the_same_in_every_scan_where_values_have_a_unit():
    rng = np.random.default_rng(0)
    hu = np.where(body(), rng.normal(40, 15, (40, 1, SIDE, SIDE)), -1000.0)
    fat = np.repeat(np.arange(40) // 4 % 2 == 1, 1)  # every second patient has less dense tissue
    hu[fat] = np.where(body(), hu[fat] - 60, hu[fat])
    marks = np.zeros((40, SIDE, SIDE), np.uint8)
    for k in (29, 33):  # a calcification of 400 HU, in either kind of patient
        marks[k] = spot(k)
        hu[k, 0][marks[k] > 0] = 400
    data = Dataset(
        "ct", "image", heads().table, hu.astype("i2"), marks,
        roles={"split": "split", "group": "patient"}, input_range=(-1000.0, 1000.0),
        card={"unit": "HU"},
    )  # fmt: skip
    method, given = fit("brightness", data, scale="training pictures", smooth=0.0, channel=0)
    heat = given["anomalymaps"].map
    peaks = [heat[k][marks[k] > 0].mean() for k in (29, 33)]
    assert peaks[0] == pytest.approx(peaks[1], rel=1e-5)
    assert (heat[marks > 0] > method.pixel_threshold_).all()
    assert (heat[np.broadcast_to(~body(), heat.shape)] == _intensity.BACKGROUND).all()
    own = fit("brightness", data, smooth=0.0, channel=0)[1]["anomalymaps"].map
    peaks = [own[k][marks[k] > 0].mean() for k in (29, 33)]
    assert abs(peaks[0] - peaks[1]) > 1


def test_a_run_opens_again_with_its_scale_and_choice():
    data, method, given = found()
    again = open_model(given["model"], "cpu")
    assert again.choice == method.choice
    run = Run(device="cpu")
    assert np.array_equal(next(iter(again.apply(data, run))).map, given["anomalymaps"].map)


def test_a_channel_that_is_not_there_is_said_so():
    with pytest.raises(UserError, match="There is no channel 2; these pictures have 2"):
        fit("brightness", heads(), channel=2)


def test_pictures_of_many_values_are_read_few_at_a_time():
    few = heads()
    assert [len(b) for b in _intensity.batches(few)] == [32, 8]
    wide = Dataset("w", "image", few.table, np.zeros((40, 64, 512, 512), "u1").view())
    sizes = [len(b) for b in _intensity.batches(wide, 0)]
    assert set(sizes) == {1}
    assert sum(sizes) == 40
