"""Patches by what a frozen encoder says of them: the nearest are the nearest, of other patients,
and steps of the layers are the maps of the run.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from core.data.dataset import Dataset
from core.explain import feature_patches
from core.explain.feature_patches import PatchBank
from core.nets.dinomaly import distance_maps
from tests.methods._fit import fit

SMALL = {"epochs": 1, "side": 32, "batch_size": 8, "width": 16, "patch": 8}


@cache
def trained():
    """Noise of 40 pictures, two a patient, and a model of their 16 places each."""
    x = np.random.default_rng(0).random((40, 1, 32, 32), dtype=np.float32)
    split = np.array(["train"] * 24 + ["val"] * 8 + ["test"] * 8)
    table = pd.DataFrame({"split": split, "patient": [f"P{i // 2}" for i in range(40)]})
    data = Dataset("noise", "image", table, x, roles={"split": "split", "group": "patient"})
    method, given = fit("dinomaly", data, **SMALL)
    return data, method, given["anomalymaps"]


def test_what_is_said_of_places_has_the_distance_of_the_runs_maps():
    data, method, _ = trained()
    x = torch.from_numpy(data.inputs(np.array([0, 1])))
    z = feature_patches.describe_places(method, x)
    assert z.shape == (2, 16, 32)
    assert np.allclose(np.linalg.norm(z, axis=2), 1, atol=1e-5)
    with torch.no_grad():
        seen = method.net_.see(x)
        maps = [a for a, _ in method.net_.compare(seen, seen, 4)]
        wanted = distance_maps([(m[:1], m[1:]) for m in maps], 4).mean(1)[0].numpy()
    assert np.allclose(1 - (z[0] * z[1]).sum(1).reshape(4, 4), wanted, atol=1e-4)


def test_steps_of_the_layers_are_the_maps_of_the_run():
    data, method, maps = trained()
    row = int(maps.rows[5])
    with torch.no_grad():
        stages = feature_patches.layer_stages(
            method, torch.from_numpy(data.of(np.array([row])).inputs())
        )
    assert [s.title for s in stages] == ["Shallow layers", "Deep layers", "Both, blurred"]
    assert {s.drawn for s in stages} == {"heat"}
    assert np.allclose(stages[2].image, maps.map[5], atol=1e-5)
    assert not np.allclose(stages[0].image, stages[1].image)


def test_near_patches_are_those_of_a_whole_search_and_of_other_patients():
    data, method, _ = trained()
    told = []
    train = data.part("train")
    bank = feature_patches.make_bank(method, train, told.append)
    assert told[-1] == 1
    assert bank.side == 4
    assert bank.z.shape == (24, 16, 32)
    z = bank.z[6, 5].astype("f4")
    near = feature_patches.find_near_patches(bank, z, 6, "P3", train.groups)
    every = 1 - bank.z.astype("f4") @ z
    assert not set(near.rows) & {6, 7}, "neither itself nor the other picture of its patient"
    best = every.min(1)
    best[[6, 7]] = np.inf
    assert near.rows.tolist() == np.argsort(best)[:4].tolist()
    assert near.distance == pytest.approx(np.sort(best)[:4], abs=1e-5)
    assert near.place.tolist() == every[near.rows].argmin(1).tolist()
    without = feature_patches.find_near_patches(bank, z, 6)
    assert 6 not in without.rows
    assert not len(feature_patches.find_near_patches(bank, z, 6, "P", np.array(["P"] * 24)).rows)


def test_what_is_usual_looks_at_other_patients_only():
    z = np.zeros((4, 1, 2), np.float16)
    z[:, 0] = [[1, 0], [1, 0], [0, 1], [0, 1]]
    apart = feature_patches._usual(z, np.array([0, 0, 1, 1]))
    assert apart == pytest.approx(1), "the same patch of one's own patient does not count"
    assert feature_patches._usual(z, np.arange(4)) == pytest.approx(0)
    assert np.isnan(feature_patches._usual(z, np.zeros(4, int)))


def test_large_banks_are_thinned_evenly(monkeypatch):
    data, method, _ = trained()
    monkeypatch.setattr(feature_patches, "MANY", 5)
    bank = feature_patches.make_bank(method, data)
    assert bank.rows.tolist() == [0, 9, 19, 29, 39]
    monkeypatch.setattr(feature_patches, "MOST_BYTES", 2 * 16 * 32 * 3)
    assert len(feature_patches.make_bank(method, data).rows) == 3


def test_hot_places_do_not_touch_and_come_hottest_first():
    heat = np.zeros((20, 30))
    heat[10:15, 0:7] = 3.0
    heat[16, 8] = 100.0  # one pixel of 5 x 7
    heat[0:5, 23:30] = 2.0
    places = feature_patches.hottest_places(heat, 4, 3)
    assert places[:2] == [8, 3]
    rows, columns = np.divmod(places, 4)
    far = np.maximum(
        np.abs(np.subtract.outer(rows, rows)), np.abs(np.subtract.outer(columns, columns))
    )
    assert (far[~np.eye(3, dtype=bool)] > 1).all()
    assert len(feature_patches.hottest_places(heat, 2, 9)) == 1


def test_a_bank_says_whose_pictures_it_holds():
    data, method, _ = trained()
    bank = feature_patches.make_bank(method, data.part("test"))
    assert isinstance(bank, PatchBank)
    assert bank.rows.tolist() == data.part("test").rows.tolist()
    assert len(np.unique(bank.unit)) == 4
    assert 0 < bank.usual < 2
    assert feature_patches.has_features(method)
    assert not feature_patches.has_features(object())
