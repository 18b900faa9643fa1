"""The robustness index on embeddings that hold only the class, only the site, both, or neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ortho_group

from core.artifacts import Embedding, Metric
from core.data.dataset import Dataset
from core.evaluate import measure
from core.measures.robustness_index import (
    RobustnessIndex,
    chance,
    counts,
    kept_counts,
    kept_index,
    neighbours,
)
from tests.methods._fit import sample

N = 160


def data(classes: int = 2, sites: int = 2, groups: bool = False) -> Dataset:
    i = np.arange(N)
    table = pd.DataFrame(
        {
            "kind": [f"k{v}" for v in i % classes],
            "site": [f"s{v}" for v in i // classes % sites],
            "patient": [f"p{v}" for v in i // 8],
        }
    )
    table["split"] = np.where(i % 5 < 3, "train", "test")
    roles = {"label": "kind", "domain": "site", "split": "split"} | (
        {"group": "patient"} if groups else {}
    )
    return Dataset("made", "table", table, np.zeros((N, 1), "f4"), roles=roles, features=("x",))


def one_hot(v: np.ndarray) -> np.ndarray:
    return np.eye(len(np.unique(v)))[np.unique(v, return_inverse=True)[1]]


def figures(d: Dataset, z: np.ndarray) -> dict[str, Metric]:
    """The measure's metrics by name (those of all cases)."""
    found = RobustnessIndex().compute(
        d, Embedding(rows=d.rows, z=z.astype("f4")), rng=np.random.default_rng(0)
    )
    return {m.name: m for m in found if m.group == "all"}


def ri(d: Dataset, z: np.ndarray) -> float:
    value = figures(d, z)["robustness index"].value
    assert value is not None
    return value


def noisy(z: np.ndarray, seed: int = 0) -> np.ndarray:
    return z + 0.05 * np.random.default_rng(seed).normal(size=z.shape)


def test_only_the_class_gives_one_and_only_the_site_gives_nought():
    d = data()
    assert ri(d, noisy(one_hot(d.labels))) > 0.99
    assert ri(d, noisy(one_hot(d.domains.astype(str)))) < 0.01


@pytest.mark.parametrize(("classes", "sites"), [(2, 2), (2, 4), (4, 2)])
def test_noise_gives_what_chance_gives(classes, sites):
    d = data(classes, sites)
    expected = (sites - 1) / (sites + classes - 2)
    assert chance(
        d.labels, np.unique(d.domains.astype(str), return_inverse=True)[1]
    ) == pytest.approx(expected, abs=1e-6)
    assert ri(d, np.random.default_rng(1).normal(size=(N, 8))) == pytest.approx(expected, abs=0.1)


def test_it_falls_as_the_site_grows_louder():
    d = data()
    values = [
        ri(
            d,
            noisy(np.concatenate([one_hot(d.labels), loud * one_hot(d.domains.astype(str))], 1), 2)
            + 0.1 * np.random.default_rng(3).normal(size=(N, 4)),
        )
        for loud in (0.3, 1, 3)
    ]
    assert values[0] > 0.9
    assert values[-1] < 0.1
    assert (np.diff(values) <= 0.02).all()


def test_centring_each_site_raises_it():
    d = data()
    z = noisy(np.concatenate([one_hot(d.labels), 2 * one_hot(d.domains.astype(str))], 1))
    centred = z.copy()
    for s in np.unique(d.domains.astype(str)):
        centred[d.domains == s] -= centred[d.domains == s].mean(0)
    assert ri(d, centred) > ri(d, z) + 0.5


def test_turning_and_scaling_change_nothing():
    d = data()
    z = np.random.default_rng(0).normal(size=(N, 6)) + np.concatenate(
        [one_hot(d.labels), np.zeros((N, 4))], 1
    )
    assert ri(d, 3.0 * z @ ortho_group.rvs(6, random_state=0)) == pytest.approx(ri(d, z), abs=1e-3)


def test_cases_of_ones_own_patient_are_no_neighbours():
    d = data(groups=True)
    near = neighbours(np.repeat(np.arange(N // 8), 8)[:, None].astype(float), 20, d.groups)
    assert (d.groups[near] != d.groups[:, None]).all()


def test_classes_and_sites_in_the_same_blocks_say_so():
    d = data()
    blocks = replace(d, table=d.table.assign(site=d.table["kind"]))
    found = figures(blocks, np.random.default_rng(0).normal(size=(N, 3)))["robustness index"]
    assert found.value is None
    assert "same blocks" in found.note


def test_one_site_one_class_and_no_site_are_declined_in_words():
    d, one = data(), RobustnessIndex()
    z = Embedding(rows=d.rows, z=np.zeros((N, 2), "f4"))
    assert "one site" in one.declines(replace(d, table=d.table.assign(site="s0")), z)
    assert "hospital" in one.declines(replace(d, roles={"label": "kind"}), z)
    table = measure(replace(d, roles={"domain": "site"}), {"e": z}, ["robustness_index"])
    assert "no labels" in next(iter(table)).note


def test_a_site_probe_and_a_sweep_over_k_stand_beside_it():
    d = sample("two-sites")
    flat = Embedding(rows=d.rows, z=d.inputs().reshape(len(d), -1))
    found = RobustnessIndex().compute(d, flat, rng=np.random.default_rng(0))
    # the scanners differ in contrast: the pixels tell
    assert next(m for m in found if m.name.startswith("site named")).value > 0.95
    sweep = [m for m in found if m.name == "robustness index by k"]
    assert [m.group for m in sweep][:3] == ["k = 1", "k = 3", "k = 5"]
    z = np.asarray(flat.z).copy()
    for s in ("A", "B"):
        z[d.domains == s] -= z[d.domains == s].mean(0)
    assert (
        figures(d, z)["robustness index, balanced pairs"].value
        > next(m for m in found if m.name == "robustness index, balanced pairs").value + 0.05
    )


def test_who_is_left_out_is_nobodys_neighbour():
    rng = np.random.default_rng(3)
    y, c, who = rng.integers(0, 2, 40), rng.integers(0, 2, 40), rng.integers(0, 12, 40)
    z = rng.normal(size=(40, 3))
    near = neighbours(z, 39, who.astype(object))
    kept = np.flatnonzero(who != 4)
    alone = neighbours(z[kept], 5, who[kept].astype(object))
    kinds = {name: v[:, -1].sum() for name, v in counts(alone, y[kept], c[kept]).items()}
    assert kept_counts(near, y, c, 5, kept) == kinds
    assert kept_index(near, y, c, 5, kept) == kinds["SO"] / (kinds["SO"] + kinds["OS"])
