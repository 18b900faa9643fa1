"""StRegA's parts on generated heads, where tissue and lesions are known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from core.artifacts import AnomalyMaps
from core.measures.pixel_anomaly import PixelAnomaly
from core.methods.anomaly._slices import healthy
from core.methods.anomaly.strega import StRegA
from core.nets import tissue
from core.nets.cevae import CEVAE, holes
from tests.methods._fit import fit, sample
from tests.soak import longer


@cache
def trained():
    data = sample("head-phantom")
    some = np.concatenate(
        [
            np.flatnonzero(data.splits == s)[:n]
            for s, n in (("train", longer(60, 300)), ("val", longer(20, 60)))
        ]
    )
    test = np.flatnonzero(data.splits == "test")
    some = np.sort(np.concatenate([some, test[:: longer(9, 3)]]))
    data = data.take(some)
    return data, fit("strega", data, epochs=longer(1, 12))


def test_holes_change_only_squares_and_leave_the_given_pictures_alone():
    torch.manual_seed(0)
    x = torch.rand(6, 1, 32, 32)
    before, holed = x.clone(), holes(x)
    assert torch.equal(x, before)
    for a, b in zip(before, holed):
        changed = (a != b)[0]
        assert 0 < changed.float().mean() < 0.75
        assert len(torch.unique(b[0][changed])) <= 2


def test_the_brain_mask_leaves_air_out_and_keeps_most_of_the_head():
    data = sample("head-phantom")
    image = data.inputs(np.array([0]))[0, 0]
    mask = tissue.brain_mask(image)
    assert mask.dtype == bool
    assert 0.15 < mask.mean() < 0.8
    assert not mask[:4].any()
    assert not mask[:, :4].any()


def test_a_brightness_slope_of_the_scanner_is_flattened():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:64, 0:64]
    mask = np.hypot(y - 32, x - 32) < 26
    true = np.where(mask, 0.6, 0.0)
    uneven = true * (1 + 0.4 * (x - 32) / 32) + rng.normal(0, 0.005, true.shape) * mask
    even = tissue.flattened(uneven, mask, 16)
    variation = [v[mask].std() / v[mask].mean() for v in (uneven, even)]
    assert variation[1] < 0.5 * variation[0]


def test_spots_smaller_than_asked_are_not_marked():
    heat = np.zeros((2, 32, 32), np.float32)
    heat[0, 4, 4] = heat[0, 10:16, 10:16] = 2
    heat[1, 4, 4:8] = 2  # touches no spot of the picture before
    maps = AnomalyMaps(
        rows=np.arange(2), score=heat.max((1, 2)), map=heat, pixel_threshold=1.0, smallest=9
    )
    kept = maps.marked(heat)
    assert kept.sum() == 36
    assert kept[0, 10:16, 10:16].all()
    volumes = maps.marked(heat[None])
    # slice by slice, also where they stand as a volume
    np.testing.assert_array_equal(volumes[0], kept)
    assert replace(maps, smallest=1).marked(heat).sum() == 41
    with pytest.raises(ValueError, match="no pixel threshold"):
        replace(maps, pixel_threshold=None).marked(heat)


@pytest.mark.soak(only=True)
def test_the_smallest_spot_reaches_the_maps_and_the_dice_counted_on_them():
    data, (method, given) = trained()
    found = given["anomalymaps"]
    assert found.smallest == method.params.smallest == 6
    assert method.smallest_spot((128, 128)) == 24
    opened, plain = (
        {m.name: m.value for m in PixelAnomaly().compute(data, one, rng=np.random.default_rng(0))}
        for one in (found, replace(found, smallest=1))
    )
    rule = "(threshold from validation)"
    wrong, dice = (
        f"unmarked cases with something drawn {rule}",
        f"Dice, mean of marked cases {rule}",
    )
    # what it is for: spots of noise on slices without a lesion
    assert opened[wrong] < 0.85 * plain[wrong]
    assert opened[dice] > plain[dice] - 0.02


def test_the_smallest_spot_is_that_of_the_parameter_on_the_maps_scale():
    _, (method, given) = trained()
    assert given["anomalymaps"].smallest == method.params.smallest == 6
    assert method.smallest_spot((128, 128)) == 24


@pytest.mark.soak(only=True)
def test_lesions_glow_after_training_and_better_than_from_an_untrained_copy():
    data, (method, given) = trained()
    test = data.splits == "test"
    truth = data.mask()[test].ravel()
    ours = average_precision_score(truth, given["anomalymaps"].map[test].ravel())
    blank = StRegA(method.params)
    blank.restore(method.state())
    torch.manual_seed(1)
    blank.net_ = CEVAE(int(method.params.side), method.params.latent).eval()
    from core.training.run import Run

    raw = next(a for a in blank.apply(data, Run(device="cpu")) if type(a).__name__ == "AnomalyMaps")
    assert ours > 3 * truth.mean()
    assert ours > average_precision_score(truth, raw.map[test].ravel())


@pytest.mark.soak(only=True)
def test_slices_with_lesions_score_higher_and_the_threshold_spares_healthy_ones():
    data, (_, given) = trained()
    found, test = given["anomalymaps"], data.splits == "test"
    ill = data.mask().reshape(len(data), -1).any(1)
    assert np.median(found.score[test & ill]) > np.median(found.score[test & ~ill])
    healthy = (data.splits == "val") & ~ill
    assert (found.score[healthy] > found.threshold).mean() == pytest.approx(0.05, abs=0.05)


def test_it_learns_from_healthy_slices_only():
    part = trained()[0].part("test")
    found = healthy(part)
    assert not found.mask().any()
    assert len(found) == (~part.mask().reshape(len(part), -1).any(1)).sum()
