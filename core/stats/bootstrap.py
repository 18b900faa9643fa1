"""How far a measured number may be off: its 95 % interval, with whole patients as what might have
been others.

Leaving out each patient in turn shows how much a number rests on whom it was counted (the jackknife
of Efron and Stein 1981: the bootstrap's spread without its draws, and without copies of a case,
which would shape groups and ranks). From that spread the interval is laid with Student's t on one
degree of freedom fewer than there are patients (of even size), on the scale of log-odds where a
number has two ends and of logarithms where it has one, so that it stays within them (for shares of
surveys: Korn and Graubard 1998). Percentiles of the bootstrap, the usual way, hold the truth too
seldom where patients are few, above all near an end of the scale. How often each kind of number's
interval holds the truth: tests/benchmarks/bench_intervals.py, stored in
assets/evidence/intervals.json.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from core.artifacts.tables import Interval

FEWEST = 10  # patients below which nothing is said of other patients
RAREST = 3  # patients of the rarer kind below which a comparison of two kinds gets no interval
BLOCKS = 100  # units are left out in at most so many blocks
Z95 = 1.959964
ALIKE = "no interval: without any of the cases it comes out the same"
EVERYWHERE = (-np.inf, np.inf)


def units(n: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Return the independent unit of each of `n` rows.

    Parameters: `groups`, object [n], a patient id a row, or None where there are no patients.
    Returns int64 [n], codes 0..k-1. A row without an id (None, NaN, "") is a unit of its own, as
    the splitter has it.
    """
    if groups is None:
        return np.arange(n)
    given = np.asarray(groups, dtype=object)
    missing = pd.isna(given) | (given == "")
    code = pd.factorize(np.array([str(g) for g in given[~missing]], dtype=object))[0]
    found = np.empty(n, np.int64)
    found[~missing] = code
    found[missing] = code.max(initial=-1) + 1 + np.arange(missing.sum())
    return found


def resample(unit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Positions int64 of one bootstrap draw: as many units as there are, with replacement, each
    with all its rows.
    """
    order = np.argsort(unit, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(unit[order])) + 1)
    return np.concatenate([members[k] for k in rng.integers(0, len(members), len(members))])


def mean_interval(
    values: np.ndarray, groups: np.ndarray | None = None, within: tuple[float, float] = EVERYWHERE
) -> Interval:
    """95 % interval of the mean of `values` over the patients `groups`.

    Parameters: `values` float or bool [n]; `groups` object [n] or None; `within`, the least and
    largest value there can be: bool values lie in 0 to 1. Values that are true or false are a
    proportion: Wilson's interval where each stands for itself.
    """
    values = np.asarray(values)
    share = values.dtype == bool
    unit, values = units(len(values), groups), values.astype(float)
    size = np.bincount(unit)
    if share and len(size) == len(values):
        low, high = score_bounds(float(values.mean()) if len(values) else 0.0, len(values), Z95)
        return (
            Interval(low, high, "interval", len(size))
            if len(values)
            else Interval(None, None, "", 0, "no case")
        )
    if few := _few(len(size), len(values), groups):
        return few
    total = np.bincount(unit, values)
    left = (values.sum() - total) / (len(values) - size)
    if share:  # never worth more than as many single cases
        return _laid(
            float(values.mean()),
            left,
            len(size) - 1.0,
            (0.0, 1.0),
            len(size),
            len(size),
            float(len(values)),
        )
    return _laid(float(values.mean()), left, _even(size) - 1.0, within, len(size), len(size))


def interval(
    value: Callable[[np.ndarray], float],
    n: int,
    groups: np.ndarray | None = None,
    within: tuple[float, float] = EVERYWHERE,
    classes: np.ndarray | None = None,
    flatters: bool = False,
    blocks: int = BLOCKS,
) -> Interval:
    """95 % interval of `value(positions)`, counted over rows 0..n-1, with the patients `groups` as
    units.

    Parameters: `within`, the least and largest value there can be ((0, 1) for an AUC; (0, inf) for
    a ratio); `classes` [n], where a number compares kinds of cases: the patients of the rarer ones
    then bound what can be known. `flatters`: it comes out too high on few cases (the best of all
    thresholds, shared information), so what the jackknife finds of that is taken off the interval's
    middle. `blocks`: more units than that are left out in so many blocks, drawn with a fixed seed.
    Cost: at most `blocks` + 1 calls of `value`, which gives NaN where it is not defined.
    """
    unit = units(n, groups)
    k = int(unit.max(initial=-1)) + 1
    if few := _few(k, n, groups):
        return few
    freedom, limit = min(_even(np.bincount(unit)), blocks) - 1.0, k
    if classes is not None:
        bearing = np.array([len(np.unique(unit[classes == c])) for c in np.unique(classes)])
        limit = int(bearing.min())
        if len(bearing) == 2 and limit < RAREST:
            word = f"{_word(groups)}{'' if limit == 1 else 's'}"
            return Interval(
                None, None, "", k, f"too few for an interval ({limit} {word} of the rarer kind)"
            )
        freedom = min(freedom, _freedom(bearing[bearing > 1]))
    block = np.random.default_rng(0).permutation(k)[unit] % blocks if k > blocks else unit
    left = np.array([value(np.flatnonzero(block != b)) for b in range(min(k, blocks))], dtype=float)
    if not np.isfinite(left).all():
        return Interval(
            None, None, "", k, f"no interval: it is not defined without one of the {_word(groups)}s"
        )
    every = float(value(np.arange(n)))
    middle = every - (len(left) - 1) * (float(left.mean()) - every) if flatters else every
    found = _laid(middle, left, freedom, within, k, limit)
    if found.low is None or found.high is None:
        return found
    # the number itself lies within
    return Interval(min(found.low, every), max(found.high, every), found.kind, k)


def score_bounds(p: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's score bounds of a share `p` that is worth `n` independent cases, n > 0; `quantile`
    1.96 for 95 %.
    """
    squared = quantile * quantile
    middle = (p + squared / (2 * n)) / (1 + squared / n)
    half = quantile * np.sqrt(p * (1 - p) / n + squared / (4 * n * n)) / (1 + squared / n)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _even(size: np.ndarray) -> float:
    """To how many units of even size units of `size` cases come (Kish 1965): as many of them, or
    fewer where some have most of the cases.
    """
    return float(size.sum() ** 2 / np.square(size.astype(float)).sum())


def _freedom(bearing: np.ndarray) -> float:
    """Degrees of freedom (Satterthwaite) of a comparison of kinds that `bearing` patients each
    have, their spread taken as alike.
    """
    if not len(bearing):
        return 1.0
    part = 1 / bearing.astype(float)
    return float(part.sum() ** 2 / (part**2 / (bearing - 1)).sum())


def _laid(
    value: float,
    left: np.ndarray,
    freedom: float,
    within: tuple[float, float],
    k: int,
    limit: int,
    most: float = np.inf,
) -> Interval:
    """Return the interval about `value` of `k` units from what is found without each (block of)
    them, `left`.

    At the end of the scale there is no spread, and `limit` units count as so many right of so many.
    `most`: what a proportion can be worth in cases.
    """
    from scipy.special import expit, logit
    from scipy.stats import t

    bottom, top = within
    error = float(np.sqrt((len(left) - 1) / len(left) * np.square(left - left.mean()).sum()))
    wide = float(t.ppf(0.975, max(freedom, 1.0)))
    if np.isfinite(bottom) and np.isfinite(top):
        p, spread = min(max((value - bottom) / (top - bottom), 0.0), 1.0), error / (top - bottom)
        if p < 1e-9 or p > 1 - 1e-9:
            low, high = score_bounds(round(p), limit, Z95)
        elif spread < 1e-9 and most == np.inf:
            return Interval(None, None, "", k, ALIKE)
        else:
            spread = max(spread, float(np.sqrt(p * (1 - p) / most)))
            reach = wide * spread / (p * (1 - p))
            low, high = (float(expit(logit(p) + side * reach)) for side in (-1, 1))
        return Interval(
            bottom + (top - bottom) * low, bottom + (top - bottom) * high, "interval", k
        )
    if error < 1e-9 * max(abs(value), 1e-9):
        return Interval(None, None, "", k, ALIKE)
    if bottom == 0 and value > 0:
        factor = float(np.exp(wide * error / value))
        return Interval(value / factor, value * factor, "interval", k)
    return Interval(value - wide * error, value + wide * error, "interval", k)


def _word(groups: np.ndarray | None) -> str:
    return "case" if groups is None else "patient"


def _few(k: int, n: int, groups: np.ndarray | None) -> Interval | None:
    if k >= FEWEST:
        return None
    return Interval(
        None, None, "", k, f"too few for an interval ({k} {_word(groups)}{'' if k == 1 else 's'})"
    )
