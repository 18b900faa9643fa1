"""Synthetic anomalies: what is drawn, what is learned from it, and trees kept as arrays."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score

from core.errors import UserError
from core.methods.anomaly import _intensity, _synthetic
from core.methods.anomaly._trees import Trees
from core.registry import open_model
from core.training.run import Run
from tests.methods._fit import fit
from tests.methods.test_brightness import body, changed, heads

SMALL = {"side": 64, "draws": 1, "trees": 30, "pixels": 8000}


@cache
def found(seed=0, **params):
    data = heads(strength=0.2)
    return data, *fit("synthetic_anomalies", data, seed, **{**SMALL, **params})


@cache
def boosted(seed=0, sign=1):
    """A fitted classifier of two classes, and its columns [n,5]; the first counts one way only."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3000, 5)).astype("f4")
    y = x[:, 0] * sign + 0.5 * x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=3000) > 0.5
    grows = [sign, 0, 0, 0, 0]
    return HistGradientBoostingClassifier(max_iter=20, monotonic_cst=grows).fit(x, y), x


def test_trees_as_arrays_give_the_mean_odds_of_scikit_learn():
    (one, x), (other, _) = boosted(0), boosted(1)
    trees = Trees.mean([one, other], x)
    wanted = (one.decision_function(x) + other.decision_function(x)) / 2
    assert np.allclose(trees(x), wanted, atol=1e-5)
    assert wanted.std() > 1
    at_cuts = np.tile(trees.arrays["threshold"][:200, None], (1, 5))
    cuts = (one.decision_function(at_cuts) + other.decision_function(at_cuts)) / 2
    assert np.allclose(trees(at_cuts), cuts, atol=1e-5)


def test_trees_of_another_form_are_refused(monkeypatch):
    one, x = boosted(0)
    baseline = one._baseline_prediction
    monkeypatch.setattr(one, "_baseline_prediction", baseline + 0.01)
    read = Trees._read([one])
    monkeypatch.setattr(one, "_baseline_prediction", baseline)
    monkeypatch.setattr(Trees, "_read", lambda fitted: read)
    with pytest.raises(UserError, match=r"scikit-learn .* keeps boosted trees in another form"):
        Trees.mean([one], x)
    monkeypatch.undo()
    monkeypatch.delattr(one, "_predictors")
    try:
        with pytest.raises(UserError, match="install scikit-learn"):
            Trees.mean([one], x)
    finally:
        boosted.cache_clear()


def test_trees_of_a_run_opened_again_give_the_same_odds_and_heat():
    data, method, given = found()
    again = open_model(given["model"], "cpu")
    x = np.random.default_rng(0).normal(size=(500, 14)).astype("f4")
    assert np.array_equal(again.trees_(x), method.trees_(x))
    run = Run(device="cpu")
    assert np.array_equal(next(iter(again.apply(data, run))).map, given["anomalymaps"].map)


@pytest.mark.parametrize(("look_for", "sign"), [("brighter", 1), ("darker", -1)])
def test_a_pixel_further_in_the_direction_looked_for_never_counts_less(look_for, sign):
    data, method, _ = found(look_for=look_for, channel=1)
    z, inside, _ = next(method.scale_.scaled(data, Run(device="cpu"), 64))
    x = _synthetic.pixel_features(z, inside, 1)[inside][::7]
    before = method.trees_(x)
    steps = []
    for more in (0.5, 1.0, 2.0, 4.0, 8.0):
        x = x.copy()
        x[:, 0] += sign * more
        after = method.trees_(x)
        steps.append(after - before)
        before = after
    assert min(s.min() for s in steps) >= -1e-5
    assert max(s.max() for s in steps) > 0.5


def test_spots_lie_in_the_foreground_with_soft_borders_and_change_what_they_should():
    rng = np.random.default_rng(0)
    inside = np.stack([body()] * 40)
    where = _synthetic.spots(inside, rng)
    assert not where[~inside].any()
    assert 0 <= where.min() <= where.max() <= 1
    assert (where.max((1, 2)) > 0.5).mean() > 0.9
    assert 0.01 < (where > 0.5)[inside].mean() < 0.5
    z = rng.normal(size=(40, 2, 40, 40)).astype("f4")
    for sign in (1, -1):
        out = _synthetic.with_spots(z, where, 1, sign, "the same direction", rng) - z
        core = where > 0.99
        assert (sign * out[:, 1][core] > 0.98 * _synthetic.STRENGTH[0]).all()
        assert (np.abs(out[:, 1]) <= _synthetic.STRENGTH[1] + 1e-4).all()
        assert (sign * out[:, 0] >= -1e-6).all()
        assert not np.abs(out).max(1)[where == 0].any()
    alone = _synthetic.with_spots(z, where, 1, 1, "unchanged", rng)
    assert np.array_equal(alone[:, 0], z[:, 0])
    either = _synthetic.with_spots(z, where, 1, 0, "either direction", rng) - z
    signs = np.sign([e[1][w > 0.5].mean() for e, w in zip(either, where) if (w > 0.5).any()])
    assert set(signs) == {-1.0, 1.0}


def test_local_means_are_of_the_foreground_and_depth_is_the_way_to_its_border():
    inside = np.stack([body()] * 2)
    z = np.stack([np.full((40, 40), 3.0), np.full((40, 40), -2.0)])[:, None] * inside[:, None]
    z = np.concatenate([z, z * 2], 1).astype("f4")
    x = _synthetic.pixel_features(z, inside, 1)
    assert x.shape == (2, 40, 40, 14)
    for picture, own in ((0, 3.0), (1, -2.0)):
        values = x[picture][inside[picture]]
        assert np.allclose(values[:, :5], 2 * own, atol=1e-3)  # the channel looked at comes first
        assert np.allclose(values[:, 5:10], own, atol=1e-3)
    depth = x[0, ..., -1] * 40 / 128
    assert depth[20, 20] == pytest.approx(16, abs=1)
    assert depth[20, 5] == pytest.approx(1, abs=0.5)
    assert not depth[~inside[0]].any()


def test_pixels_learned_from_are_of_spots_or_well_beside_them():
    rng = np.random.default_rng(0)
    inside = np.stack([body()] * 4)
    where = rng.uniform(0, 1, inside.shape).astype("f4")
    x, y = _synthetic.some_pixels(where[..., None], where, inside, 2000, rng)
    assert len(x) == len(y) <= 2000
    assert (x[y, 0] > _synthetic.INSIDE).all()
    assert (x[~y, 0] < _synthetic.OUTSIDE).all()
    assert y.any()
    assert not y.all()


def test_discs_of_the_test_part_are_found_and_their_channel_is_chosen_by_marks():
    data, method, given = found()
    assert method.choice.words == "channel 1, brighter"
    test = data.splits == "test"
    truth, heat = data.mask()[test], given["anomalymaps"].map[test]
    assert average_precision_score(truth.ravel(), heat.ravel()) > 0.85
    ill = truth.any((1, 2))
    score = given["anomalymaps"].score[test]
    assert score[ill].min() > score[~ill].max()
    marked = heat > method.pixel_threshold_
    assert marked[truth].mean() > 0.8
    assert marked[~truth & body()].mean() < 0.03


def test_learning_tells_discs_from_bright_grains_that_every_normal_picture_has():
    data = heads(strength=0.0)
    x, truth = data.inputs(), data.mask()
    grains = np.random.default_rng(3).uniform(size=truth.shape) < 0.04
    x[:, 1] += 0.25 * (grains | truth) * body()
    data = changed(data, x)
    learned = fit("synthetic_anomalies", data, brightness=0.0, channel=1, **SMALL)[1]
    plain = fit("brightness", data, channel=1)[1]
    test = data.splits == "test"
    values = [
        average_precision_score(truth[test].ravel(), given["anomalymaps"].map[test].ravel())
        for given in (learned, plain)
    ]
    assert values[0] > values[1] + 0.1


def test_the_same_seed_gives_the_same_and_another_draws_other_spots():
    data, one, given = found(0)
    _, again = fit("synthetic_anomalies", data, 0, **SMALL)
    assert np.array_equal(again["anomalymaps"].map, given["anomalymaps"].map)
    _, other, changed_seed = found(1)
    assert not np.array_equal(changed_seed["anomalymaps"].map, given["anomalymaps"].map)
    assert len(one.trees_.arrays["root"]) == len(other.trees_.arrays["root"]) == 30


def test_draws_of_one_run_differ_and_their_mean_is_taken():
    _, _, given = found(0)
    _, method, two = found(0, draws=2)
    assert len(method.trees_.arrays["root"]) == 60
    first, second = (
        {tuple(method.trees_.arrays["threshold"][r : r + 3]) for r in roots}
        for roots in np.split(method.trees_.arrays["root"], 2)
    )
    assert not first & second
    assert not np.array_equal(two["anomalymaps"].map, given["anomalymaps"].map)


def test_gain_and_offset_of_a_scan_change_nothing():
    data, method, given = found()
    x, patients = data.inputs(), data.table["patient"].to_numpy()
    rng = np.random.default_rng(1)
    for name in np.unique(patients):
        own = patients == name
        x[own] = (rng.uniform(0.5, 1.0) * x[own] + rng.uniform(0, 0.2)) * body()
    # at the working size borders blend with the black beside them, so deep places are compared
    again = next(iter(method.apply(changed(data, x), Run(device="cpu"))))
    y, x = np.mgrid[:40, :40]
    deep = np.hypot(y - 20, x - 20) < 10
    before, after = given["anomalymaps"].map[:, deep], again.map[:, deep]
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.99
    assert np.abs(before - after).mean() < 0.1 * before.std()


def test_background_is_lowest_and_never_marked_at_the_pictures_own_size():
    data, method, given = found()
    heat = given["anomalymaps"].map
    outside = np.broadcast_to(~body(), heat.shape)
    assert (heat[outside] == _intensity.BACKGROUND).all()
    assert not (heat > method.pixel_threshold_)[outside].any()
    black = changed(data, np.zeros_like(data.inputs()))
    empty = next(iter(method.apply(black, Run(device="cpu"))))
    assert (empty.map == _intensity.BACKGROUND).all()


def test_pictures_without_foreground_are_refused_with_the_way_out():
    data = heads()
    black = changed(data, np.zeros_like(data.inputs()))
    with pytest.raises(UserError, match=r"found no foreground .* 0\.02"):
        fit("synthetic_anomalies", black, **SMALL)
