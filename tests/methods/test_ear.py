"""EAR: what is hidden, what is shown in its place, and one pass that gives the same twice."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.dataset import Dataset
from core.errors import UserError
from core.methods.anomaly._inpainting import heat_of
from core.methods.anomaly._pasted import pasted
from core.methods.anomaly.ear import EAR
from core.nets.inpainting import Inpainter, excise, grid_mask, mosaic
from core.nets.losses.recovery import edge_differences, edge_map, recovery
from core.nets.saliency import attention_received, class_attention, spectral_residual
from core.nets.vit import TinyViT
from core.registry import open_model
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


def test_edges_are_compared_at_four_sizes_and_blurred_over_a_twelfth_of_the_side():
    x, back = torch.rand(2, 2, 1, 48, 48)
    each = edge_differences(x, back)
    assert [d.shape[-1] for d in each] == [48, 24, 12, 6]
    halved = edge_differences(*(torch.nn.functional.avg_pool2d(v, 2) for v in (x, back)))
    assert all(torch.equal(a, b) for a, b in zip(each[1:], halved))
    whole = [torch.nn.functional.interpolate(d, (48, 48), mode="bilinear") for d in each]
    sharp = edge_map(x, back)
    assert torch.allclose(sharp, torch.stack(whole).mean(0), atol=1e-6)
    heat = heat_of(x, back)
    assert torch.allclose(heat[:, 20, 30], sharp[:, 0, 18:23, 28:33].mean((1, 2)), atol=1e-6)
    assert torch.allclose(heat[:, 0, 0], sharp[:, 0, :3, :3].mean((1, 2)), atol=1e-6)


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


def test_it_learns_from_pictures_with_parts_hidden(monkeypatch):
    given, make = [], EAR.make_net

    def watched(self):
        net = make(self)
        net.register_forward_pre_hook(
            lambda net, x: given.append(x[0].clone()) if net.training else None
        )
        return net

    monkeypatch.setattr(EAR, "make_net", watched)
    data = dataset()
    method, _ = fit("ear", data, epochs=1, side=32, width=2, batch_size=8)
    assert len(given) == 3
    x = torch.from_numpy(data.part("train").inputs())
    mask = method.mask(x)
    for size, some in zip((2, 4, 8), given):
        hidden = method.excised(x, mask, size)
        own = torch.cdist(some.flatten(1), hidden.flatten(1)).argmin(1)
        assert len(set(own.tolist())) == 8
        assert torch.equal(some, hidden[own])
        assert not torch.allclose(some, x[own], atol=0.05)


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


def test_attention_stands_in_for_the_spectrum_and_the_run_says_which_was_used():
    data, method, given = trained(saliency="attention")
    assert "images-saliency-attention" in given
    x = torch.from_numpy(data.inputs())
    with torch.no_grad():
        salient = method.saliency(x)
        assert salient.shape == (40, 1, 32, 32)
        assert salient.mean((1, 2, 3)).numpy() == pytest.approx(1, abs=0.05)
        assert not torch.allclose(salient, spectral_residual(x))
        again = open_model(given["model"], "cpu")
        assert torch.allclose(again.score(x), method.score(x), atol=1e-6)
    hidden = {m.split: m.value for m in given["metrics"] if m.name == "share hidden"}
    assert hidden["train"] == pytest.approx(0.25, abs=0.02)
    assert method.passes(10) == 2 * trained()[1].passes(10)


def test_attention_received_is_that_of_torch():
    torch.manual_seed(0)
    vit, x = TinyViT(1, 16, 2, patch=4), torch.rand(2, 1, 16, 16)
    place = vit.place(16)
    with torch.no_grad():
        tokens = vit.blocks[-1].norm1(vit.blocks[0](vit.tokens(2 * x - 1), place)) + place
        q, k = vit.blocks[-1].attention.query_key(tokens).split(16, 2)
        weight = torch.softmax(q @ k.transpose(1, 2) / 4, -1)  # one head of 16
        found = attention_received(vit, x)
    assert vit.heads == 1
    even = 16 * weight.mean(1).view(2, 4, 4)
    assert torch.allclose(found[:, 0, 1::4, 1::4].mean((1, 2)), even.mean((1, 2)), atol=0.05)
    small = torch.nn.functional.interpolate(even[:, None], (16, 16), mode="bilinear")
    assert torch.allclose(found, small, atol=1e-5)


def test_steps_as_trained_are_those_of_the_run_and_settings_change_what_is_hidden():
    data, method, given = trained()
    x = torch.from_numpy(data.inputs()[:1])
    settings = {c.name: c for c in method.controls()}
    own = {name: c.value for name, c in settings.items()}
    assert own == {"area": 0.25, "mosaic": method.size_}
    assert all(c.value in dict(c.choices) for c in settings.values())
    with torch.no_grad():
        steps = {s.title: s for s in method.stages(x, **own)}
        drawn = [s.drawn for s in steps.values()]
        assert drawn == ["grey", "places", "input", "generated", "heat"]
        heat = steps["Where the edges differ"].image
        assert np.allclose(heat, given["anomalymaps"].map[0], atol=1e-6)
        assert np.array_equal(
            steps["What the network gets"].image, given["images-excised"].image[0]
        )
        shares = [method.mask(torch.from_numpy(data.inputs()), a).mean() for a in (0.1, 0.25, 0.6)]
        assert shares == sorted(shares)
        assert shares[0] == pytest.approx(0.1, abs=0.03)
        as_is = method.stages(x, area=0.6, mosaic=1.0)
        assert np.array_equal(as_is[2].image, x[0].numpy().clip(0, 1))
        black = method.stages(x, area=0.6, mosaic=0.0)
        assert not black[2].image[0][black[1].image == 1].any()
    assert [c.name for c in trained(mask="grid")[1].controls()] == ["mosaic"]


def test_attention_of_dinov2_is_that_of_its_class_token(tmp_path):
    pytest.importorskip("transformers")
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    torch.manual_seed(0)
    tiny = Dinov2WithRegistersConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        num_register_tokens=4,
    )
    net = Dinov2WithRegistersModel(tiny)
    net.save_pretrained(tmp_path)
    _, method, given = trained(saliency="dinov2", encoder_folder=str(tmp_path))
    assert "images-saliency-dinov2" in given
    x = torch.rand(1, 3, 28, 28)
    with torch.no_grad():
        net.eval().set_attn_implementation("eager")
        seen = net((x - method.vit_.mean) / method.vit_.spread, output_attentions=True)
        weight = seen.attentions[-1][0, :, 0, 5:].mean(0)
        found = class_attention(method.vit_, x)[0, 0]
    assert found.shape == (28, 28)
    corner = 4 * weight[0] / weight.sum()
    assert found[:7, :7].numpy() == pytest.approx(corner.item(), rel=1e-3)
    assert method.passes(10) == trained()[1].passes(10)
