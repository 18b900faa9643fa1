"""Disentanglement scores where they can be counted by hand, and when they decline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.artifacts import Embedding, Metric
from core.data.dataset import Dataset
from core.evaluate import measure
from core.measures.disentanglement import (
    Disentanglement,
    completeness,
    disentanglement,
    factor_vae_score,
    find_factors,
    importances,
    information,
    mutual_information_gap,
    part_factor,
    separated_predictability,
)
from core.workspace.workspace import Workspace
from tests.app.test_cli import refused, told
from tests.methods._fit import sample

N = 1000


@pytest.fixture
def factors() -> np.ndarray:
    """Two independent factors, each of four values as often as the others."""
    i = np.arange(N)
    return np.stack([i % 4, i // 4 % 4], 1).astype(float)


def vote(z: np.ndarray, v: np.ndarray, seed: int = 0) -> float:
    rng = np.random.default_rng(seed)
    return factor_vae_score(z, v, rng.permutation(len(z)) % 2 == 0, rng)


def scores(z: np.ndarray, v: np.ndarray) -> dict[str, float]:
    r, told = importances(z, v, np.arange(len(z)) % 2 == 0)
    return {
        "mig": mutual_information_gap(z, v),
        "sap": separated_predictability(z, v),
        "d": disentanglement(r),
        "c": completeness(r),
        "i": told,
        "fv": vote(z, v),
    }


def test_axes_that_are_the_factors_score_one(factors):
    found = scores(factors[:, ::-1] * (3, -5) + 1, factors)
    # fixed alternating rows see both factors, so all six are at their end
    assert found["mig"] == pytest.approx(1)
    assert found["sap"] == pytest.approx(1)
    assert found["d"] == pytest.approx(1, abs=0.02)
    assert found["c"] == pytest.approx(1, abs=0.02)
    assert found["i"] > 0.999
    assert found["fv"] == 1


def test_axes_turned_by_half_a_right_angle_know_all_and_separate_nothing(factors):
    a, b = factors.T - factors.mean(0)[:, None]
    found = scores(np.stack([a + b, a - b], 1), factors)
    assert found["mig"] == pytest.approx(0, abs=1e-9)
    assert found["sap"] == pytest.approx(0, abs=1e-9)
    assert found["d"] == pytest.approx(0, abs=0.02)
    assert found["c"] == pytest.approx(0, abs=0.02)
    assert found["i"] > 0.99, "nothing is lost by turning"


def test_a_code_drawn_at_random_scores_next_to_nothing(factors):
    z = np.random.default_rng(0).normal(size=(N, 6))
    found = scores(z, factors)
    assert found["mig"] < 0.03
    assert found["sap"] < 0.03
    assert found["i"] < 0.03
    fv = [vote(np.random.default_rng(s).normal(size=(N, 6)), factors, s) for s in range(10)]
    assert np.mean(fv) == pytest.approx(0.5, abs=0.08), "chance of two factors"


def test_two_axes_for_one_factor_are_disentangled_but_not_complete(factors):
    a, b = factors.T
    twice = np.stack([a, a + np.random.default_rng(0).normal(size=N) * 1e-3, b], 1)
    assert mutual_information_gap(twice, factors) == pytest.approx(0.5, abs=0.02)
    r = np.array([[1.0, 0], [1, 0], [0, 2]])
    assert disentanglement(r) == pytest.approx(1)
    assert completeness(r) == pytest.approx((1 - np.log(2) / np.log(3) + 1) / 2)
    assert disentanglement(np.ones((3, 2))) == pytest.approx(0)
    assert disentanglement(np.zeros((3, 2))) == 0


def test_information_is_counted_by_hand():
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert information(a, b) == 0
    assert information(a, a) == pytest.approx(np.log(2))
    assert information(np.array([0, 0, 1, 2]), a) == pytest.approx(np.log(2))
    assert np.array_equal(np.bincount(part_factor(np.arange(100.0))), np.full(10, 10))


def made(v: np.ndarray, **card: object) -> Dataset:
    table = pd.DataFrame({"size": v[:, 0], "tilt": v[:, 1], "kind": "x"})
    table["patient"] = [f"P{i // 4}" for i in range(len(v))]
    table["split"] = np.where(np.arange(len(v)) % 5 < 3, "train", "test")
    roles = {"group": "patient", "split": "split"}
    return Dataset("made", "table", table, np.zeros((len(v), 1), "f4"), roles=roles,
                   features=("x",), card=dict(card))  # fmt: skip


def test_it_declines_where_no_factors_are_named(factors):
    data = made(factors)
    z = Embedding(rows=data.rows, z=factors.astype("f4"))
    (said,) = measure(data, {"z": z}, ["disentanglement"])
    assert said.value is None
    assert "--factors" in said.note
    named = replace(data, card={"factors": ["size", "tilt", "kind", "gone"]})
    assert find_factors(named) == ["size", "tilt"]
    (few,) = measure(
        named, {"z": z.__class__(rows=data.rows[:40], z=z.z[:40])}, ["disentanglement"]
    )
    assert "fewer than 50" in few.note


def test_the_phantoms_factors_are_known():
    assert find_factors(sample("head-phantom")) == [
        "ventricle size", "skull thickness", "tilt", "brightness", "level",
    ]  # fmt: skip
    assert find_factors(sample("digits")) == []


def test_each_figure_has_an_interval_over_patients(factors):
    rng = np.random.default_rng(1)
    v = factors[:400] + rng.normal(size=(400, 2)) * 0.1
    data = made(v, synthetic=True)
    z = np.column_stack([v + rng.normal(size=v.shape) * 0.3, rng.normal(size=(400, 2))])
    embedding = Embedding(rows=data.rows, z=z.astype("f4"))
    found = Disentanglement().compute(data, embedding, rng=np.random.default_rng(0))
    figures: dict[str, Metric] = {m.name: m for m in found}
    assert len(figures) == 6
    assert all(0 <= m.value <= 1 and m.n == 400 for m in found)
    for name in ("mutual information gap (MIG)", "separated predictability (SAP)"):
        m = figures[name]
        assert m.low < m.value < m.high
        assert (m.kind, m.units) == ("interval", 100)
    assert "chance gives 0.50" in figures["FactorVAE score"].note


def test_factors_are_named_on_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    data = sample("digits").take(np.arange(200))
    rng = np.random.default_rng(0)
    table = data.frame.reset_index(drop=True).assign(ink=data.inputs().mean((1, 2, 3)))
    table["chance"] = rng.normal(size=200)
    Workspace(tmp_path).add(replace(data, table=table, samples=data.raw(), at=None, kept=None))
    run = told("train", "digits", "pca", "-p", "dimensions=4")["run"]
    (none,) = told("measure", run, "disentanglement")["metrics"]
    assert none["value"] is None
    found = told("measure", run, "disentanglement", "--factors", "ink, chance")["metrics"]
    assert len(found) == 6
    assert all(m["value"] is not None for m in found)
    assert "no column “blood”" in refused(
        "measure", run, "disentanglement", "--factors", "ink,blood"
    )
