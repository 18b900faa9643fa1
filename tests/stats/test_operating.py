"""Operating points: predictive values with their intervals, costs, and rules of thresholds."""

import numpy as np
import pytest

from core.stats import operating
from core.stats.proportions import Rate


def cases(hits, ill, false, well):
    """(alarm, truth) with `hits` alarms of `ill` abnormal and `false` of `well` normal cases."""
    alarm = np.r_[np.arange(ill) < hits, np.arange(well) < false]
    return alarm, np.r_[np.ones(ill, bool), np.zeros(well, bool)]


def test_predictive_values_are_bayes_at_the_given_prevalence():
    found = operating.operating_point(*cases(90, 100, 40, 200), prevalence=0.1)
    assert found.ppv.value == pytest.approx(0.1 * 0.9 / (0.1 * 0.9 + 0.9 * 0.2))
    assert found.npv.value == pytest.approx(0.9 * 0.8 / (0.9 * 0.8 + 0.1 * 0.1))
    assert found.alerts.value == pytest.approx(0.1 * 0.9 + 0.9 * 0.2)
    assert found.missed == pytest.approx(0.01)


def test_intervals_are_the_logit_intervals_worked_out_by_hand():
    found = operating.operating_point(*cases(90, 100, 40, 200), prevalence=0.1)
    z, expit = 1.959964, lambda v: 1 / (1 + np.exp(-v))
    spread = np.sqrt(0.1 / 0.9 / 100 + 0.8 / 0.2 / 200)
    middle = np.log(0.9 * 0.1 / (0.2 * 0.9))
    assert [found.ppv.low, found.ppv.high] == pytest.approx(
        [expit(middle - z * spread), expit(middle + z * spread)]
    )
    spread = np.sqrt(0.9 / 0.1 / 100 + 0.2 / 0.8 / 200)
    middle = np.log(0.8 * 0.9 / (0.1 * 0.1))
    assert [found.npv.low, found.npv.high] == pytest.approx(
        [expit(middle - z * spread), expit(middle + z * spread)]
    )


def test_without_a_false_alarm_the_interval_still_reaches_down_and_the_more_the_rarer():
    common, rare = (
        operating.operating_point(*cases(20, 30, 0, 40), prevalence=p).ppv for p in (0.5, 0.01)
    )
    assert common.value == rare.value == common.high == 1.0
    assert common.low > 0.75
    assert rare.low < 0.2, "40 normal cases tell little of an alarm where 1 in 100 is abnormal"
    nothing = operating.operating_point(*cases(0, 30, 0, 40), prevalence=0.1)
    assert nothing.ppv.value is None
    assert nothing.ppv.note == "nothing lies above the threshold"
    assert nothing.npv.value == pytest.approx(0.9)


@pytest.mark.parametrize("prevalence", [0.02, 0.3])
def test_intervals_hold_the_truth_as_often_as_they_say(prevalence):
    rng, sens, spec, held = np.random.default_rng(0), 0.8, 0.9, np.zeros(3)
    ppv = prevalence * sens / (prevalence * sens + (1 - prevalence) * (1 - spec))
    npv = (1 - prevalence) * spec / ((1 - prevalence) * spec + prevalence * (1 - sens))
    alerts = prevalence * sens + (1 - prevalence) * (1 - spec)
    truth = np.r_[np.ones(50, bool), np.zeros(80, bool)]
    for _ in range(400):
        alarm = rng.random(130) < np.where(truth, sens, 1 - spec)
        found = operating.operating_point(alarm, truth, prevalence)
        for i, (rate, value) in enumerate(
            ((found.ppv, ppv), (found.npv, npv), (found.alerts, alerts))
        ):
            held[i] += rate.low <= value <= rate.high
    assert (held / 400 > 0.92).all(), held / 400


def test_intervals_hold_the_truth_where_cases_share_patients():
    """30 patients with 8 cases each, who differ in how often they alarm: cases counted as if each
    stood for itself would hold it far less often.
    """
    rng, held, naive = np.random.default_rng(0), 0, 0
    patient = np.repeat(np.arange(30), 8).astype(object)
    truth = np.repeat(np.arange(30) % 2 == 0, 8)
    ppv = 0.2 * 0.7 / (0.2 * 0.7 + 0.8 * 0.2)
    for _ in range(300):
        own = np.where(np.arange(30) % 2 == 0, rng.beta(2.1, 0.9, 30), rng.beta(0.6, 2.4, 30))
        alarm = rng.random(240) < np.repeat(own, 8)
        found = operating.operating_point(alarm, truth, 0.2, patient).ppv
        single = operating.operating_point(alarm, truth, 0.2).ppv
        held += found.low <= ppv <= found.high
        naive += single.low <= ppv <= single.high
    assert held / 300 > 0.92
    assert naive / 300 < 0.85


def test_few_patients_get_values_without_an_interval():
    alarm, truth = cases(10, 20, 3, 20)
    found = operating.operating_point(alarm, truth, 0.1, np.arange(40) % 4)
    for rate in (found.ppv, found.npv, found.alerts):
        assert rate.value is not None
        assert rate.low is None
        assert "too few for an interval" in rate.note


def test_with_one_kind_of_case_nothing_is_claimed():
    found = operating.operating_point(np.ones(5, bool), np.zeros(5, bool), 0.1)
    assert found.ppv == Rate(None, None, None, 5, operating.NO_CASE)
    assert found.specificity.value == 0.0


SCORE = np.array([1, 2, 3, 4, 5, 6, 7, 8], "f4")
TRUTH = np.array([0, 0, 0, 1, 0, 0, 1, 1], bool)


def test_rules_set_the_threshold_they_say():
    assert operating.best_f1(SCORE, TRUTH) == 6.5
    assert operating.at_sensitivity(SCORE, TRUTH, 1.0) == 3.5
    assert operating.at_sensitivity(SCORE, TRUTH, 0.6) == 6.5
    assert operating.normal_quantile(SCORE, TRUTH, 1.0) == 6
    only_normal = np.zeros(8, bool)
    assert np.isnan(operating.best_f1(SCORE, only_normal))
    assert np.isnan(operating.at_sensitivity(SCORE, only_normal, 0.9))
    assert operating.normal_quantile(SCORE, only_normal, 0.5) == 4.5


def test_the_dearer_a_miss_the_lower_the_threshold_of_least_cost():
    found = [operating.least_cost(SCORE, TRUTH, 0.4, ratio) for ratio in (0.01, 1, 100)]
    assert found == [6.5, 6.5, 3.5]
    assert operating.least_cost(SCORE, TRUTH, 0.001, 0.01) == 6.5, "no false alarm, two hits"
    assert np.isnan(operating.least_cost(SCORE, np.zeros(8, bool), 0.1, 1))


def test_the_expected_cost_is_counted_right():
    at = np.array([0.0, 4.5, 9.0])
    cost = operating.expected_cost(SCORE, TRUTH, at, 0.25, 10)
    assert cost == pytest.approx([0.75, 0.25 * (1 / 3) * 10 + 0.75 * 0.4, 2.5])


def test_the_cost_has_an_interval_that_holds_the_truth_and_grows_with_what_a_miss_is_worth():
    cost = operating.cost_rate(SCORE > 4.5, TRUTH, 0.25, 10)
    assert cost.value == pytest.approx(0.25 * (1 / 3) * 10 + 0.75 * 0.4)
    rng, held, sens, spec, prevalence, ratio = np.random.default_rng(1), 0, 0.8, 0.9, 0.1, 12
    truth = np.r_[np.ones(50, bool), np.zeros(80, bool)]
    real = ratio * prevalence * (1 - sens) + (1 - prevalence) * (1 - spec)
    for _ in range(400):
        alarm = rng.random(130) < np.where(truth, sens, 1 - spec)
        found = operating.cost_rate(alarm, truth, prevalence, ratio)
        held += found.low <= real <= found.high
        assert found.low <= found.value <= found.high
    assert held / 400 > 0.92, held / 400
    patient = np.repeat(np.arange(26), 5).astype(object)
    wide = operating.cost_rate(alarm, truth, prevalence, ratio, patient)
    assert wide.low <= wide.value <= wide.high
    cheap = operating.cost_rate(alarm, truth, prevalence, 1)
    assert cheap.high - cheap.low < found.high - found.low
    assert operating.cost_rate(alarm[:50], truth[:50], 0.1, 5).value is None


def test_thresholds_part_equal_scores_together_and_close_ones_apart():
    close = np.array([1, np.nextafter(np.float32(1), 2), 2, 2], "f4")
    assert len(operating.candidates(close)) == 4
    hits, _ = operating.count_alarms(close, np.ones(4, bool), operating.candidates(close))
    assert hits.tolist() == [4, 3, 2, 0]
