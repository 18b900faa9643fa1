"""MemMC-MAE: what is hidden stays hidden, memory and levels do what they say, masks are kept."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.dataset import Dataset
from core.errors import UserError
from core.methods.anomaly.mem_mc_mae import complementary_masks
from core.nets.losses.local_similarity import dissimilarity
from core.nets.mem_mc_mae import LevelAttention, MemMCMAE, MemoryAttention
from core.nets.vit import Attention, Block
from core.registry import open_model
from tests.methods._fit import fit

SMALL = {
    "epochs": 2,
    "batch_size": 8,
    "width": 16,
    "patch": 8,
    "slots": 4,
    "depth": 2,
    "decoder": 1,
    "learning_rate": 3e-3,
}


def dataset(n=40, side=32):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    waves = np.stack([np.sin((x + 0.5 * y) / 3 + rng.uniform(0, 6)) for _ in range(n)])
    pictures = (0.5 + 0.2 * waves + rng.normal(0, 0.02, waves.shape))[:, None].astype("f4")
    split = np.array(["train"] * (n - 16) + ["val"] * 8 + ["test"] * 8)
    return Dataset(
        "waves", "image", pd.DataFrame({"split": split}), pictures, roles={"split": "split"}
    )


@cache
def trained(**params):
    return dataset(), *fit("mem_mc_mae", dataset(), **{**SMALL, **params})


def untrained():
    """A method whose network has made no step."""
    return trained(epochs=1, learning_rate=1e-12)[1]


def net(**how):
    torch.manual_seed(0)
    return MemMCMAE(1, 16, **{"depth": 3, "patch": 8, "slots": 5, **how}).eval()


def test_what_is_hidden_changes_nothing_and_what_is_shown_does():
    model, x = net(), torch.rand(2, 1, 32, 32)
    at = torch.tensor([0, 5, 10, 15])
    hidden, shown = x.clone(), x.clone()
    hidden[:, :, :8, 8:] = torch.rand(2, 1, 8, 24)  # places 1 to 3
    shown[:, :, 8:16, 8:16] = torch.rand(2, 1, 8, 8)  # place 5
    assert torch.equal(model(x, at), model(hidden, at))
    assert not torch.allclose(model(x, at), model(shown, at))
    assert model(x, at).shape == x.shape


def test_a_picture_is_redrawn_place_by_place():
    model = net(layers=0)
    at = torch.arange(16)
    back = model(torch.rand(1, 1, 32, 32), at)
    with torch.no_grad():
        model.redraw.weight.zero_()
        model.redraw.bias.copy_(torch.arange(64.0))
    tile = torch.arange(64.0).view(8, 8)
    assert torch.equal(model(torch.rand(1, 1, 32, 32), at)[0, 0, 8:16, 24:], tile)
    assert back.shape == (1, 1, 32, 32)


def test_places_of_each_picture_are_its_own():
    model, x = net(), torch.rand(2, 1, 32, 32)
    own = torch.tensor([[0, 5, 10, 15], [1, 2, 3, 4]])
    both = model(x, own)
    for i in range(2):
        assert torch.allclose(both[i], model(x[i : i + 1], own[i])[0], atol=1e-6)


def test_without_slots_a_layer_is_the_plain_one():
    torch.manual_seed(0)
    plain = Block(16, Attention(16, 2))
    torch.manual_seed(0)
    memory = Block(16, MemoryAttention(16, 2, 0))
    x = torch.randn(3, 7, 16)
    assert torch.equal(plain(x), memory(x))
    assert memory.attention.shares(x).shape == (3, 7, 0)


def test_memory_is_its_explicit_form():
    torch.manual_seed(0)
    layer, x = MemoryAttention(16, 2, 5), torch.randn(3, 7, 16)
    q, k = layer.query_key(x).split(16, 2)
    v = layer.value(x)
    found = []
    for head in (slice(0, 8), slice(8, 16)):
        keys = torch.cat([k[..., head], layer.memory_key[:, head].expand(3, -1, -1)], 1)
        values = torch.cat([v[..., head], layer.memory_value[:, head].expand(3, -1, -1)], 1)
        weight = (q[..., head] @ keys.transpose(1, 2) / 8**0.5).softmax(-1)
        found.append((weight @ values, weight[..., 7:]))
    explicit = layer.out(torch.cat([f[0] for f in found], 2))
    assert torch.allclose(layer(x), explicit, atol=1e-6)
    shares = torch.stack([f[1] for f in found]).mean(0)
    assert torch.allclose(layer.shares(x), shares, atol=1e-6)


def test_memory_gets_attention_and_what_a_random_one_costs_is_measured():
    data, method, given = trained(epochs=12)
    found = {m.name: m.value for m in given["metrics"]}
    x, at = torch.from_numpy(data.part("val").inputs()), torch.from_numpy(method.masks_[0])
    nets = method.net_, untrained().net_
    with torch.no_grad():
        layers, before = (n.memory_shares(x, at).sum(3).mean((0, 1)) for n in nets)
    share = found["share of attention that goes to the memory"]
    assert share == pytest.approx(layers.mean().item(), rel=1e-4)
    # spread evenly over 4 tokens and 4 slots it would be 0.5, as it nearly is before training
    assert (before - 0.5).abs().max() < 0.1
    assert layers.max() - layers.min() > 0.3
    with torch.no_grad():
        own = (method.net_(x, at) - x).square().mean()
        kept = method._swap_memory(0)
        other = (method.net_(x, at) - x).square().mean()
        method._put_memory(kept)
    assert other != own
    ratio = found["error of normal pictures with a random memory / with its own"]
    assert ratio == pytest.approx((other / own).item(), rel=1e-4)
    memory = given["images-memory"].image
    assert memory.min() >= 0
    assert memory.max() <= 1
    assert memory.std() > 0


def test_measuring_the_memory_leaves_it_as_it_was():
    _, method, _ = trained()
    before = {k: v.clone() for k, v in method.net_.state_dict().items()}
    kept = method._swap_memory(0)
    assert not torch.equal(
        method.net_.blocks[0].attention.memory_key, before["blocks.0.attention.memory_key"]
    )
    method._put_memory(kept)
    assert all(torch.equal(v, before[k]) for k, v in method.net_.state_dict().items())


def test_every_level_reaches_the_picture_through_a_gate_of_its_own():
    torch.manual_seed(0)
    layer = LevelAttention(16, 2, 3)
    y, levels = torch.randn(2, 9, 16), [torch.randn(2, 4, 16) for _ in range(3)]
    gathered = layer.gather(y, levels)
    for found, level in zip(gathered, levels):
        (alone,) = layer.gather(y, [level])
        assert torch.allclose(found, alone, atol=1e-6)
    gates = layer.opened(y, gathered)
    explicit = sum(
        torch.sigmoid(gate(torch.cat([y, c], 2))) * c for gate, c in zip(layer.gates, gathered)
    )
    assert torch.allclose(layer(y, levels), explicit / 3**0.5, atol=1e-6)
    assert not torch.allclose(gates[0], gates[1])
    model, at = net(), torch.tensor([0, 5, 10, 15])
    seen = model.encode(torch.rand(2, 1, 32, 32), at)
    assert len(seen) == 3
    whole = model.decode(seen, at, 32)
    for i in range(2):
        without = [torch.zeros_like(s) if i == j else s for j, s in enumerate(seen)]
        assert not torch.allclose(whole, model.decode(without, at, 32), atol=1e-4)
    last = net(last_only=True)
    assert len(last.encode(torch.rand(2, 1, 32, 32), at)) == 1


def test_gates_differ_between_levels_after_training():
    _, method, given = trained(epochs=12)
    gates = given["grid-gates"]
    assert gates.value.shape == (2, 1)
    assert ((gates.value > 0) & (gates.value < 1)).all()
    assert np.ptp(method.gates_) > 2 * np.ptp(untrained().gates_)
    assert np.ptp(method.gates_) > 0.03
    assert gates.y == ["encoder level 1, decoder layer 1", "encoder level 2, decoder layer 1"]


def test_masks_hide_each_patch_equally_often_and_are_kept_with_the_model():
    masks = complementary_masks(16, 4, 2, 0)
    assert masks.shape == (8, 4)
    assert np.bincount(masks.ravel(), minlength=16).tolist() == [2] * 16
    assert np.bincount(masks[:4].ravel(), minlength=16).tolist() == [1] * 16
    assert np.array_equal(masks, complementary_masks(16, 4, 2, 0))
    assert not np.array_equal(masks, complementary_masks(16, 4, 2, 1))
    data, method, given = trained()
    again = open_model(given["model"])
    assert np.array_equal(again.masks_, method.masks_)
    x = torch.from_numpy(data.inputs())
    with torch.no_grad():
        assert torch.equal(again.heat(x), method.heat(x))


def test_each_picture_of_each_step_is_learned_from_with_other_patches(monkeypatch):
    shown, whole = [], MemMCMAE.loss

    def look(self, x, at, hidden_only=False):
        shown.append(at)
        return whole(self, x, at, hidden_only)

    monkeypatch.setattr(MemMCMAE, "loss", look)
    fit("mem_mc_mae", dataset(), **{**SMALL, "epochs": 1})
    assert [at.shape for at in shown] == [(8, 4)] * 3
    drawn = torch.cat(shown).sort(1).values
    assert len(torch.unique(drawn, dim=0)) > 20  # of 24; of 1,820 there may be two alike
    assert set(drawn.flatten().tolist()) == set(range(16))


def test_only_shown_patches_are_seen_in_the_picture_of_the_first_mask():
    data, method, given = trained()
    shown = given["images-first-mask"].image
    same = (shown == data.inputs()).reshape(40, 4, 8, 4, 8).all((2, 4)).reshape(40, 16)
    grey = (shown == 0.5).reshape(40, 4, 8, 4, 8).all((2, 4)).reshape(40, 16)
    at = np.isin(np.arange(16), method.masks_[0])
    assert (same == at).all()
    assert (grey == ~at).all()


def test_scores_are_those_of_the_maps_and_the_same_twice():
    for more in ({}, {"score": "highest hundredth"}):
        data, method, given = trained(**more)
        x = torch.from_numpy(data.inputs())
        with torch.no_grad():
            first, second = method.score(x), method.score(x)
        assert torch.equal(first, second)
        assert np.allclose(first.numpy(), given["anomalymaps"].score, atol=1e-6)
        heat = np.sort(np.asarray(given["anomalymaps"].map).reshape(len(data), -1), 1)
        part = heat if not more else heat[:, -10:]
        assert np.allclose(part.mean(1), given["anomalymaps"].score, atol=1e-6)


def test_the_loss_is_of_all_patches_or_of_hidden_ones():
    model, x = net(), torch.rand(2, 1, 32, 32)
    at = torch.tensor([[0, 5, 10, 15], [1, 2, 3, 4]])
    wrong = (model(x, at) - x).square().reshape(2, 4, 8, 4, 8).mean((2, 4)).reshape(2, 16)
    assert model.loss(x, at).item() == pytest.approx(wrong.mean().item(), rel=1e-5)
    hidden = torch.ones(2, 16, dtype=torch.bool).scatter(1, at, False)
    assert model.loss(x, at, True).item() == pytest.approx(wrong[hidden].mean().item(), rel=1e-5)
    drawn = model.draw(x, 4)
    assert drawn.shape == (2, 4)
    assert len(set(drawn[0].tolist())) == 4


def test_unlike_places_are_found_and_alike_ones_have_no_difference():
    x = torch.rand(2, 3, 32, 32)
    assert dissimilarity(x, x).abs().max() < 1e-6
    back = x.clone()
    back[:, :, 8:16, 8:16] = 0.5
    heat = dissimilarity(x, back)
    assert 0 <= heat.min() <= heat.max() <= 1
    assert heat[:, 10:14, 10:14].min() > 0.2
    assert heat[:, 24:, 24:].max() < 1e-6


def test_without_a_memory_none_is_shown():
    _, _, given = trained(slots=0, levels="last")
    assert "images-memory" not in given
    assert len(given["metrics"].table) == 0
    assert given["grid-gates"].y == ["encoder level 2, decoder layer 1"]


def test_too_few_normal_pictures_are_said_so():
    data = dataset()
    masks = np.zeros((len(data), 32, 32), np.uint8)
    masks[:20, 3:6] = 1
    few = Dataset("waves", "image", data.table, data.samples, masks, roles={"split": "split"})
    with pytest.raises(UserError, match="training part has 4, at least 8"):
        fit("mem_mc_mae", few, **SMALL)
