"""OSUDA: mixing at both ends, the channels' weights, what it gains on a made-up scanner, the guard
against collapse, and that no source row is read.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.artifacts import Model
from core.data.dataset import Dataset
from core.errors import UserError
from core.nets.augment import same_crop
from core.nets.norms import MixedNorm, mixed, plain, tied, transferability
from core.registry import methods, open_model
from core.training.compatibility import why_not_on
from tests.methods._fit import fit, on_digits, sample
from tests.soak import longer

FITS = {}
EPOCHS = longer({"epochs": 2}, {})
EVERY = longer(3, 1)  # pictures of a site are enough where no figure is asked for


def site(name):
    data = sample("lesions")
    return data.take(np.flatnonzero(data.domains == name)[::EVERY])


def base():
    if "base" not in FITS:
        FITS["base"] = fit("unet_plus_plus", site("A"), epochs=longer(1, 25), width=4, crop=0)[1]
    return FITS["base"]


def moved(**params):
    key = tuple(sorted(params.items()))
    if key not in FITS:
        FITS[key] = fit("osuda", site("B"), on=base(), **EPOCHS, **params)
    return FITS[key]


def values(made, name):
    return {m.group: m.value for m in made["metrics"] if m.name == name}


def opened():
    model = open_model(next(a for a in base().values() if isinstance(a, Model)))
    return model, mixed(model.net_)


def test_with_all_of_the_source_it_is_the_source_model_bit_for_bit():
    plain_one = open_model(next(a for a in base().values() if isinstance(a, Model)))
    model, norms = opened()
    x = torch.from_numpy(site("B").inputs(np.arange(6)))
    with torch.no_grad():
        assert all(n.share == 1.0 for n in norms)
        assert torch.equal(model.predict(x), plain_one.predict(x))


def test_with_none_of_it_it_is_the_batch_s_own_statistics():
    x = 3 * torch.randn(16, 5, 8, 8) + 2
    norm = torch.nn.BatchNorm2d(5)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    mix = MixedNorm(norm)
    mix.share = 0.0
    torch.testing.assert_close(mix(x), norm.train()(x), atol=1e-5, rtol=1e-5)
    mix.share = 0.5
    mean = 0.5 * x.mean((0, 2, 3))  # the source's is 0
    var = 0.5 + 0.5 * x.var((0, 2, 3), unbiased=False)
    wanted = (x - mean[:, None, None]) / (var + norm.eps).sqrt()[:, None, None] * norm.weight[
        :, None, None
    ] + norm.bias[:, None, None]
    torch.testing.assert_close(mix(x), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.soak(only=True)
def test_channels_weights_average_one_and_fall_with_the_shift():
    model, norms = opened()
    for n in norms:
        n.share = 0.0
    with torch.no_grad():
        model.predict(torch.from_numpy(site("B").inputs(np.arange(32))))
        alpha = transferability(norms)
    assert torch.cat(alpha).mean().item() == pytest.approx(1, abs=1e-5)
    d, a = torch.cat([n.shift for n in norms]), torch.cat(alpha)
    order = d.argsort()
    assert (a[order].diff() <= 1e-6).all()
    assert float(d.max()) > 0.5


def test_the_tie_is_zero_at_the_source_and_by_hand_elsewhere():
    norm = torch.nn.BatchNorm2d(2)
    mix = MixedNorm(norm)
    assert tied([mix]).item() == 0
    with torch.no_grad():
        mix.weight += torch.tensor([0.5, 0.0])
        mix.bias += torch.tensor([0.0, -1.0])
    # alpha = 1 for both: nothing was seen of the target
    assert tied([mix]).item() == pytest.approx(2 * 0.5 + 2 * 1.0)


def test_put_back_it_is_an_ordinary_network_with_the_same_answers():
    model, norms = opened()
    x = torch.from_numpy(site("B").inputs(np.arange(6)))
    with torch.no_grad():
        before = model.predict(x)
        plain(model.net_, iter([(n.source_mean, n.source_var) for n in norms]))
        assert not any(isinstance(m, MixedNorm) for m in model.net_.modules())
        assert torch.equal(model.predict(x), before)


@pytest.mark.soak(only=True)
def test_it_gains_on_the_new_scanner_and_loses_nothing_against_replaced_statistics():
    dice = values(moved()[1], "Dice")
    assert dice["moved"] >= dice["untouched"] + 0.10
    assert dice["moved"] >= dice["statistics replaced only"] - 0.02


@pytest.mark.soak(only=True)
def test_entropy_alone_collapses_and_the_whole_loss_does_not():
    truth = site("B").mask().mean()
    hard = {"entropy": 10.0, "learning_rate": 0.05, "epochs": 60}
    free = values(moved(tie=0.0, fading=False, **hard)[1], "share of the picture outlined")["moved"]
    assert free < 0.5 * truth or free > 1.5 * truth
    held = values(moved(**hard)[1], "share of the picture outlined")["moved"]
    assert 0.5 * truth < held < 1.5 * truth
    assert 0.5 * truth < values(moved()[1], "share of the picture outlined")["moved"] < 1.5 * truth


def test_only_scales_shifts_and_statistics_have_changed():
    before, after = opened()[0].net_.state_dict(), moved()[0].opened("inner_").net_.state_dict()
    for key, value in after.items():
        if key in before and value.ndim == 4:
            assert torch.equal(value, before[key]), key
    was = open_model(next(a for a in base().values() if isinstance(a, Model))).net_.state_dict()
    assert after.keys() == was.keys()
    assert any(not torch.equal(after[k], was[k]) for k in after if k.endswith("running_mean"))


def test_neither_source_rows_nor_masks_are_read(monkeypatch):
    moved(), base()  # learned before anybody looks at what is read
    whole = sample("lesions")
    target = site("B").rows
    spoilt = replace(
        whole,
        samples=np.where((whole.domains == "A")[:, None, None, None], 255, whole.samples).astype(
            np.uint8
        ),
        masks=None,
    )
    seen = []
    read = Dataset.raw
    monkeypatch.setattr(
        Dataset,
        "raw",
        lambda self, positions=None: (
            seen.extend(self.rows if positions is None else self.rows[positions])
            or read(self, positions)
        ),
    )
    _, made = fit("osuda", spoilt.take(target), on=base(), **EPOCHS)
    np.testing.assert_array_equal(made["predictions"].prob, moved()[1]["predictions"].prob)
    assert set(seen) <= set(target)
    assert "Dice" not in {m.name for m in made["metrics"]}


@pytest.mark.soak(only=True)
def test_the_same_scanner_stays_as_it_was():
    _, made = fit("osuda", site("A"), on=base())
    dice = values(made, "Dice")
    assert abs(dice["moved"] - dice["untouched"]) < 0.05
    assert np.nanmean(made["grid-shift"].value) < 0.5 * np.nanmean(moved()[1]["grid-shift"].value)


def test_the_moved_model_is_a_model_like_any_other():
    _, made = moved()
    model = next(a for a in made.values() if isinstance(a, Model))
    x = torch.from_numpy(site("B").inputs(np.arange(4)))
    with torch.no_grad():
        np.testing.assert_allclose(
            open_model(model).predict(x).numpy(), made["predictions"].prob[:4], atol=1e-5
        )
    _, again = fit("osuda", site("A"), on=made, epochs=2)
    assert "predictions-before" in again


def test_models_that_cannot_be_moved_are_declined():
    kind, data = methods()["osuda"], site("B")
    assert "no segmentation" in why_not_on(
        kind, on_digits("pca", dimensions=4)[1], sample("digits")
    )
    assert "whole pictures" in why_not_on(
        kind, on_digits("classifier", epochs=1)[1], sample("digits")
    )
    assert "channels" in why_not_on(kind, base(), sample("nuclei"))
    texts = Model(rows=np.arange(3), method="any", params={}, abilities=["embed"], input_shape=[])
    assert "no channels" in why_not_on(kind, {"model": texts}, data)
    assert why_not_on(kind, base(), data) is None
    with pytest.raises(UserError, match="at least 8"):
        fit("osuda", data.part("train").take(np.arange(4)), on=base())


def test_a_crop_is_the_same_square_of_every_picture_and_never_more_than_there_is():
    x = torch.arange(2 * 3 * 20 * 30, dtype=torch.float32).reshape(2, 3, 20, 30)
    assert same_crop(x, 0) is x
    assert same_crop(x, 64).shape == x.shape
    part = same_crop(x, 16)
    assert part.shape == (2, 3, 16, 16)
    top, left = divmod(int(part[0, 0, 0, 0]), 30)
    assert torch.equal(part, x[:, :, top : top + 16, left : left + 16])
