"""Batch predictive inference: its laws against brute force and simulation, coverage within binomial
bounds, and where plain conformal fails.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations_with_replacement
from math import ceil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom, mannwhitneyu

from core.artifacts import Model
from core.data.dataset import Dataset
from core.errors import UserError
from core.methods.conformal import _ranks, batch_pi
from core.methods.conformal._figures import count_kept
from core.registry import open_model
from tests.methods._fit import fit, sample

TUPLES = list(combinations_with_replacement(range(1, 8), 3))  # n = 6, m = 3: 84 rank tuples


def within(hits: int, n: int, p: float) -> bool:
    """Whether `hits` of n is what a chance of p gives, at 1 in 1,000."""
    return bool(binom.ppf(0.0005, n, p) <= hits <= binom.ppf(0.9995, n, p))


def test_laws_equal_brute_force():
    assert len(TUPLES) == 84
    for z in (1, 2, 3):
        counted = np.bincount([t[z - 1] for t in TUPLES], minlength=8)[1:] / 84
        np.testing.assert_allclose(_ranks.pmf_of_one(6, 3, z), counted)
    sums = np.bincount([sum(t) - 3 for t in TUPLES], minlength=19) / 84
    np.testing.assert_allclose(_ranks.pmf_of_sum(6, 3), sums)


def test_the_rank_sum_has_the_law_of_mann_whitney():
    law = np.cumsum(_ranks.pmf_of_sum(7, 5))
    x, y = np.array([1.0, 4, 6, 9, 11]), np.array([2.0, 3, 5, 7, 8, 10, 12])
    test = mannwhitneyu(x, y, alternative="less", method="exact")
    assert test.pvalue == pytest.approx(law[int(test.statistic)])


def test_one_new_case_is_split_conformal():
    for n, alpha in ((60, 0.1), (99, 0.05), (37, 0.2)):
        assert _ranks.quantile_of_one(n, 1, 1, alpha) == ceil((1 - alpha) * (n + 1))


def test_the_dynamic_programme_equals_brute_force():
    scores = np.sort(np.random.default_rng(0).uniform(size=7))
    for q in (5, 9, 14):
        best = max(sum(scores[r - 1] for r in t) for t in TUPLES if sum(t) <= q)
        assert _ranks.largest_sum(scores, 3, q) == pytest.approx(best)


def test_known_quantiles_and_their_coverage_by_simulation():
    """n = 60, m = 20, z = 18: ranks 59, 58, 57 for alpha 0.05, 0.1, 0.2, with coverage .9537,
    .9033, .8384.
    """
    rng, draws = np.random.default_rng(0), 4000
    old, new = np.sort(rng.normal(size=(draws, 60)), 1), np.sort(rng.normal(size=(draws, 20)), 1)
    for alpha, rank, exact in ((0.05, 59, 0.9537), (0.1, 58, 0.9033), (0.2, 57, 0.8384)):
        assert _ranks.quantile_of_one(60, 20, 18, alpha) == rank
        assert np.cumsum(_ranks.pmf_of_one(60, 20, 18))[rank - 1] == pytest.approx(exact, abs=1e-4)
        assert within(int((new[:, 17] <= old[:, rank - 1]).sum()), draws, exact)


def test_rank_sums_of_the_exact_law_not_of_ranks_drawn_with_replacement():
    assert [_ranks.quantile_of_sum(40, 10, a) for a in (0.05, 0.1, 0.2)] == [278, 263, 245]


@pytest.mark.parametrize("bound", [_ranks.mean_bound, _ranks.stair_bound])
@pytest.mark.parametrize("law", ["uniform", "skewed"])
def test_bounds_of_a_mean_hold_and_say_something(bound, law):
    rng, alpha, n, m = np.random.default_rng(1), 0.2, 40, 10
    draw = (
        (lambda size: rng.uniform(size=size))
        if law == "uniform"
        else (lambda size: rng.beta(0.3, 3, size=size))
    )
    hits, bounds = 0, []
    for _ in range(300):
        b = bound(draw(n), m, alpha, 1.0)
        bounds.append(b)
        hits += bool(draw(m).mean() <= b)
    assert hits >= binom.ppf(0.0005, 300, 1 - alpha)
    assert np.mean(bounds) < 0.97


def test_plain_conformal_breaks_the_promise_for_batches_and_this_keeps_it():
    rng, n, m, share, alpha, draws = np.random.default_rng(2), 200, 50, 0.9, 0.1, 1500
    z, kept = ceil(share * m), {"batch": 0, "plain": 0}
    for _ in range(draws):
        old, new = rng.normal(size=n), rng.normal(size=m)
        kept["batch"] += bool((new <= _ranks.quantile_bound(old, m, z, alpha)).sum() >= z)
        kept["plain"] += bool((new <= np.sort(old)[ceil(share * (n + 1)) - 1]).sum() >= z)
    exact = float(np.cumsum(_ranks.pmf_of_one(n, m, z))[_ranks.quantile_of_one(n, m, z, alpha) - 1])
    assert exact >= 1 - alpha
    assert within(kept["batch"], draws, exact)
    assert kept["plain"] / draws < 0.75


def test_shares_are_counted_as_decimals():
    assert _ranks.share_of(0.55, 100) == 55  # ceil(0.55 * 100) is 56 in floats
    assert _ranks.share_of(0.07, 100) == 7
    assert _ranks.share_of(0.9, 20) == 18
    assert _ranks.share_of(0.91, 20) == 19


def test_one_by_one_sets_need_as_many_calibration_cases_as_their_share_asks_for():
    scores = np.arange(19.0)
    assert _ranks.plain_bound(scores, 0.95) == 18  # the 19th of 19
    assert _ranks.plain_bound(scores[:18], 0.95) == np.inf  # the 19th of 18


@pytest.fixture(autouse=True)
def says(monkeypatch):
    """A model of the method "says" gives what its one column holds."""
    told = SimpleNamespace(predict=lambda x: torch.cat([1 - x, x], 1))
    monkeypatch.setattr(
        batch_pi,
        "open_model",
        lambda model, device: told if model.method == "says" else open_model(model, device),
    )


def classifier_of(
    sites: dict[str, tuple[int, int, float]], seed: int = 0
) -> tuple[Dataset, dict[str, Model]]:
    """A table whose one column is p(b) and a model that says it. sites: name -> (val cases, test
    cases, how often the label is drawn against p).
    """
    rng, frames, x = np.random.default_rng(seed), [], []
    for site, (val, test, wrong) in sites.items():
        p = rng.uniform(size=val + test)
        y = (rng.uniform(size=len(p)) < p) ^ (rng.uniform(size=len(p)) < wrong)
        frames.append(
            pd.DataFrame(
                {
                    "label": np.where(y, "b", "a"),
                    "site": site,
                    "split": ["val"] * val + ["test"] * test,
                }
            )
        )
        x.append(p)
    table = pd.concat(frames, ignore_index=True)
    p = np.concatenate(x)[:, None].astype("f4")
    extra = pd.DataFrame({"label": ["a", "b"] * 10, "site": next(iter(sites)), "split": "train"})
    table, p = pd.concat([extra, table], ignore_index=True), np.r_[np.full((20, 1), 0.5, "f4"), p]
    roles = {"label": "label", "split": "split", "domain": "site"}
    data = Dataset("sites", "table", table, p, roles=roles, features=("p",))

    model = Model(
        rows=data.rows,
        method="says",
        params={},
        abilities=["predict"],
        input_shape=[1],
        classes=["a", "b"],
    )
    return data, {"model": model}


def test_too_few_calibration_cases_for_single_sets_give_every_class_and_say_so():
    data, on = classifier_of({"one": (12, 300, 0.0)})
    _, found = fit("batch_pi", data, on=on, share=0.95)
    single = [m for m in found["metrics"] if m.name.startswith("one-by-one")]
    assert len(single) == 3
    assert all("12 calibration cases are too few for single sets at 95%" in m.note for m in single)
    assert {m.name.partition(": ")[2]: m.value for m in single} == {
        "share that hold the truth": 1.0,
        "classes in a set": 2.0,
        "batches with the promised share": 1.0,
    }


def test_each_site_keeps_its_own_promise_where_pooled_calibration_breaks_it():
    kept = {"own": [], "pooled": []}
    for seed in range(12):
        data, on = classifier_of({"easy": (150, 20, 0.0), "hard": (60, 300, 0.4)}, seed)
        method, found = fit("batch_pi", data, on=on)
        assert set(method.made.by_site) == {"easy", "hard"}
        assert "of one site" in found["predictions-sets"].promise
        site = next(m for m in found["metrics"] if m.group == "hard" and "promised share" in m.name)
        kept["own"].append(site.value)
        hard = (data.frame["site"] == "hard").to_numpy() & (data.splits == "test")
        prob = np.asarray(found["predictions-sets"].prob, float)[hard]
        hit = (1 - prob <= method.made.pooled)[np.arange(hard.sum()), data.labels[hard]]
        kept["pooled"].append(np.mean(hit.reshape(-1, 20).sum(1) >= 18))
    assert np.mean(kept["own"]) >= 0.85
    assert np.mean(kept["pooled"]) < 0.8


def test_a_site_of_too_few_cases_is_promised_nothing_and_named():
    data, on = classifier_of({"large": (80, 60, 0.0), "small": (8, 30, 0.3)})
    method, found = fit("batch_pi", data, on=on)
    assert set(method.made.by_site) == {"large"}
    assert "does not hold for small" in found["predictions-sets"].promise
    bounds = {m.group: (m.low, m.high, m.note) for m in found["metrics"] if m.name == "share of b"}
    assert bounds["small"] == (None, None, "no bounds: only 8 calibration cases there")
    assert None not in bounds["large"][:2]


def test_where_no_site_has_enough_the_promise_is_for_mixed_batches_only():
    data, on = classifier_of({"a": (15, 40, 0.0), "b": (15, 40, 0.2)})
    method, found = fit("batch_pi", data, on=on)
    assert not method.made.by_site
    assert "not for batches of one site" in found["predictions-sets"].promise


def test_cases_without_a_site_are_promised_nothing():
    data, on = classifier_of({"large": (80, 60, 0.0), "": (8, 30, 0.3)})
    _, found = fit("batch_pi", data, on=on)
    assert "does not hold for cases whose site is not known" in found["predictions-sets"].promise


def test_batches_hold_one_case_of_each_patient():
    data, on = classifier_of({"one": (80, 60, 0.0)})
    who = np.array([f"p{i}" for i in range(len(data))], dtype=object)
    test = np.flatnonzero(data.splits == "test")
    who[test] = [f"t{i // 3}" for i in range(60)]  # 20 patients of three cases
    frame = data.frame.assign(patient=who)
    data = replace(data, table=frame, roles=data.roles | {"group": "patient"})
    _, found = fit("batch_pi", data, on=on)
    assert "each of another patient" in found["predictions-sets"].promise
    sizes = {m.n for m in found["metrics"] if m.name == "share of b"}
    assert sizes == {20}
    hit, unit = np.zeros(6, bool), np.array([0, 0, 0, 0, 1, 2])
    hit[:4] = True  # one patient's four cases count once
    rng = np.random.default_rng(0)
    assert count_kept(hit, [np.arange(6)], unit, 3, 2, rng) == 0.0
    assert count_kept(hit, [np.arange(5)], unit[:5], 3, 2, rng) is None


def test_sites_survive_being_stored():
    data, on = classifier_of({"large": (80, 60, 0.0), "small": (8, 30, 0.3)})
    method, _ = fit("batch_pi", data, on=on)
    again = type(method)(method.params)
    again.restore(method.state())
    sites = np.array(["large", "small", ""], dtype=object)
    assert np.array_equal(again.made.thresholds(sites), method.made.thresholds(sites))
    assert (again.made.by_site, again.made.single) == (method.made.by_site, method.made.single)


@cache
def on_a_classifier():
    data = sample("digits")
    _, base = fit("classifier", data, epochs=3, width=4)
    return data, base, *fit("batch_pi", data, on=base)


def test_sets_on_a_weak_classifier_hold_the_truth_and_are_not_everything():
    data, _, method, found = on_a_classifier()
    made, test = found["predictions-sets"], data.splits == "test"
    hit = made.sets[test, data.labels[test]]
    assert hit.mean() >= 0.87
    assert 1 <= made.sets[test].sum(1).mean() < 6
    assert "20 new cases" in made.promise
    assert method.made.pooled >= method.made.single


def test_too_few_calibration_cases_give_whole_sets_and_say_so():
    data, base, *_ = on_a_classifier()
    _, found = fit("batch_pi", data, on=base, batch=100, share=0.99, certainty=0.999)
    made = found["predictions-sets"]
    assert made.sets.all()
    assert "too few" in made.promise


def test_a_model_that_predicts_nothing_is_refused():
    data = sample("digits")
    _, base = fit("pca", data)
    assert any(isinstance(a, Model) for a in base.values())
    with pytest.raises(UserError, match="predicts no classes"):
        fit("batch_pi", data, on=base)
