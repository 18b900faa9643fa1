"""Losses against known answers."""

import numpy as np
import pytest
import torch

from core.nets.losses.class_weights import class_weights
from core.nets.losses.context_encoding import context_encoding
from core.nets.losses.deep_supervision import dice_and_cross_entropy
from core.nets.losses.elbo import gaussian_kl, gaussian_kl_by_axis, squared_error
from core.nets.losses.entropy import pixel_entropy
from core.nets.losses.swapped_prediction import swapped_prediction
from core.nets.memory_bank import MemoryBank


def test_gaussian_kl_is_torchs():
    mu, logvar = torch.randn(5, 3), torch.randn(5, 3)
    made = torch.distributions.Normal(mu, (0.5 * logvar).exp())
    wanted = torch.distributions.kl_divergence(made, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(gaussian_kl_by_axis(mu, logvar), wanted)
    torch.testing.assert_close(gaussian_kl(mu, logvar), wanted.sum(1))


def test_squared_error_is_summed_over_a_case():
    assert squared_error(torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)).tolist() == [4, 4]


def test_context_encoding_weighs_redrawing_against_filling():
    x, zero = torch.ones(2, 1, 2, 2), torch.zeros(2, 3)
    found = context_encoding(x, x - 1, x - 3, zero + 1, zero, beta=2.0, holes=0.25)
    assert {k: float(v) for k, v in found.items()} == pytest.approx(
        {"loss": 0.75 * (1 + 2 * 0.5) + 0.25 * 3, "reconstruction": 1, "kl": 0.5, "hole filling": 3}
    )


def test_each_head_is_taught():
    truth = torch.zeros(1, 4, 4, dtype=torch.long)
    truth[:, :2] = 1
    right = torch.full((1, 2, 4, 4), 50.0)
    right[:, 1] = truth * 100.0
    good, bad = dice_and_cross_entropy([right, right.flip(1)], truth)
    assert float(good) == pytest.approx(0, abs=1e-3)
    assert float(bad) > 10


def test_class_weights_make_classes_of_one_size():
    weight = class_weights(np.array([0, 0, 0, 1]), 3)
    assert weight.tolist() == pytest.approx([4 / 9, 4 / 3, 4 / 3])


def test_entropy_is_greatest_where_nothing_is_known():
    prob = torch.tensor([[0.5, 1.0], [0.5, 0.0]])[None, :, :, None]
    found = pixel_entropy(prob)[0, :, 0]
    assert found.tolist() == pytest.approx([np.log(2), 0], abs=1e-6)


def test_views_that_agree_are_predicted_better_than_views_that_do_not():
    prototypes = torch.eye(4)
    z = torch.eye(4).repeat(2, 1)
    loss, codes = swapped_prediction(
        z, z @ prototypes.T, 4, prototypes, MemoryBank(0, 4), 0.05, 0.1
    )
    other = torch.cat([z[:4], z[4:].roll(1, 0)])
    worse, _ = swapped_prediction(
        other, other @ prototypes.T, 4, prototypes, MemoryBank(0, 4), 0.05, 0.1
    )
    assert torch.equal(codes.argmax(1), torch.arange(4))
    assert float(loss) < 0.1 < float(worse)
