"""A threshold as an operating point: predictive values and alarms at a given prevalence, what an
error costs, and rules that set a threshold.

A case is an alarm where its score lies above the threshold. Prevalences and shares are in 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.stats import bootstrap
from core.stats.proportions import Rate, rates

NO_CASE = "needs abnormal and normal cases"


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold means: shares with their 95 % intervals; `alerts` is the share of alarms at
    the prevalence asked for, `missed` the share of all cases that are abnormal and not flagged.
    """

    sensitivity: Rate
    specificity: Rate
    ppv: Rate
    npv: Rate
    alerts: Rate
    missed: float | None


@dataclass(frozen=True)
class _Arm:
    """Alarms among the cases of one kind: `hits` of `n`, as many as they are worth in independent
    cases, of `units` patients; `wide` = quantile of their spread.
    """

    hits: float
    n: float
    units: int
    wide: float


def operating_point(
    alarm: np.ndarray, truth: np.ndarray, prevalence: float, groups: np.ndarray | None = None
) -> OperatingPoint:
    """Sensitivity, specificity, predictive values and alarms of bool `alarm` [n] against bool
    `truth` [n] (True = abnormal), where the share `prevalence` of cases is abnormal.

    Intervals of sensitivity and specificity are `core.stats.proportions.rates`'; those of PPV and
    NPV are the logit intervals of Mercaldo, Lau and Zhou (Statistics in Medicine 2007, 26:2170),
    which take the prevalence as known, and their adjusted ones (half of z squared added to each
    count) where a count is 0. Where cases share patients (`groups` [n]), each kind of case counts
    for as many as its spread over patients makes it worth (Kish's design effect), and the spread
    is taken with Student's t. The interval of the share of alarms is put together from those of
    sensitivity and specificity (MOVER; Zou and Donner, Statistics in Medicine 2008, 27:1693), or,
    where patients have cases of both kinds, found by leaving out each patient.
    """
    alarm, truth = np.asarray(alarm, bool), np.asarray(truth, bool)
    found = rates(alarm, truth, groups)
    sens, spec = found["sensitivity"], found["specificity"]
    if sens.value is None or spec.value is None:
        none = Rate(None, None, None, len(alarm), NO_CASE)
        return OperatingPoint(sens, spec, none, none, none, None)
    right, wrong = prevalence * sens.value, (1 - prevalence) * (1 - spec.value)
    missed, cleared = prevalence * (1 - sens.value), (1 - prevalence) * spec.value
    note = sens.note or spec.note
    ill, well = (
        _arm(alarm[truth == side], None if groups is None else groups[truth == side])
        for side in (True, False)
    )
    bounds: list[tuple[float, float] | None] = [None, None]
    if not note:
        odds = prevalence / (1 - prevalence)
        bounds = [
            _logit_bounds(ill, well, odds),
            _logit_bounds(_turned(well), _turned(ill), 1 / odds),
        ]
    values = (
        right / (right + wrong) if right + wrong > 0 else None,
        cleared / (cleared + missed) if cleared + missed > 0 else None,
    )
    empty = ("nothing lies above the threshold", "everything lies above the threshold")
    ppv, npv = (
        Rate(None, None, None, len(alarm), why)
        if value is None
        else Rate(value, around and around[0], around and around[1], len(alarm), note)
        for value, around, why in zip(values, bounds, empty, strict=True)
    )
    weights = prevalence, 1 - prevalence
    alerts = _weighted(alarm, truth, groups, sens, spec, weights, 0.0, 1.0)
    return OperatingPoint(sens, spec, ppv, npv, alerts, missed)


def _arm(hit: np.ndarray, groups: np.ndarray | None) -> _Arm:
    """Count the alarms `hit` of one kind of case as what they are worth over patients."""
    unit = bootstrap.units(len(hit), groups)
    size = np.bincount(unit)
    if len(size) == len(hit):
        return _Arm(float(hit.sum()), len(hit), len(hit), bootstrap.Z95)
    from scipy.stats import t

    k, share = len(size), float(hit.mean())
    wide = float(t.ppf(0.975, max(k - 1, 1)))
    if share in (0.0, 1.0) or k < 2:  # no spread to be seen: each patient counts once
        return _Arm(share * k, k, k, wide)
    left = (hit.sum() - np.bincount(unit, hit)) / (len(hit) - size)
    spread = (k - 1) / k * float(np.square(left - left.mean()).sum())
    worth = min(len(hit), share * (1 - share) / max(spread, 1e-12))
    return _Arm(share * worth, worth, k, wide)


def _turned(arm: _Arm) -> _Arm:
    """Count those of the same cases that are no alarm."""
    return _Arm(arm.n - arm.hits, arm.n, arm.units, arm.wide)


def _logit_bounds(right: _Arm, wrong: _Arm, odds: float) -> tuple[float, float]:
    """Bound odds*a / (odds*a + b) for the shares a of `right` and b of `wrong` that are hits."""
    from scipy.special import expit

    wide = max(right.wide, wrong.wide)
    counts = (right.hits, right.n - right.hits, wrong.hits, wrong.n - wrong.hits)
    more = wide**2 / 2 if min(counts) < 1e-9 else 0.0
    a, b = (
        (arm.hits + more) / (arm.n + 2 * more) if more else arm.hits / arm.n
        for arm in (right, wrong)
    )
    middle = np.log(odds * a / b)
    spread = np.sqrt((1 - a) / (a * (right.n + 2 * more)) + (1 - b) / (b * (wrong.n + 2 * more)))
    low, high = expit(middle - wide * spread), expit(middle + wide * spread)
    # the value itself lies within, where counts were added as well
    value = (
        odds
        * right.hits
        / right.n
        / max(odds * right.hits / right.n + wrong.hits / wrong.n, 1e-300)
    )
    return float(min(low, value)), float(max(high, value))


def cost_rate(
    alarm: np.ndarray,
    truth: np.ndarray,
    prevalence: float,
    ratio: float,
    groups: np.ndarray | None = None,
) -> Rate:
    """Return the expected cost a case, in false alarms (see `expected_cost`), of bool `alarm` [n]
    against bool `truth` [n], with a 95 % interval as that of the share of alarms in
    `operating_point`; the prevalence and the ratio are taken as known.
    """
    alarm, truth = np.asarray(alarm, bool), np.asarray(truth, bool)
    found = rates(alarm, truth, groups)
    sens, spec = found["sensitivity"], found["specificity"]
    if sens.value is None or spec.value is None:
        return Rate(None, None, None, len(alarm), NO_CASE)
    most = ratio * prevalence
    weights = -most, 1 - prevalence
    return _weighted(alarm, truth, groups, sens, spec, weights, most, max(most, 1 - prevalence))


def _weighted(
    alarm: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray | None,
    sens: Rate,
    spec: Rate,
    weights: tuple[float, float],
    start: float,
    most: float,
) -> Rate:
    """Return `start` plus the weighted shares of alarms among abnormal and normal cases, with its
    interval in [0, `most`].
    """
    assert sens.value is not None
    assert spec.value is not None
    a, b = weights
    value = start + a * sens.value + b * (1 - spec.value)
    if sens.low is None or sens.high is None or spec.low is None or spec.high is None:
        return Rate(value, None, None, len(alarm), sens.note or spec.note)
    unit = bootstrap.units(len(alarm), groups)
    if 0 < value < most and len(np.intersect1d(unit[truth], unit[~truth])):

        def weighted(i: np.ndarray) -> float:
            of = alarm[i], truth[i]
            if of[1].all() or not of[1].any():
                return float("nan")
            return float(start + a * of[0][of[1]].mean() + b * of[0][~of[1]].mean())

        found = bootstrap.interval(weighted, len(alarm), groups, (0.0, most), classes=truth)
        return Rate(value, found.low, found.high, len(alarm), found.note)
    ill = [a * (sens.value - sens.low), a * (sens.high - sens.value)]
    well = [b * (spec.high - spec.value), b * (spec.value - spec.low)]
    if a < 0:  # more found is less
        ill.reverse()
    low, high = value - np.hypot(ill[0], well[0]), value + np.hypot(ill[1], well[1])
    return Rate(value, float(max(0.0, low)), float(min(most, high)), len(alarm))


# -- rules that set a threshold --------------------------------------------------------------------
def candidates(score: np.ndarray) -> np.ndarray:
    """Thresholds float64 that part the scores [n] in every way there is, ascending: below all of
    them, half way between neighbours, and the largest.
    """
    found = np.unique(np.asarray(score, dtype=np.float64))
    if not len(found):
        return found
    step = (found[-1] - found[0]) / 400 or 1.0
    between = found[:-1] + (found[1:] - found[:-1]) / 2
    return np.concatenate([[found[0] - step], between, [found[-1]]])


def count_alarms(
    score: np.ndarray, truth: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How many abnormal and how many normal cases lie above each threshold of `at`: int64 each."""
    score, truth = np.asarray(score, dtype=np.float64), np.asarray(truth, bool)
    ill, well = np.sort(score[truth]), np.sort(score[~truth])
    return (
        len(ill) - np.searchsorted(ill, at, "right"),
        len(well) - np.searchsorted(well, at, "right"),
    )


def normal_quantile(score: np.ndarray, truth: np.ndarray, share: float) -> float:
    """Threshold below which the share `share` of the normal cases lies; NaN without any."""
    normal = np.asarray(score, dtype=np.float64)[~np.asarray(truth, bool)]
    return float(np.quantile(normal, share)) if len(normal) else float("nan")


def best_f1(score: np.ndarray, truth: np.ndarray) -> float:
    """Threshold of the largest F1 on these cases; of equal ones the lowest. NaN where there is no
    abnormal case.
    """
    if not truth.any():
        return float("nan")
    at = candidates(score)
    hits, false = count_alarms(score, truth, at)
    return float(at[np.argmax(2 * hits / (hits + false + truth.sum()))])


def at_sensitivity(score: np.ndarray, truth: np.ndarray, least: float) -> float:
    """Return the highest threshold at which the share `least` of the abnormal cases is flagged; NaN
    where there is no abnormal case.
    """
    if not truth.any():
        return float("nan")
    at = candidates(score)
    hits = count_alarms(score, truth, at)[0]
    return float(at[hits >= least * truth.sum() - 1e-9][-1])


def expected_cost(
    score: np.ndarray, truth: np.ndarray, at: np.ndarray, prevalence: float, ratio: float
) -> np.ndarray:
    """Return the expected cost a case, in false alarms, of each threshold: float64 [len(at)].

    A miss costs as much as `ratio` false alarms, and the share `prevalence` of cases is abnormal
    (e.g. Metz, Seminars in Nuclear Medicine 1978, 8:283). NaN where a kind of case is lacking.
    """
    hits, false = count_alarms(score, truth, at)
    ill, well = truth.sum(), (~truth).sum()
    if not ill or not well:
        return np.full(len(at), np.nan)
    return prevalence * (1 - hits / ill) * ratio + (1 - prevalence) * false / well


def least_cost(score: np.ndarray, truth: np.ndarray, prevalence: float, ratio: float) -> float:
    """Threshold of least `expected_cost` on these cases; of equal ones the lowest, which misses
    least. NaN where a kind of case is lacking.
    """
    at = candidates(score)
    cost = expected_cost(score, truth, at, prevalence, ratio)
    return float("nan") if np.isnan(cost).any() else float(at[np.argmin(np.round(cost, 12))])


RULES: dict[str, Callable[[np.ndarray, np.ndarray, float], float]] = {
    "normal": normal_quantile,
    "sensitivity": at_sensitivity,
    "f1": lambda score, truth, _: best_f1(score, truth),
}
