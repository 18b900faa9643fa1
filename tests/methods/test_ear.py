"""EAR: what is hidden, what is shown in its place, and one pass that gives the same twice."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.dataset import Dataset
from core.errors import UserError
from core.methods.anomaly._pasted import pasted
from core.nets.inpainting import Inpainter, excise, grid_mask, mosaic
from core.nets.losses.recovery import edge_differences, edge_map, recovery
from core.nets.saliency import spectral_residual
from tests.methods._fit import fit


def stripes(n=40, side=32, seed=0):
    """Pictures of slanted waves of two brightnesses."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    waves = np.stack([np.sin((x + 0.5 * y) / 3 + rng.uniform(0, 6)) for _ in range(n)])
    return (0.5 + 0.2 * waves + rng.normal(0, 0.02, waves.shape))[:, None].astype("f4")


def dataset(n=40):
    split = np.array(["train"] * (n - 16) + ["val"] * 8 + ["test"] * 8)
    table = pd.DataFrame({"split": split})
    return Dataset("waves", "image", table, stripes(n), roles={"split": "split"})


@cache
def trained(**params):
    data = dataset()
    return data, *fit("ear", data, epochs=1, side=32, width=2, batch_size=8, **params)


def test_a_mosaic_keeps_the_mean_of_each_block_and_nothing_else():
    x = torch.rand(2, 3, 32, 32)
    blocks = mosaic(x, 4)
    assert torch.equal(mosaic(x, 1), x)
    assert torch.allclose(blocks[0, 1, 4:8, 8:12], x[0, 1, 4:8, 8:12].mean().expand(4, 4))
    mask = grid_mask(32, 2, 2)
    assert mask.mean() == 0.25
    held = excise(x, mask, blocks)
    assert torch.equal(held[:, :, mask[0, 0] == 0], x[:, :, mask[0, 0] == 0])
    assert torch.equal(held[:, :, mask[0, 0] == 1], blocks[:, :, mask[0, 0] == 1])


def test_the_levels_of_the_network_are_those_of_its_forward_pass():
    net, x = Inpainter(2, 4).eval(), torch.rand(1, 2, 32, 32)
    levels = net.encode(x)
    assert [tuple(v.shape[1:]) for v in levels] == [
        (4 * 2**i, 32 // 2**i, 32 // 2**i) for i in range(5)
    ]
    from core.nets.monai_parts import BasicUNet

    with torch.no_grad():
        assert torch.equal(net(x), BasicUNet.forward(net, x))


def test_saliency_finds_the_odd_place_and_heeds_neither_brightness_nor_contrast():
    x = torch.from_numpy(stripes(4))
    x[:, :, 8:13, 20:25] = 0.9
    salient = spectral_residual(x)
    assert torch.allclose(spectral_residual(0.3 * x), salient, rtol=1e-2)
    inside = salient[:, 0, 8:13, 20:25].mean((1, 2))
    assert (inside > 3 * salient.mean((1, 2, 3))).all()
    assert spectral_residual(torch.full((1, 1, 32, 32), 0.4)).max() == 0
    assert spectral_residual(torch.rand(1, 1, 128, 128)).shape == (1, 1, 128, 128)


def test_edges_alike_have_no_difference_and_lost_ones_have_much():
    x = torch.from_numpy(stripes(2))
    assert max(float(d.abs().max()) for d in edge_differences(x, x)) < 1e-6
    flat = x.clone()
    flat[:, :, 8:24, 8:24] = 0.5
    heat = edge_map(x, flat)[:, 0]
    assert 0 <= heat.min() <= heat.max() <= 1
    assert heat[:, 10:22, 10:22].mean() > 5 * heat[:, :4].mean()
    losses = recovery(x, flat, 0.01)
    assert losses["loss"].item() == pytest.approx(
        (losses["squared error"] + 0.01 * (losses["structure"] + losses["edges"])).item()
    )
    assert losses["squared error"].item() == pytest.approx((x - flat).square().mean().item())


def test_pasted_parts_change_their_place_alone_and_keep_its_mean():
    x = stripes(12)
    changed, where = pasted(x, x, np.random.default_rng(0), radius=(0.15, 0.2))
    assert (np.abs(changed - x)[:, 0] > 0).any((1, 2)).all()
    assert 0.04 < where.mean() < 0.15
    far = np.abs(changed - x).sum(1) * ~where
    assert far[where.sum((1, 2)) > 0].max() < np.ptp(x)
    for before, after, place in zip(x[:, 0], changed[:, 0], where):
        assert after[place].mean() == pytest.approx(before[place].mean(), abs=0.05)
    again, _ = pasted(x, x, np.random.default_rng(0), radius=(0.15, 0.2))
    assert np.array_equal(changed, again)


def test_the_wanted_share_of_training_pictures_is_hidden_and_the_rest_is_shown():
    data, method, given = trained()
    hidden = {m.split: m.value for m in given["metrics"] if m.name == "share hidden"}
    assert hidden["train"] == pytest.approx(0.25, abs=0.01)
    x = torch.from_numpy(data.inputs())
    mask = method.mask(x)
    shown = given["images-excised"].image
    assert np.array_equal(shown[mask.numpy() == 0], data.inputs()[mask.numpy() == 0])
    assert np.array_equal(shown, method.excised(x, mask, method.size_).numpy())


def test_one_pass_gives_the_same_twice_bit_for_bit():
    data, method, given = trained()
    passes = []
    handle = method.net_.conv_0.register_forward_hook(lambda *_: passes.append(1))
    x = torch.from_numpy(data.inputs())
    with torch.no_grad():
        first, second = method.score(x), method.score(x)
    handle.remove()
    assert len(passes) == 2
    assert torch.equal(first, second)
    assert np.allclose(first.numpy(), given["anomalymaps"].score, atol=1e-6)


def test_the_mosaic_is_the_size_that_tells_pasted_parts_best():
    _, method, given = trained()
    gains = {m.group: m.value for m in given["metrics"] if m.group.startswith("mosaic")}
    assert max(gains, key=gains.get) == f"mosaic = {method.size_}"
    assert list(gains) == ["mosaic = 2", "mosaic = 4", "mosaic = 8"]
    assert trained(mosaic=4)[1].size_ == 4
    assert trained(hint="zeros")[1].size_ == 0


def test_a_grid_hides_the_same_of_every_picture():
    data, method, _ = trained(mask="grid")
    mask = method.mask(torch.from_numpy(data.inputs()))
    assert (mask == mask[:1]).all()
    assert mask.mean() == 0.25


def test_too_few_normal_pictures_are_said_so():
    data = dataset()
    masks = np.zeros((len(data), 32, 32), np.uint8)
    masks[:20, 3:6] = 1
    few = Dataset("waves", "image", data.table, data.samples, masks, roles={"split": "split"})
    with pytest.raises(UserError, match="training part has 4, at least 8"):
        fit("ear", few, epochs=1, side=32, width=2, batch_size=8)
