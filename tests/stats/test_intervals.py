"""Intervals against known answers, and how often they hold the truth."""

import numpy as np
import pytest
from scipy import stats

from core.artifacts import Metric, Metrics
from core.artifacts.cases import log_odds
from core.stats.bootstrap import interval, mean_interval, resample, units
from core.stats.proportions import rates, wilson


def test_a_row_without_an_id_stands_for_itself():
    given = np.array(["a", None, "b", "a", float("nan"), "", "None"], dtype=object)
    code = units(7, given)
    assert code[0] == code[3]
    assert len(set(code.tolist())) == 6, (
        "two of patient a; None, NaN and nothing are one each; the patient called None is a patient"
    )
    assert units(3).tolist() == [0, 1, 2]
    assert units(2, np.array([None, None], dtype=object)).tolist() == [0, 1]


def test_wilson_is_the_textbooks():
    rate = wilson(12, 12)
    assert (rate.low, rate.high) == pytest.approx((0.7575, 1.0), abs=1e-3)
    # Newcombe 1998, table I: 0.2553 to 0.3662
    expected = stats.binomtest(81, 263).proportion_ci(method="wilson")
    rate = wilson(81, 263)
    assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert (rate.low, rate.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 0).value is None


@pytest.mark.parametrize("n", [1, 5, 12, 40])
def test_right_answers_of_single_cases_get_wilsons_interval(n):
    found, rate = mean_interval(np.ones(n, bool)), wilson(n, n)
    assert (found.low, found.high, found.kind) == (rate.low, rate.high, "interval")
    each = np.array([f"P{i}" for i in range(n)], dtype=object)
    assert mean_interval(np.ones(n, bool), each).bounds == found.bounds, (
        "one case a patient is the same"
    )


def test_few_patients_get_no_interval_and_the_note_says_so():
    one = np.array(["P3"] * 40, dtype=object)
    right = np.arange(40) % 2 == 0
    for found in (
        mean_interval(right, one),
        interval(lambda i: float(right[i].mean()), 40, one, (0, 1)),
    ):
        assert found.bounds == (None, None)
        assert found.note == "too few for an interval (1 patient)"
    made = Metric("accuracy", 0.5, n=40, note="of 40").within(found)
    assert (made.low, made.kind, made.note) == (
        None,
        "",
        "of 40; too few for an interval (1 patient)",
    )
    three = np.repeat(np.array(["a", "b", "c"], dtype=object), 20)
    assert mean_interval(np.ones(60, bool), three).note == "too few for an interval (3 patients)"
    assert interval(lambda i: float(i.mean()), 9).note == "too few for an interval (9 cases)"


def test_all_right_of_twelve_patients_counts_twelve():
    patients = np.repeat(np.arange(12), 30).astype(object)
    found = mean_interval(np.ones(360, bool), patients)
    assert found.bounds == pytest.approx((wilson(12, 12).low, 1.0))
    assert found.units == 12


def test_copies_of_a_patients_cases_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    value, patients = rng.uniform(size=25), np.arange(25).astype(object)
    once = mean_interval(value, patients, (0, 1))
    many = mean_interval(np.repeat(value, 40), np.repeat(patients, 40), (0, 1))
    assert many.bounds == pytest.approx(once.bounds)
    assert mean_interval(np.repeat(value, 40), None, (0, 1)).high - once.low < once.high - once.low


def test_the_interval_of_a_mean_is_students():
    x = np.random.default_rng(1).normal(5, 2, 30)
    expected = stats.t.interval(0.95, 29, x.mean(), stats.sem(x))
    assert mean_interval(x).bounds == pytest.approx(expected)
    assert interval(lambda i: float(x[i].mean()), 30).bounds == pytest.approx(expected)


def test_a_perfect_ranking_is_bounded_by_the_rarer_kind():
    ill = np.r_[np.ones(12, int), np.zeros(200, int)]
    found = interval(lambda i: 1.0, 212, None, (0, 1), classes=ill)
    assert found.bounds == pytest.approx((wilson(12, 12).low, 1.0))
    few = interval(lambda i: 1.0, 202, None, (0, 1), classes=ill[10:])
    assert few.note == "too few for an interval (2 cases of the rarer kind)"


def test_what_has_no_spread_gets_no_interval():
    assert interval(lambda i: 0.4, 50, None, (0, 1)).note.startswith("no interval")
    assert mean_interval(np.full(20, 3.0)).low is None


def test_whole_patients_are_drawn_again():
    unit = units(6, np.array(["a", "b", "a", None, "b", "a"], dtype=object))
    at = resample(unit, np.random.default_rng(0))
    drawn = [tuple(np.flatnonzero(unit == u)) for u in range(3)]
    rest = list(at)
    while rest:
        own = drawn[unit[rest[0]]]
        assert tuple(rest[: len(own)]) == own
        rest = rest[len(own) :]


def clustered(rng: np.random.Generator, patients: int) -> tuple[np.ndarray, np.ndarray]:
    """Right answers (share 0.8, alike within a patient) and their patients, one to nine cases
    each.
    """
    size = rng.integers(1, 10, patients)
    who = np.repeat(np.arange(patients), size)
    return rng.random(len(who)) < rng.beta(3.2, 0.8, patients)[who], who.astype(object)


@pytest.mark.parametrize("patients", [10, 20])
def test_intervals_of_an_accuracy_hold_the_truth_in_95_of_100(patients):
    rng, hit = np.random.default_rng(3), 0
    for _ in range(1000):
        found = mean_interval(*clustered(rng, patients))
        hit += found.low <= 0.8 <= found.high
    assert 930 <= hit <= 972


def test_intervals_of_an_auc_hold_the_truth_in_95_of_100():
    from core.measures.probes import auc

    rng, hit, draws = np.random.default_rng(4), 0, 200
    for _ in range(draws):
        who = np.repeat(np.arange(12), rng.integers(1, 8, 12))
        ill = (np.arange(12) % 2)[who]
        score = 1.2 * ill + 0.7 * rng.normal(size=12)[who] + 0.7 * rng.normal(size=len(who))
        both = np.stack([-score, score], 1)
        found = interval(
            lambda i, y=ill, s=both: auc(y[i], s[i], np.arange(2)),
            len(who),
            who.astype(object),
            (0, 1),
            classes=ill,
        )
        hit += found.low <= stats.norm.cdf(1.2 / np.sqrt(2 * 0.98)) <= found.high
    assert 0.91 <= hit / draws <= 0.99


def test_rates_are_over_patients():
    truth, alarm = np.array([True] * 40 + [False] * 40), np.array([True] * 30 + [False] * 50)
    found = rates(alarm, truth)
    assert found["sensitivity"].value == 0.75
    assert (found["sensitivity"].low, found["sensitivity"].high) == pytest.approx(
        (wilson(30, 40).low, wilson(30, 40).high)
    )
    one = np.array(["a"] * 40 + ["b"] * 40, dtype=object)
    assert rates(alarm, truth, one)["sensitivity"].note == "too few for an interval (1 patient)"


def test_log_odds_rank_where_probabilities_are_one():
    logit = np.linspace(15, 80, 300)
    score = np.stack([np.zeros(300), logit, np.full(300, -3.0)], 1)
    prob = np.exp(score - score.max(1, keepdims=True))
    prob = (prob / prob.sum(1, keepdims=True)).astype("f4")
    assert (prob[:, 1] == 1).sum() > 250
    from core.artifacts import Predictions

    said = Predictions(rows=np.arange(300), prob=prob, classes=["a", "b", "c"]).log_odds(
        np.arange(300)
    )
    assert (np.diff(said[:, 1]) > 0).all(), "no ties"
    np.testing.assert_allclose(said[:, 1], log_odds(score)[:, 1], rtol=1e-5)
    wide = np.random.default_rng(0).normal(size=(20, 4))
    p = np.exp(wide) / np.exp(wide).sum(1, keepdims=True)
    np.testing.assert_allclose(log_odds(wide), np.log(p / (1 - p)))


def test_tables_of_earlier_versions_do_not_claim_a_kind():
    old = {
        "name": "effective dimensions",
        "value": 4.0,
        "low": 3.0,
        "high": 5.0,
        "split": "all",
        "group": "all",
        "n": 9,
        "higher_is_better": True,
        "note": "",
    }
    assert next(iter(Metrics(rows=np.arange(9), table=[old]))).kind == ""
    assert Metric("a", 1.0, 0.5, 1.5).kind == "interval"
    assert Metric("a", 1.0).kind == ""
