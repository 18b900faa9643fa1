"""AUROC and false alarms by class, site or kind: the figures of each value alone."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from core.explain.anomaly_by_value import ScoredCases, compare_values
from core.stats.bootstrap import interval


def made(n=400, seed=0):
    """Site A is told apart well, B not at all; of site C no normal case was trained on."""
    rng = np.random.default_rng(seed)
    site = np.array(["A", "B", "C"], dtype=object)[np.arange(n) % 3]
    abnormal = rng.random(n) < 0.4
    score = rng.normal(size=n) + 3 * (abnormal & (site == "A"))
    split = np.where(np.arange(n) % 4 < 2, "train", "test")
    abnormal[(split == "train") & (site == "C")] = True
    cases = ScoredCases(score, abnormal, np.ones(n, bool), split)
    return cases, site


def test_each_value_has_the_figures_of_its_own_cases():
    cases, site = made()
    found = compare_values(cases, site, 1.0)
    assert [f.value for f in found] == ["A", "B", "C"]
    for f in found:
        own = (cases.split == "test") & (site == f.value)
        ill = own & cases.abnormal
        assert (f.normal, f.abnormal) == (int((own & ~ill).sum()), int(ill.sum()))
        assert f.auroc.value == pytest.approx(roc_auc_score(cases.abnormal[own], cases.score[own]))
        assert f.auroc.split == "test"
        assert f.auroc.n == own.sum()
        assert f.alarms.value == pytest.approx((cases.score[own & ~ill] > 1.0).mean())
        trained = (cases.split == "train") & (site == f.value) & ~cases.abnormal
        assert f.trained == trained.sum()
    assert found[2].trained == 0
    a, b = found[0].auroc, found[1].auroc
    assert a.low > 0.9
    assert b.low < 0.5 < b.high


def test_the_interval_counts_patients():
    cases, site = made()
    groups = np.array([f"P{i // 12}" for i in range(len(site))], dtype=object)
    per_case = compare_values(cases, site, 1.0)[1].auroc
    by_patient = compare_values(
        ScoredCases(cases.score, cases.abnormal, cases.judged, cases.split, groups), site, 1.0
    )[1].auroc
    assert by_patient.value == per_case.value
    at = np.flatnonzero((cases.split == "test") & (site == "B"))
    truth, score = cases.abnormal[at], cases.score[at]

    def one(i):
        return float(roc_auc_score(truth[i], score[i]))

    wanted = interval(one, len(at), groups[at], (0, 1), classes=truth)
    assert (by_patient.low, by_patient.high) == wanted.bounds
    assert by_patient.units == len(set(groups[at]))


def test_a_class_that_is_all_abnormal_is_counted_against_all_normal_cases():
    cases, _ = made()
    kinds = np.where(cases.abnormal, "lesion", "healthy").astype(object)
    healthy, lesion = compare_values(cases, kinds, 1.0)
    assert healthy.auroc.value is None
    assert healthy.auroc.note == "none abnormal"
    assert healthy.alarms.value is not None
    test = cases.split == "test"
    assert lesion.auroc.value == pytest.approx(
        roc_auc_score(cases.abnormal[test], cases.score[test])
    )
    assert lesion.auroc.note.startswith("against all normal cases")
    assert lesion.alarms.value is None
    assert lesion.normal == 0


def test_unknown_and_unscored_cases_count_nowhere_and_missing_values_have_no_line():
    cases, site = made()
    score, judged = cases.score.copy(), cases.judged.copy()
    score[::5], judged[1::5] = np.nan, False
    site[2::5] = None
    found = compare_values(ScoredCases(score, cases.abnormal, judged, cases.split), site, 1.0)
    assert [f.value for f in found] == ["A", "B", "C"]
    use = np.isfinite(score) & judged & (cases.split == "test") & (site == "A")
    assert found[0].auroc.n == use.sum()


def test_validation_cases_count_where_the_test_part_has_one_kind_only():
    cases, site = made()
    split = np.where(cases.split == "test", "val", "train")
    split[np.flatnonzero(~cases.abnormal & (split == "val"))[:5]] = "test"
    found = compare_values(ScoredCases(cases.score, cases.abnormal, cases.judged, split), site, 0)
    assert {f.auroc.split for f in found} == {"val"}
    none = ScoredCases(cases.score, np.zeros(len(site), bool), cases.judged, split)
    assert compare_values(none, site, 0) == []
