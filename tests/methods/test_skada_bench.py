"""SKADA-Bench: known shifts give their known winners, hidden labels stay hidden, and what was
computed once is not computed again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.artifacts import Benchmark
from core.data.dataset import Dataset
from core.data.splits import add_split
from core.errors import UserError
from core.method import check_params
from core.methods.protocols._names import BLIND, ORACLE, SOURCE, TARGET
from core.registry import methods
from core.stats import rank_tests
from core.training.compatibility import why_not
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.methods._fit import fit, sample


def shifted(kind: str, seed: int = 0, n: int = 300) -> Dataset:
    """Two sites "old" and "new" of n/2 rows, eight columns, two classes, with a shift whose remedy
    is known.

    covariate  the rule is x2 > 0 where x1 > 0, else x3 > 0; the new site has mostly x1 > 0: weights
    that favour such rows help target     the same classes in other shares (half ill, then one in
    seven): nothing about the cases changed, so maps only do harm subspace   a faint tell-tale says
    the opposite at the new site; it lies outside the directions of large variance concept    the
    rule is turned round at the new site: nothing can help without its labels
    """
    rng, d = np.random.default_rng(seed), 8
    new = np.arange(n) % 2 == 1
    x = rng.normal(size=(n, d))
    if kind == "covariate":
        x[:, 0] = np.where(new, rng.normal(1.2, 0.6, n), rng.normal(-0.6, 1.0, n))
        y = np.where(x[:, 0] > 0, x[:, 1] > 0, x[:, 2] > 0)
    elif kind == "target":
        y = rng.random(n) < np.where(new, 1 / 7, 1 / 2)
        x[:, 0] += np.where(y, 1.2, -1.2)
    elif kind == "subspace":
        y = rng.random(n) < 0.5
        x *= np.where(np.arange(d) < 2, 2.0, 0.3)
        x[:, 0] += np.where(y, 2.5, -2.5)
        x[:, 2] = np.where(y ^ new, 0.7, -0.7) + 0.2 * rng.normal(size=n)
        x = x @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    else:
        y = (x[:, 0] + 0.3 * rng.normal(size=n) > 0) ^ new
    table = pd.DataFrame({"state": np.where(y, "ill", "well"), "site": np.where(new, "new", "old")})
    table, roles, _ = add_split(table, {"label": "state", "domain": "site"})
    return Dataset(
        kind,
        "table",
        table,
        x.astype(np.float32),
        roles=roles,
        features=tuple(f"x{j + 1}" for j in range(d)),
    )


def run_on(
    data: Dataset, cache: Path | None = None, seed: int = 0, **params: Any
) -> tuple[Any, dict[str, Any]]:
    kind = methods()["skada_bench"]
    method, found = fit_and_apply(
        kind, check_params(kind, params), data, Run(seed=seed, device="cpu", cache=cache)
    )
    return method, {a.slug: a for a in found}


@cache
def on_shift(kind: str, contestants: str) -> dict[str, Any]:
    data = sample("two-clinics") if kind == "device" else shifted(kind)
    return run_on(data, splits=2, inner=1, contestants=contestants)[1]


def gain(
    found: dict[str, Any],
    name: str,
    task: str = "old → new",
    by: str = "benchmark-chosen-without-labels",
) -> float:
    b: Benchmark = found[by]
    row, j = b.contestants.index, b.tasks.index(task)
    return float(b.score[row(name), j] - b.score[row(SOURCE), j])


# -- known winners ---------------------------------------------------------------------------------
@pytest.mark.soak(only=True)
def test_linear_transport_undoes_another_device_and_weights_do_not():
    found = on_shift("device", "linear OT, kernel mean matching")
    for task in ("west → east", "east → west"):
        assert gain(found, "linear OT", task) > 0.05
        assert gain(found, "kernel mean matching", task) < gain(found, "linear OT", task) - 0.05
        # as good as with labels
        assert gain(found, "linear OT", task) > gain(found, TARGET, task) - 0.1


@pytest.mark.soak(only=True)
def test_weights_help_under_covariate_shift_and_maps_do_not():
    found = on_shift("covariate", "kernel mean matching, linear OT")
    assert gain(found, TARGET) > 0.05
    assert gain(found, "kernel mean matching") > 0.05
    assert gain(found, "linear OT") < 0.03


@pytest.mark.soak(only=True)
def test_a_subspace_without_the_tell_tale_helps():
    found = on_shift("subspace", "subspace alignment, kernel mean matching")
    assert gain(found, TARGET) > 0.3
    assert gain(found, "subspace alignment", by="benchmark-settings-by-target-labels") > 0.3
    assert gain(found, "kernel mean matching", by="benchmark-settings-by-target-labels") < 0.1


@pytest.mark.soak(only=True)
def test_where_only_the_shares_differ_maps_do_harm():
    found = on_shift("target", "linear OT, kernel mean matching")
    assert gain(found, "linear OT") < -0.1
    assert gain(found, "kernel mean matching") > -0.05


@pytest.mark.soak(only=True)
def test_nothing_helps_where_the_rule_is_turned_round():
    found = on_shift("concept", "linear OT, subspace alignment")
    b = found["benchmark-settings-by-target-labels"]
    at = [i for i, n in enumerate(b.contestants) if n != TARGET]
    assert b.score[at].max() < 0.65
    assert b.score[b.contestants.index(TARGET)].min() > 0.8


@pytest.mark.soak(only=True)
def test_choosing_with_the_targets_labels_is_best_on_average():
    choices = [
        c
        for kind, names in (
            ("device", "linear OT, kernel mean matching"),
            ("subspace", "subspace alignment, kernel mean matching"),
        )
        for c in on_shift(kind, names)["benchmark-chosen-without-labels"].choices
    ]
    assert {c["scorer"] for c in choices} == set(BLIND)
    for scorer in BLIND:
        mine = [c for c in choices if c["scorer"] == scorer]
        assert np.mean([c["oracle_score"] for c in mine]) >= np.mean([c["score"] for c in mine])


# -- hidden labels ---------------------------------------------------------------------------------
def test_labels_of_the_new_site_reach_nothing_but_the_oracle_the_bound_and_the_count():
    data = shifted("covariate", n=160)
    new = data.domains == "new"
    noise = data.table["state"].to_numpy(copy=True)
    noise[new] = np.random.default_rng(6).permutation(noise[new])
    changed = replace(data, table=data.table.assign(state=noise))
    names = {"splits": 1, "inner": 1, "contestants": "CORAL, density reweighting"}
    (one, first), (other, second) = run_on(data, **names), run_on(changed, **names)
    assert np.array_equal(first["predictions"].prob[new], second["predictions"].prob[new])
    # there they are the source's labels
    assert not np.array_equal(first["predictions"].prob[~new], second["predictions"].prob[~new])
    differs = set()
    for a, b in zip(one.cells_, other.cells_):
        if a["task"] == "old → new" and a["contestant"] != TARGET:
            assert a["setting"] == b["setting"]
            differs |= {k for k in a["scores"] if a["scores"][k] != b["scores"][k]}
    assert differs == {ORACLE}


def test_the_held_out_rows_reach_no_scorer_not_even_the_oracle():
    from core.methods.protocols import _contest
    from core.methods.protocols._shifts import make_shift

    data = shifted("covariate", n=160)
    shift = make_shift(
        data.inputs().astype(np.float64),
        data.labels,
        data.domains.astype(str),
        None,
        ["old"],
        "new",
        0,
        2,
        0,
    )
    assert shift is not None
    y = shift.y.copy()
    y[shift.test] = 1 - y[shift.test]
    reader = {"C": 1.0, "curve": 0.0}
    one, other = (
        _contest.run_cell("CORAL", {"centred": False}, reader, s)
        for s in (shift, replace(shift, y=y))
    )
    assert one["scores"] == other["scores"]
    assert all(v is not None for v in one["scores"].values())
    assert one["accuracy"] == pytest.approx(1 - other["accuracy"])


def test_a_patient_is_never_on_two_sides():
    from core.methods.protocols._shifts import make_shift

    rng, n = np.random.default_rng(0), 200
    site, patient = (
        np.array(["a", "b"])[rng.integers(0, 2, n)],
        np.array([f"p{i}" for i in rng.integers(0, 60, n)]),
    )
    shift = make_shift(
        rng.normal(size=(n, 3)), rng.integers(0, 2, n), site, patient, ["a"], "b", 0, 3, 0
    )
    assert shift is not None
    who = patient  # both sites are kept whole, so positions are those of the data
    assert len(shift.test) > 5
    assert not set(who[shift.test]) & set(who[shift.train])
    assert (shift.side[shift.test] < 0).all()
    for fit_at, check in shift.inner:
        assert not set(who[fit_at]) & set(who[check])
        assert set(fit_at) | set(check) <= set(shift.train)


# -- the cache -------------------------------------------------------------------------------------
def test_a_further_contestant_costs_only_its_own_cells(tmp_path, monkeypatch):
    from core.methods.protocols import _contest, _contestants

    data, computed, whole = shifted("covariate", n=160), [], _contest.run_cell
    monkeypatch.setattr(
        _contest, "run_cell", lambda name, *rest: (computed.append(name), whole(name, *rest))[1]
    )
    names = {"splits": 1, "inner": 1, "cache": tmp_path}
    _, first = run_on(data, contestants="CORAL", **names)
    assert set(computed) == {SOURCE, "CORAL", TARGET}
    computed.clear()
    _, again = run_on(data, contestants="CORAL", **names)
    assert computed == []
    np.testing.assert_array_equal(
        first["benchmark-chosen-without-labels"].score,
        again["benchmark-chosen-without-labels"].score,
    )
    np.testing.assert_array_equal(first["predictions"].prob, again["predictions"].prob)
    _contestants.CONTESTANTS["own idea"] = _contestants.Contestant(
        lambda s, d, seed: _contestants.CORALAdapter(reg=0.5)
    )
    try:
        _, more = run_on(data, contestants="CORAL, own idea", **names)
    finally:
        del _contestants.CONTESTANTS["own idea"]
    assert set(computed) == {"own idea"}
    assert "own idea" in more["benchmark-chosen-without-labels"].contestants
    computed.clear()
    run_on(data, contestants="CORAL", seed=1, **names)
    assert set(computed) == {SOURCE, "CORAL", TARGET}  # other splits are other cells
    assert not [p for p in tmp_path.iterdir() if p.suffix != ".json"]


# -- scorers by hand -------------------------------------------------------------------------------
@cache
def four_points() -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """A straight reader with known weights, two source and four target points in the plane, and the
    target's probabilities by hand.
    """
    from core.methods.protocols import _contest

    x = np.array([[-1.0, 0.0], [1.0, 0.5], [-0.5, 1.0], [0.3, -1.0], [2.0, 0.0], [-2.0, 0.2]])
    side = np.array([1, 1, -2, -2, -2, -2])
    with _contest.routing():
        made = _contest.pipeline(SOURCE, {}, {"C": 1.0, "curve": 0.0}, 2, 0)
        made.fit(x, np.array([0, 1, -1, -1, -1, -1]), sample_domain=side)
    reader = made.steps[-1][1].base_estimator_
    reader.weight_, reader.bias_ = np.array([[0.0, 1.5], [0.0, -0.5]]), np.array([0.0, 0.2])
    right = 1 / (1 + np.exp(-(x[2:] @ np.array([1.5, -0.5]) + 0.2)))
    return made, x, side, np.stack([1 - right, right], 1)


def value_of(scorer: str) -> float:
    from core.methods.protocols import _contest

    made, x, side, _ = four_points()
    with _contest.routing():
        return float(
            _contest.scorers(0)[scorer](
                made, x, np.array([0, 1, -1, -1, -1, -1]), sample_domain=side
            )
        )


def test_entropy_and_neighbourhood_density_equal_a_calculation_by_hand():
    prob = four_points()[3]
    assert value_of("prediction entropy") == pytest.approx((prob * np.log(prob)).mean())
    unit = prob / np.linalg.norm(prob, axis=1, keepdims=True)
    like = unit @ unit.T / 0.05
    np.fill_diagonal(like, -np.diag(like))
    share = np.exp(like - like.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    assert value_of("soft neighbourhood density") == pytest.approx(
        -(share * np.log(share)).sum(1).mean()
    )


def test_importance_weighting_equals_a_calculation_by_hand():
    x = four_points()[1]
    kernel = lambda a, b: np.exp(-0.5 * ((a[:, None] - b[None]) ** 2).sum(2)).mean(1)  # noqa: E731
    weight = kernel(x[:2], x[2:]) / kernel(x[:2], x[:2])
    right = np.array([0, 1]) == (x[:2] @ np.array([1.5, -0.5]) + 0.2 > 0)
    assert value_of("importance weighting") == pytest.approx((weight * right).sum() / weight.sum())


def test_deep_embedded_validation_equals_a_calculation_by_hand():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    from core.methods.protocols import _contest

    made = four_points()[0]
    rng = np.random.default_rng(1)
    source, target, y = (
        rng.normal(size=(8, 2)),
        rng.normal(1, 1, size=(4, 2)),
        np.array([0, 1, 1, 0, 1, 0, 0, 1]),
    )
    learn, check = train_test_split(np.arange(8), test_size=0.33, random_state=0)
    sites = (
        LogisticRegression()
        .fit(np.concatenate([source[learn], target]), np.r_[np.ones(len(learn)), np.zeros(4)])
        .predict_proba(source[check])
    )
    weight = len(learn) / 4 * sites[:, 0] / sites[:, 1]
    right = 1 / (1 + np.exp(-(source[check] @ np.array([1.5, -0.5]) + 0.2)))
    loss = weight * -np.log(np.where(y[check] == 1, right, 1 - right))
    eta = -np.cov(loss, weight)[0, 1] / weight.var(ddof=1)
    with _contest.routing():
        scorer = _contest.scorers(0)["deep embedded validation"]
        found = scorer(
            made,
            np.concatenate([source, target]),
            np.r_[y, -np.ones(4, int)],
            sample_domain=np.r_[np.ones(8, int), -2 * np.ones(4, int)],
        )
    assert found == pytest.approx(-(loss.mean() + eta * weight.mean() - eta))


def test_a_fitted_pipeline_and_its_arrays_say_the_same():
    from core.methods.protocols import _contest
    from core.methods.protocols._models import read_rows
    from core.methods.protocols._shifts import make_shift

    data = shifted("subspace", n=160)
    x = data.inputs().astype(np.float64)
    shift = make_shift(x, data.labels, data.domains.astype(str), None, ["old"], "new", -1, 1, 0)
    assert shift is not None
    new = np.flatnonzero(shift.side < 0)
    for name, one in _contest.CONTESTANTS.items():
        with _contest.routing():
            pipe = _contest.fit_contestant(
                name, one.small[-1], {"C": 1.0, "curve": 0.5}, shift, shift.train
            )
            wanted = pipe.predict_proba(shift.x[new], sample_domain=shift.side[new])
        model = _contest.to_arrays(pipe, shift.x.shape[1]) | shift.scale
        np.testing.assert_allclose(
            read_rows(model, x[data.domains == "new"], 2), wanted, atol=1e-6, err_msg=name
        )


# -- ranks -----------------------------------------------------------------------------------------
def test_ranks_and_the_critical_difference_are_the_tables():
    score = np.array([[0.9, 0.8, 0.7], [0.8, 0.8, 0.6], [0.1, 0.2, 0.9]])
    np.testing.assert_allclose(
        rank_tests.rank_contestants(score), [[1, 1.5, 2], [2, 1.5, 3], [3, 3, 1]]
    )
    # Demšar 2006, table 5 (q at 0.05 for 5 classifiers is 2.728) and his equation for the
    # difference
    assert rank_tests.critical_difference(5, 30) == pytest.approx(
        2.728 * np.sqrt(5 * 6 / (6 * 30)), abs=2e-3
    )
    assert rank_tests.find_groups(np.array([1.0, 1.5, 3.0, 3.4]), 0.6) == [(1.0, 1.5), (3.0, 3.4)]
    steady = np.tile(np.linspace(0.5, 0.9, 4)[:, None], 12) + 0.01 * np.random.default_rng(
        0
    ).normal(size=(4, 12))
    assert rank_tests.friedman_test(steady) < 1e-4
    assert rank_tests.friedman_test(np.random.default_rng(0).normal(size=(4, 12))) > 0.05
    p = rank_tests.compare_to_baseline(steady, 0)
    assert p[0] is None
    assert max(p[1:]) < 0.01


# -- refusals --------------------------------------------------------------------------------------
def test_what_cannot_be_compared_is_refused_in_words():
    kind, data = methods()["skada_bench"], sample("two-clinics")
    assert "domain column" in why_not(kind, sample("breast-cancer"))
    assert "at least two sites" in why_not(
        kind, replace(data, table=data.table.assign(clinic="only"))
    )
    assert "two classes" in why_not(kind, replace(data, table=data.table.assign(state="ill")))
    with pytest.raises(UserError, match="no “alchemy”"):
        fit("skada_bench", data, contestants="alchemy")
    few = data.take(
        np.concatenate(
            [np.flatnonzero(data.domains == "west"), np.flatnonzero(data.domains == "east")[:10]]
        )
    )
    with pytest.raises(UserError, match="two sites with at least"):
        fit("skada_bench", few)
    one_class_each = replace(
        data, table=data.table.assign(state=np.where(data.domains == "east", "ill", "well"))
    )
    with pytest.raises(UserError, match="nothing to carry over"):
        fit("skada_bench", one_class_each)
