"""Checks of attribution maps: on a model whose reasons are known they pass, on a map that ignores
the model they do not.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from core.artifacts import Metric
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.errors import Cancelled, UserError
from core.explain import attribution, map_health
from tests.contract._fits import shared, small_shared


class OnePatch:
    """A model that looks at one patch of digits only; as much of a method as maps ask for."""

    abilities, gradients, classes, slicewise = ["predict"], True, ["no", "yes"], False

    def __init__(self):
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        with torch.no_grad():
            weight = torch.zeros(2, 8, 8)
            weight[1, 2:5, 3:6] = torch.rand(3, 3) + 1
            self.net[1].weight.copy_(weight.view(2, 64))
            self.net[1].bias.zero_()

    def nets(self):
        return [self.net]

    def predict(self, x):
        return self.net(x).softmax(1)


@pytest.fixture(scope="module")
def data():
    digits = make_sample("digits")
    masks = np.zeros((len(digits), 8, 8), np.uint8)
    masks[:, 2:5, 3:6] = 1
    return replace(digits, masks=masks)


def checked(model, data, hows=None, rows=None):
    rows = map_health.default_rows(data) if rows is None else rows
    metrics, grid = map_health.check_maps(model, data, rows, "class yes", hows)
    return {(m.group, m.name): m for m in metrics}, grid


def test_maps_of_a_model_whose_reason_is_known_pass(data):
    found, _ = checked(OnePatch(), data, ["integrated_gradients", "deep_lift"])
    for how in ("integrated_gradients", "deep_lift"):
        for name in map_health.CHECKS:
            one = found[how, name]
            assert map_health.state_of(one) == "passes", (how, name, one)
            assert map_health.describe(one) == map_health.CHECKS[name].good
            assert one.n == map_health.CASES
    inside = found["integrated_gradients", "localisation of findings"]
    assert inside.value > 0.9
    assert "100 % of the map’s strength lies inside (chance 14 %)" in inside.note


def test_a_map_that_ignores_the_model_fails(data, monkeypatch):
    real = attribution._explain

    def drawn(how, nets, forward, x, base, *more):
        # the picture itself, as an edge detector would give it
        return (x, None) if how == "occlusion" else real(how, nets, forward, x, base, *more)

    monkeypatch.setattr(attribution, "_explain", drawn)
    found, grid = checked(OnePatch(), data, ["integrated_gradients", "occlusion"])
    same = found["occlusion", "model randomisation"]
    assert same.value == pytest.approx(1)
    assert map_health.state_of(same) == "doubt"
    assert "may not reflect the model" in map_health.describe(same)
    assert map_health.state_of(found["integrated_gradients", "model randomisation"]) == "passes"
    where = [
        found[h, "localisation of findings"].value for h in ("integrated_gradients", "occlusion")
    ]
    assert where[0] > where[1] + 0.2
    np.testing.assert_allclose(grid.value, grid.value.T)
    np.testing.assert_allclose(np.diag(grid.value), 1)
    assert grid.value[0, 1] < 0.6
    gain = [found[h, "localisation gain"] for h in ("integrated_gradients", "occlusion")]
    assert map_health.state_of(gain[0]) == "passes"
    assert map_health.state_of(gain[1]) == "doubt", "the picture itself marks the middle as well"


def test_one_case_has_values_without_intervals(data):
    found, _ = checked(OnePatch(), data, ["integrated_gradients"], data.rows[:1])
    one = found["integrated_gradients", "model randomisation"]
    assert one.n == 1
    assert one.low is None
    assert map_health.state_of(one) == "passes"
    where = found["integrated_gradients", "localisation of findings"]
    assert map_health.state_of(where) == "unknown", "nothing is said against chance by one case"


def test_similarity_is_spearmans():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 6, 40)).astype(float)
    expected = [spearmanr(p, q).statistic for p, q in zip(a, b)]
    np.testing.assert_allclose(map_health.similarity(a, b), expected)
    assert np.isnan(map_health.similarity(np.ones((1, 4)), a[:1, :4])).all()


def test_a_random_copy_has_other_weights_and_leaves_the_model_as_it_was():
    model, _ = shared("gaussian_vae")
    before = [p.clone() for net in model.nets() for p in net.parameters()]
    state = torch.random.get_rng_state()
    first, again, other = (map_health.randomised(model, s) for s in (0, 0, 1))
    assert torch.equal(state, torch.random.get_rng_state())
    for a, b in zip(before, (p for net in model.nets() for p in net.parameters())):
        assert torch.equal(a, b)

    def weights(m):
        found = [p.flatten() for net in m.nets() for p in net.parameters() if p.ndim > 1]
        return torch.cat(found)

    assert torch.equal(weights(first), weights(again))
    assert (weights(first) != weights(other)).float().mean() > 0.9
    assert (weights(first) != weights(model)).float().mean() > 0.9


def test_layers_are_made_random_one_after_another_from_the_output():
    model, _ = shared("gaussian_vae")
    many = map_health.count_layers(model)

    def equal(m):
        """Of each layer that can be reset, whether it is as in the model, input first."""
        pairs = zip(map_health._resettable(m), map_health._resettable(model))
        return [
            all(torch.equal(a, b) for a, b in zip(p.parameters(), q.parameters()))
            for (_, p), (_, q) in pairs
        ]

    assert equal(map_health.randomised(model, 0, 0)) == [True] * many
    last = equal(map_health.randomised(model, 0, 1))
    assert last == [True] * (many - 1) + [False]
    half = equal(map_health.randomised(model, 0, many // 2))
    assert half[: many - many // 2] == [True] * (many - many // 2)
    assert not all(half[many - many // 2 :])


def test_the_pointing_game_counts_the_strongest_place():
    x = np.zeros((3, 1, 8, 8), np.float32)
    masks = np.zeros((3, 8, 8), np.uint8)
    masks[:2, 2:4, 2:4] = 1
    data = Dataset("points", "image", pd.DataFrame({"n": range(3)}), x, masks=masks)
    value = np.zeros((3, 1, 8, 8))
    value[0, 0, 3, 3], value[1, 0, 6, 6], value[2, 0, 0, 0] = -1.0, 1.0, 1.0
    found = map_health.pointing(value, data, data.rows)
    assert found[:2].tolist() == [1.0, 0.0], "its size counts, not its sign"
    assert np.isnan(found[2]), "nothing is outlined there"


def test_a_model_without_weights_is_told_so():
    model, data = shared("pca")[0], small_shared("digits")
    assert map_health.randomised(model) is None
    metrics, _ = map_health.check_maps(model, data, data.rows[:12], "axis 1", ["occlusion"])
    first = next(m for m in metrics if m.name == "model randomisation")
    assert map_health.state_of(first) == "unknown"
    assert "no network weights" in map_health.describe(first)
    with pytest.raises(UserError, match="None of these ways"):
        map_health.check_maps(model, data, data.rows[:12], "axis 1", ["grad_cam"])


def test_a_state_goes_by_the_cut_off_and_localisation_by_its_interval():
    randomised = Metric("model randomisation", 0.5, n=9)
    assert map_health.state_of(randomised) == "doubt"
    assert map_health.state_of(replace(randomised, value=0.49)) == "passes"
    inside = Metric("localisation of findings", 0.8, 0.45, 0.95, n=9)
    assert map_health.state_of(inside) == "doubt"
    assert map_health.state_of(replace(inside, low=0.55)) == "passes"


def test_cancelling_stops_between_batches(data):
    told = []
    rows = data.rows[:40]

    def stop():
        return len(told) > 2

    with pytest.raises(Cancelled):
        map_health.check_maps(
            OnePatch(), data, rows, "class yes", None, report=told.append, stop=stop
        )
    assert 0 < max(told) < 1
