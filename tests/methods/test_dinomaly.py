"""Dinomaly: its attention, its loose loss, the frozen encoder, and DINOv2 from a folder."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.dataset import Dataset
from core.errors import UserError
from core.nets.dino import Dino, taps_of
from core.nets.dinomaly import Bottleneck, Dinomaly, LinearAttention, blur, distance_maps
from core.nets.losses.loose import loose
from core.nets.stable_adamw import StableAdamW
from core.nets.vit import TinyViT, waves
from core.registry import open_model
from tests.methods._fit import fit


def dataset(n=40, side=32, channels=1):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    waves = np.stack([np.sin((x + 0.5 * y) / 3 + rng.uniform(0, 6)) for _ in range(n)])
    pictures = (0.5 + 0.2 * waves + rng.normal(0, 0.02, waves.shape))[:, None].astype("f4")
    split = np.array(["train"] * (n - 16) + ["val"] * 8 + ["test"] * 8)
    table = pd.DataFrame({"split": split})
    pictures = pictures.repeat(channels, 1)
    return Dataset("waves", "image", table, pictures, roles={"split": "split"})


SMALL = {"epochs": 2, "side": 32, "batch_size": 8, "width": 16, "patch": 8}


@cache
def trained(**params):
    return dataset(), *fit("dinomaly", dataset(), **{**SMALL, **params})


def net(dropout=0.0):
    torch.manual_seed(0)
    return Dinomaly(TinyViT(1, 16, patch=8), dropout).eval()


def test_linear_attention_is_its_explicit_form():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 9, 8)
    a, b = torch.nn.functional.elu(q) + 1, torch.nn.functional.elu(k) + 1
    weight = a @ b.transpose(-1, -2)
    explicit = (weight / weight.sum(-1, keepdim=True)) @ v
    assert torch.allclose(LinearAttention(32, 4).attend(q, k, v), explicit, atol=1e-5)


def test_easy_places_pass_on_a_tenth_of_the_gradient_and_the_loss_stays():
    torch.manual_seed(0)
    seen = torch.randn(4, 8, 5, 5)
    found = []
    for easy in (0.0, 0.9):
        made = seen + 0.5 * torch.randn(4, 8, 5, 5, generator=torch.Generator().manual_seed(1))
        made.requires_grad_()
        value = loose([(seen, made)], easy)
        value.backward()
        found.append((value.item(), made.grad))
    (plain, g), (hard, h) = found
    assert plain == hard
    ratio = (h / g).mean(1).flatten()
    assert ((ratio - 0.1).abs() < 1e-4).sum() == 90
    assert ((ratio - 1).abs() < 1e-4).sum() == 10
    apart = 1 - torch.nn.functional.cosine_similarity(seen, made.detach(), dim=1).flatten()
    assert apart[ratio < 0.5].max() <= apart[ratio > 0.5].min()


def test_a_map_is_one_vector_to_the_loss():
    seen = torch.tensor([[[[3.0, 0.0]], [[0.0, 1.0]]], [[[1.0, 1.0]], [[0.0, 0.0]]]])
    made = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]], [[[1.0, 0.0]], [[0.0, 1.0]]]])
    first = 4 / (10**0.5 * 2**0.5)  # place by place it would be 1
    second = 1 / 2
    both = 1 - (first + second) / 2
    assert float(loose([(seen, made)], 0.0)) == pytest.approx(both, abs=1e-6)
    assert float(loose([(seen, made), (seen, seen)], 0.0)) == pytest.approx(both / 2, abs=1e-6)


def test_attention_to_nothing_is_a_number():
    q = torch.full((1, 1, 3, 4), -200.0)  # elu(q) + 1 is 0
    found = LinearAttention(4, 1).attend(q, q, torch.randn(1, 1, 3, 4))
    assert torch.equal(found, torch.zeros(1, 1, 3, 4))


def test_the_bottleneck_drops_three_times_and_adds_nothing_of_what_it_is_given():
    torch.manual_seed(0)
    layers, x = Bottleneck(6, 0.5), torch.randn(1, 400, 6)
    for layer in (layers.first, layers.second):
        torch.nn.init.normal_(layer.weight)
    with torch.no_grad():
        plain = layers.second(torch.nn.functional.gelu(layers.first(x)))
        assert torch.equal(layers.eval()(x), plain)
        widths = []
        layers.drop.register_forward_hook(lambda _, given, __: widths.append(given[0].shape[-1]))
        found = layers.train()(x)
    assert widths == [6, 24, 6]
    assert (found == 0).float().mean() == pytest.approx(0.5, abs=0.05)


def test_what_learns_begins_small():
    model = net()
    parts = [m for p in (model.bottleneck, model.decoder) for m in p.modules()]
    layers = [m for m in parts if isinstance(m, torch.nn.Linear)]
    assert len(layers) > 2 * len(model.decoder)
    for layer in layers:
        assert layer.weight.abs().max() <= 0.03
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.2)
        assert not layer.bias.any()
    assert model.encoder.embed.weight.abs().max() > 0.03


def test_the_decoder_s_last_blocks_imitate_the_shallow_layers():
    seen = [torch.full((1, 4, 2), float(i)) for i in range(4)]
    made = [torch.full((1, 4, 2), float(10 * i)) for i in range(4)]
    model = net()
    (shallow, anew), (deep, anew_deep) = model.compare(seen, made, 2)
    assert (shallow.mean(), deep.mean()) == (0.5, 2.5)
    assert (anew.mean(), anew_deep.mean()) == (5, 25)
    blocks = []
    for i, block in enumerate(model.decoder):
        block.register_forward_hook(lambda _, __, out, i=i: blocks.append((i, out)))
    x = torch.rand(2, 1, 32, 32)
    remade = model.remake(model.encoder(x))
    assert [i for i, _ in blocks] == [0, 1, 2, 3]
    assert all(torch.equal(a, b) for a, (_, b) in zip(remade, blocks[::-1]))
    encoded = model.encoder(x)
    right = loose(model.compare(encoded, remade, 4), 0)
    assert right != loose(model.compare(encoded, remade[::-1], 4), 0)


def test_a_decoder_that_copies_finds_nothing_unusual():
    model, x = net(), torch.rand(2, 1, 32, 32)
    seen = model.see(x)
    assert distance_maps(model.compare(seen, seen, 4), 32).abs().max() < 1e-5
    far = distance_maps(model(x), 32)
    assert far.shape == (2, 2, 32, 32)
    assert 0 < far.mean() < 2


def test_the_blur_keeps_what_is_even_and_the_mean_inside():
    assert torch.allclose(blur(torch.full((1, 9, 9), 0.3)), torch.tensor(0.3))
    point = torch.zeros(1, 11, 11)
    point[0, 5, 5] = 1
    spread = blur(point)
    assert spread.sum() == pytest.approx(1, abs=1e-6)
    assert (spread > 0).sum() == 25


def test_stable_steps_are_shorter_where_gradients_jump():
    moved = []
    for jump in (1.0, 100.0):
        weight = torch.nn.Parameter(torch.zeros(4))
        optimiser = StableAdamW([weight], 0.01, weight_decay=0.0)
        for scale in (1.0, 1.0, jump):
            before = weight.detach().clone()
            weight.grad = torch.full((4,), scale)
            optimiser.step()
        moved.append(float((before - weight.detach()).abs().max()))
    assert moved[0] == pytest.approx(0.01, rel=1e-3)
    assert moved[1] < moved[0]  # AdamW would go further
    decayed = torch.nn.Parameter(torch.ones(2))
    decayed.grad = torch.zeros(2)
    StableAdamW([decayed], 0.1, weight_decay=0.5).step()
    assert decayed.detach().tolist() == pytest.approx([0.95, 0.95])


def test_steps_remember_the_largest_gradients():
    """As AdamW of torch with AMSGrad, where no gradient is larger than those before."""
    moved = []
    for kind, more in ((StableAdamW, {}), (torch.optim.AdamW, {"amsgrad": True})):
        weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        optimiser = kind([weight], 0.01, betas=(0.9, 0.5), eps=1e-10, weight_decay=0.1, **more)
        for scale in (1.0, 0.5, 0.1, 0.1, 0.1):
            weight.grad = scale * torch.tensor([1.0, -3.0])
            optimiser.step()
        moved.append(weight.detach())
    assert torch.allclose(*moved, atol=1e-6)


def test_tokens_know_their_place_and_hidden_patches_do_not_reach_the_network():
    places = waves(4, 16)
    assert places.shape == (16, 16)
    assert torch.cdist(places, places).fill_diagonal_(1).min() > 0.05
    vit, x = TinyViT(1, 16, patch=8), torch.rand(1, 1, 32, 32)
    shown = torch.ones(1, 16, dtype=torch.bool)
    shown[0, 5] = False
    other = x.clone()
    other[:, :, 8:16, 8:16] = torch.rand(8, 8)
    assert torch.equal(vit.tokens(x, shown), vit.tokens(other, shown))
    assert not torch.equal(vit.tokens(x), vit.tokens(other))


def test_the_encoder_learns_first_and_stays_bit_for_bit(monkeypatch):
    from core.methods.anomaly import dinomaly

    kept, rate = {}, dinomaly.Dinomaly._rate

    def look(self, step, total):
        for name, value in self.net_.encoder.state_dict().items():
            kept.setdefault(name, {})[step] = value.clone()
        return rate(self, step, total)

    monkeypatch.setattr(dinomaly.Dinomaly, "_rate", look)
    method, _ = fit("dinomaly", dataset(), **SMALL, pretraining=0.5)
    first = len(kept["embed.weight"]) // 2
    assert not torch.equal(kept["embed.weight"][0], kept["embed.weight"][first])
    for name, value in method.net_.encoder.state_dict().items():
        assert torch.equal(value.cpu(), kept[name][first]), name


def test_scores_are_those_of_the_maps_and_the_same_twice():
    data, method, given = trained()
    x = torch.from_numpy(data.inputs())
    with torch.no_grad():
        first, second = method.score(x), method.score(x)
    assert torch.equal(first, second)
    assert np.allclose(first.numpy(), given["anomalymaps"].score, atol=1e-6)
    heat = np.asarray(given["anomalymaps"].map)
    assert heat.shape == (len(data), 32, 32)
    top = np.sort(heat.reshape(len(heat), -1), 1)[:, -10:].mean(1)
    assert np.allclose(top, given["anomalymaps"].score, atol=1e-6)
    layers = [given[f"images-{name}-layers"] for name in ("shallow", "deep")]
    assert not np.array_equal(layers[0].image, layers[1].image)


def test_steps_go_from_the_encoder_to_ever_fewer_hard_places():
    _, method, _ = trained(pretraining=0.3)
    phases = [method._phase(step, 100) for step in range(100)]
    assert phases[:30] == [-1] * 30
    assert phases[30] == 0
    assert phases[-60:] == [9] * 60
    assert sorted(phases) == phases
    rates = [method._rate(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(1e-3)
    assert max(rates) == rates[36] == pytest.approx(2e-3)
    assert rates[-1] == pytest.approx(2e-4, rel=0.02)


@pytest.fixture(scope="module")
def dino_folders(tmp_path_factory):
    """Folders as DINOv2 is stored in, with and without registers, with few random weights."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 6, "num_attention_heads": 2, "patch_size": 14}
    found = {}
    for name, more in (
        ("Dinov2WithRegisters", {"num_register_tokens": 4, "image_size": 28}),
        ("Dinov2", {"image_size": 70}),
    ):
        config = getattr(transformers, f"{name}Config")(**size, **more)
        found[name] = folder = tmp_path_factory.mktemp(name)
        getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
    return found


@pytest.mark.parametrize(("kind", "extra"), [("Dinov2WithRegisters", 5), ("Dinov2", 1)])
def test_dinov2_is_opened_from_a_folder_as_it_is_stored(dino_folders, kind, extra):
    import transformers

    folder = dino_folders[kind]
    encoder = Dino.open(str(folder))
    assert (encoder.taps, encoder.extra, encoder.dim) == ((1, 2, 3, 4), extra, 16)
    # a picture of another size than learned from: places of tokens are interpolated
    x = torch.rand(2, 1, 44, 44)
    tokens = encoder(x)
    assert [tuple(t.shape) for t in tokens] == [(2, extra + 9, 16)] * 4
    whole = getattr(transformers, f"{kind}Model").from_pretrained(folder).eval()
    mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    resized = torch.nn.functional.interpolate(
        x.expand(-1, 3, -1, -1), (42, 42), mode="bilinear", antialias=True
    )
    given = (resized - mean[:, None, None]) / spread[:, None, None]
    with torch.no_grad():
        layers = whole(given, output_hidden_states=True).hidden_states
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(tokens, layers[2:6]))


def test_dinov2_from_a_folder_is_frozen_and_kept_with_the_model(dino_folders):
    assert taps_of(12) == (2, 3, 4, 5, 6, 7, 8, 9)
    assert taps_of(24) == (4, 6, 8, 10, 12, 14, 16, 18)
    folder = str(dino_folders["Dinov2WithRegisters"])
    encoder, data = Dino.open(folder), dataset()
    given = {**SMALL, "epochs": 1, "encoder": "dinov2", "encoder_folder": folder}
    method, found = fit("dinomaly", data, **given)
    for name, value in encoder.state_dict().items():
        assert torch.equal(method.net_.encoder.state_dict()[name].cpu(), value), name
    assert all(p.grad is None for p in method.net_.encoder.parameters())
    assert any(p.grad is not None for p in method.net_.parameters())
    again = open_model(found["model"])
    x = torch.from_numpy(data.inputs())
    with torch.no_grad():
        assert torch.equal(again.score(x), method.score(x))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "no folder is given"),
        ({"model_type": "bert"}, "holds a model of type “bert”; DINOv2 is of type"),
        ({"model_type": "dinov2", "auto_map": {}}, "asks to run code of its own"),
    ],
)
def test_a_folder_without_dinov2_is_one_sentence(tmp_path, made, said):
    pytest.importorskip("transformers")
    folder = ""
    if made is not None:
        (tmp_path / "config.json").write_text(json.dumps(made))
        (tmp_path / "model.safetensors").write_bytes(b"")
        folder = str(tmp_path)
    with pytest.raises(UserError, match=said):
        fit("dinomaly", dataset(), **SMALL, encoder="dinov2", encoder_folder=folder)


def test_too_few_normal_pictures_are_said_so():
    data = dataset()
    masks = np.zeros((len(data), 32, 32), np.uint8)
    masks[:20, 3:6] = 1
    few = Dataset("waves", "image", data.table, data.samples, masks, roles={"split": "split"})
    with pytest.raises(UserError, match="training part has 4, at least 8"):
        fit("dinomaly", few, **SMALL)
