"""Which values of a case of a table are unusual, each column by itself, against the cases a run
learned from.

A value counts by the share of the reference that is at least as extreme: of columns with many
values on both sides (twice the smaller tail, at most 1), of those with few by how many cases have
a value that is no more frequent. (1 + k) / (n + 1) keeps shares above zero. Missing is a value
like any other. An unusual combination of usual values is not found this way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.columns import format_distinct
from core.data.dataset import Dataset
from core.words import percent

FEW = 10  # different values up to which they are counted one by one
RARE = 0.1  # a value that more than this share of cases exceed is not named
MOST = 20_000_000  # reference values that are sorted; of longer tables evenly spaced rows


@dataclass(frozen=True)
class UnusualValue:
    """One value of one case: `share` (0, 1] of the reference is at least as extreme; `words` say
    how it lies there.
    """

    column: str
    value: str
    share: float
    words: str

    def __str__(self) -> str:
        return f"{self.column} {self.value} ({self.words})"


def find_unusual_values(
    data: Dataset, reference: Dataset, rows: np.ndarray, top: int = 3
) -> list[list[UnusualValue]]:
    """Return the most unusual values of table cases, rarest first.

    Parameters: `data` with the case ids `rows` [m]; `reference`, the cases that say what is usual;
    `top`, how many values a case at most. Returns: m lists; empty where no single value is rare.
    """
    step = max(1, len(reference) * len(data.features) // MOST)
    known = reference.raw(np.arange(0, len(reference), step)).astype(np.float64)
    cases = data.of(rows).raw().astype(np.float64)
    found: list[list[tuple[float, float, UnusualValue]]] = [[] for _ in rows]
    for j, name in enumerate(data.features):
        column = np.sort(known[:, j])  # missing values last
        few = len(np.unique(column)) <= FEW
        for i, x in enumerate(cases[:, j]):
            one = (
                _check_category(name, column, x, data)
                if few
                else _check_number(name, column, x, data)
            )
            if one is not None and one.share <= RARE:
                far = 0.0 if few else _distance_from_middle(column, x)
                found[i].append((one.share, -far, one))
    return [[v for *_, v in sorted(of, key=lambda f: f[:2])[:top]] for of in found]


def _check_number(name: str, column: np.ndarray, x: float, data: Dataset) -> UnusualValue | None:
    """Return a value among many, by the tails of the sorted `column`."""
    if np.isnan(x):
        return _check_missing(name, column, data)
    n = int(np.isfinite(column).sum())
    if not n:
        return None
    below = int(np.searchsorted(column[:n], x, "left"))
    above = n - int(np.searchsorted(column[:n], x, "right"))
    share = min(1.0, 2 * (1 + n - max(below, above)) / (n + 1))
    high = below >= above
    beaten = max(below, above)
    side = "higher" if high else "lower"
    words = f"{side} than {_describe_majority(beaten, n)}"
    return UnusualValue(name, format_distinct(x)[0], share, words)


def _check_category(name: str, column: np.ndarray, x: float, data: Dataset) -> UnusualValue | None:
    """Return a value among few, by how often it occurs; of a category's column only the value it
    has.
    """
    if np.isnan(x):
        return _check_missing(name, column, data)
    shown, category = _split_name(name, data)
    if category and x == 0:
        return None
    value = category or format_distinct(x)[0]
    values, counts = np.unique(column, return_counts=True)
    own = int(counts[values == x].sum())
    share = (1 + int(counts[counts <= own].sum())) / (len(column) + 1)
    return UnusualValue(shown, value, share, _describe_frequency(own, len(column)))


def _check_missing(name: str, column: np.ndarray, data: Dataset) -> UnusualValue:
    lost, n = int(np.isnan(column).sum()), len(column)
    return UnusualValue(
        _split_name(name, data)[0], "missing", (1 + lost) / (n + 1), _describe_frequency(lost, n)
    )


def _split_name(name: str, data: Dataset) -> tuple[str, str]:
    """Return the column of the table, and of a category's input column ("sex=male") the
    category.
    """
    if "=" not in name or name in data.frame.columns:
        return name, ""
    column, _, category = name.partition("=")
    return column, category


def _describe_majority(many: int, n: int) -> str:
    """Return a large part of `n` cases in words."""
    if many == n:
        return f"all {n:,}"
    return f"{many:,} of {n:,}" if many / n >= 0.99 else f"{percent(many / n)}"


def _describe_frequency(many: int, n: int) -> str:
    """How often a value occurs, in words."""
    if not many:
        return f"in none of {n:,}"
    return f"in {many:,} of {n:,}" if many / n < 0.01 else f"in {percent(many / n)} of cases"


def _distance_from_middle(column: np.ndarray, x: float) -> float:
    """How far `x` lies from the middle, in half-widths of the middle half; ranks equal shares."""
    there = column[np.isfinite(column)]
    if np.isnan(x) or not len(there):
        return 0.0
    low, middle, high = np.quantile(there, [0.25, 0.5, 0.75])
    return float(abs(x - middle) / max(high - low, 1e-12))
