"""QuickSelection: the sparse layer does what a dense one with zeros would, SET keeps its size, and
real columns are told from noise.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier

from core.data.dataset import Dataset
from core.nets.sparse import SparseLinear
from tests.methods._fit import fit, sample
from tests.soak import longer


@cache
def digits_and_noise() -> Dataset:
    """64 pixels beside 64 columns of noise."""
    data, rng = sample("digits"), np.random.default_rng(0)
    pixels = data.inputs().reshape(len(data), -1)
    names = tuple([f"pixel {i}" for i in range(64)] + [f"noise {i}" for i in range(64)])
    return replace(
        data,
        modality="table",
        samples=np.concatenate([pixels, rng.normal(size=pixels.shape)], 1).astype("f4"),
        features=names,
    )


@cache
def trained(seed: int = 0):
    return fit(
        "quick_selection", digits_and_noise(), seed=seed, keep=30, **longer({"epochs": 4}, {})
    )


def dense(layer: SparseLinear) -> torch.Tensor:
    weight = torch.zeros(layer.n_in, layer.n_out)
    weight[layer.source, layer.target] = layer.value.detach()
    return weight


def test_the_sparse_layer_equals_a_dense_one_with_zeros_forwards_and_backwards():
    layer = SparseLinear(20, 15, 3.0, np.random.default_rng(0))
    x = torch.randn(7, 20, requires_grad=True)
    weight, other = dense(layer).requires_grad_(), x.detach().clone().requires_grad_()
    layer(x).square().sum().backward()
    (other @ weight + layer.bias.detach()).square().sum().backward()
    torch.testing.assert_close(x.grad, other.grad)
    torch.testing.assert_close(layer.value.grad, weight.grad[layer.source, layer.target])


def test_the_sparse_layer_computes_in_float32_where_all_else_is_in_bf16():
    layer, x = SparseLinear(20, 15, 3.0, np.random.default_rng(0)), torch.randn(7, 20)
    with torch.autocast("cpu", torch.bfloat16):
        half = torch.nn.Linear(20, 20)(x)
        half.retain_grad()
        out = layer(half)
    assert (half.dtype, out.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(out, half.float() @ dense(layer) + layer.bias)
    out.sum().backward()
    assert half.grad is not None
    torch.testing.assert_close(half.grad, dense(layer).sum(1).expand(7, -1).bfloat16())


def test_renewal_keeps_the_number_takes_the_weakest_and_forgets_their_momentum():
    layer = SparseLinear(40, 30, 4.0, np.random.default_rng(0))
    before, momentum, size = dense(layer), torch.ones(len(layer.value)), len(layer.value)
    wanted = layer.renew(0.2, np.random.default_rng(1), momentum)
    assert len(layer.value) == size
    places = (layer.source * 30 + layer.target).tolist()
    assert len(set(places)) == size
    assert (
        int((momentum == 0).sum())
        == wanted
        == int(0.2 * (before > 0).sum()) + int(0.2 * (before < 0).sum())
    )
    stayed = (dense(layer) == before) & (before != 0)
    for sign in (1, -1):
        gone = before[(sign * before > 0) & ~stayed].abs()
        assert gone.max() <= before[(sign * before > 0) & stayed].abs().min() + 1e-6


def test_density_is_that_of_the_formula():
    layer = SparseLinear(200, 100, 5.0, np.random.default_rng(0))
    assert layer.density == pytest.approx(5 * 300 / (200 * 100), rel=0.05)
    net = trained()[0].net_
    assert len(net.first.value) == (5 * (128 + 200))


@pytest.mark.soak(only=True)
def test_real_columns_come_before_noise_and_constant_ones_are_weak():
    method, _ = trained()
    strength = method.history_[-1]
    top = np.argsort(-strength)[:40]
    assert (top < 64).mean() >= 0.8
    constant = digits_and_noise().part("train").inputs().std(0) < 1e-6
    assert constant.any()
    assert strength[constant].mean() < np.median(strength)
    assert not set(np.flatnonzero(constant)) & set(method.chosen_[:20].tolist())


def test_strength_is_the_column_sum_of_the_stored_matrix():
    method, found = trained()
    np.testing.assert_allclose(
        method.history_[-1], dense(method.net_.first).abs().sum(1).numpy(), rtol=1e-5
    )
    grid = found["grid-strength"]
    assert grid.y[0] == f"{method.names_[method.chosen_[0]]} ✓"
    assert sum(y.endswith("✓") for y in grid.y) == min(len(method.chosen_), len(grid.y))
    assert (np.diff(grid.value[:, -1]) <= 1e-6).all()


@pytest.mark.soak(only=True)
def test_selected_columns_beat_random_ones_and_come_near_all():
    data, (method, _) = digits_and_noise(), trained()
    train, test, x = data.splits == "train", data.splits == "test", data.inputs()

    def score(columns):
        return (
            ExtraTreesClassifier(50, random_state=0)
            .fit(x[train][:, columns], data.labels[train])
            .score(x[test][:, columns], data.labels[test])
        )

    chance = np.mean(
        [score(np.random.default_rng(s).choice(128, 30, replace=False)) for s in range(5)]
    )
    own = score(method.chosen_)
    assert own > chance + 0.1
    assert own > score(np.arange(128)) - 0.06


@pytest.mark.soak(only=True)
def test_two_seeds_agree_more_than_chance():
    a, b = (set(trained(s)[0].chosen_.tolist()) for s in (0, 1))
    expected = 30 * 30 / 128
    assert len(a & b) > 1.5 * expected
