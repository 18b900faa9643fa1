"""The denoising network with tokens, its steps from noise to picture, and the losses of SeaS, by
values worked out by hand.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from core.nets import diffusion as d
from core.nets.losses import separation as s


def test_prompts_hold_the_tokens_of_their_kind_alone():
    assert d.count_tokens(2) == 12
    assert d.normal_prompt(2).tolist() == [1] * 4 + [0] * 8
    assert d.defect_prompt(2, 1).tolist() == [1] * 4 + [0] * 4 + [1] * 4


def test_noise_grows_from_next_to_none_to_next_to_all():
    kept = d.shares_kept()
    assert len(kept) == d.STEPS
    assert (kept.diff() < 0).all()
    assert kept[0] > 0.999
    assert 0 < kept[-1] < 1e-3
    assert d.noise_levels(10, 5) == [10, 8, 5, 2, 0]
    assert d.noise_levels(1, 20) == [1, 0]


def test_steps_that_know_the_noise_lead_back_to_the_picture():
    x, noise = torch.rand(3, 1, 8, 8) * 2 - 1, torch.randn(3, 1, 8, 8)
    kept = d.shares_kept()
    noisy = d.add_noise(x, noise, kept[[150, 150, 150]])
    levels = d.noise_levels(150, 6)
    for now, then in pairwise(levels):
        noisy, clean = d.step_down(noisy, noise, float(kept[now]), float(kept[then]))
        assert torch.allclose(clean, x, atol=1e-4)
    assert torch.allclose(d.remove_noise(noisy, noise, kept[[0, 0, 0]]), x, atol=1e-4)


def test_attention_sums_to_one_over_the_tokens_of_the_prompt():
    torch.manual_seed(0)
    net, x, t = d.TokenUNet(2, 6, 2), torch.randn(2, 2, 16, 16), torch.tensor([3, 90])
    seen = net(x, t, torch.stack([d.normal_prompt(2), d.defect_prompt(2, 0)]))
    assert seen.noise.shape == x.shape
    assert {side: tuple(m.shape) for side, m in seen.maps.items()} == {
        8: (2, 12, 8, 8),
        4: (2, 12, 4, 4),
    }
    for maps in seen.maps.values():
        assert torch.allclose(maps.sum(1), torch.ones(2, *maps.shape[2:]), atol=1e-5)
        assert maps[0, 4:].max() < 1e-6
        assert maps[1, 8:].max() < 1e-6
        assert maps[1, 4:8].min() > 0
    coarse, fine = d.MaskHead(2, 6)(seen.features, x)
    assert (coarse.shape, fine.shape) == ((2, 1, 8, 8), (2, 1, 16, 16))


def test_a_mask_shrinks_to_every_place_it_touches():
    mask = torch.zeros(1, 8, 8)
    mask[0, 0, 3] = mask[0, 7, 7] = 1
    small = torch.zeros(1, 4, 4)
    small[0, 0, 1] = small[0, 3, 3] = 1
    assert torch.equal(s.shrink_mask(mask, 4), small)


def test_maps_are_scaled_over_the_whole_batch_not_one_by_one():
    maps = torch.tensor([[[1.0, 2.0]], [[3.0, 5.0]]])
    assert torch.equal(s.scale_over_batch(maps), torch.tensor([[[0.0, 0.25]], [[0.5, 1.0]]]))
    assert torch.equal(s.scale_over_batch(torch.ones(2, 1, 2)), torch.zeros(2, 1, 2))


def test_separation_is_that_of_the_paper_by_hand():
    mask = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    anomaly = torch.tensor([[[0.0, 4.0], [2.0, 0.0]]])  # scaled: 0, 1, 1/2, 0
    normal = torch.tensor([[[3.0, 1.0], [5.0, 1.0]]])  # scaled where the mask is: 1/2
    found = s.separation(anomaly, normal, mask)
    assert found.item() == pytest.approx((1 + 1 + 0.25 + 0) / 4 + 0.25)
    assert s.separation(mask, 1 - mask, mask).item() == 0
    assert s.separation(anomaly, normal, torch.zeros_like(mask)).item() == pytest.approx(1.25 / 4)


def test_focal_loss_heeds_what_is_surely_right_less_than_entropy_does():
    logits, mask = torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 1.0])
    by_hand = (0.25 * math.log(2) + (1 / 16) * math.log(4 / 3)) / 2
    assert s.focal(logits, mask).item() == pytest.approx(by_hand)
    entropy = F.binary_cross_entropy_with_logits(logits, mask)
    assert s.focal(logits, mask, 0.0).item() == pytest.approx(entropy.item())
