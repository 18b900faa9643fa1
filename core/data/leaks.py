"""Whether a column gives the outcome away: by its blanks, by values that part the classes, or as
one of several columns that write the classes together. For `core.data.roles`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.data.column_facts import ColumnFacts
from core.data.role_words import normalise_name

LEAST = 5  # rows of each class, for what is more than chance
ROWS = 20
FIRST = 2000  # rows that are looked at before all are


def is_blank_by_class(column: ColumnFacts, label: ColumnFacts) -> bool:
    """Whether a column is blank in all rows of some classes and filled in all rows of the
    others.
    """
    blank = column.values.isna().to_numpy()
    if not blank.any():
        return False
    codes = label.coded[0]
    if column.n < ROWS or not label.few(10):
        return False
    # the first rows mostly tell that it is filled in some rows of a class and blank in others
    none, size = _count_blanks(blank[:FIRST], codes[:FIRST], label.different)
    if ((none > 0) & (none < size)).any():
        return False
    none, size = _count_blanks(blank, codes, label.different)
    if not none.any() or (none == size).all():
        return False
    return bool(((none == 0) | (none == size)).all()) and size.min() >= LEAST


def _count_blanks(blank: np.ndarray, codes: np.ndarray, many: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how many rows of each of so many classes are blank, and how many there are."""
    known = codes >= 0
    none = np.bincount(codes[known], weights=blank[known], minlength=many)
    return none, np.bincount(codes[known], minlength=many)


def separates_classes(column: ColumnFacts, label: ColumnFacts) -> bool:
    """Whether all numbers of one of two classes lie above all of the other."""
    codes = label.coded[0]
    if not column.numbers or label.different != 2 or column.n < ROWS or column.few(10):
        return False
    values = pd.to_numeric(column.values).to_numpy(np.float64, na_value=np.nan)
    # the first values mostly overlap, and then all do
    return _lie_apart(values[:FIRST], codes[:FIRST], 0) and _lie_apart(values, codes, 2 * LEAST)


def _lie_apart(values: np.ndarray, codes: np.ndarray, least: int) -> bool:
    """Whether all numbers of one of two classes lie above all of the other; not where one has fewer
    than `least`. A class without numbers lies apart.
    """
    one, two = (values[(codes == k) & ~np.isnan(values)] for k in (0, 1))
    if min(len(one), len(two)) < least:
        return False
    return not len(one) or not len(two) or bool(one.max() < two.min() or two.max() < one.min())


def find_one_hot_labels(columns: Sequence[ColumnFacts], label: ColumnFacts) -> list[ColumnFacts]:
    """Return the columns of 0 and 1 that write the classes together with the outcome: named alike,
    one of them 1 in each row.
    """
    if not _is_flag(label):
        return []
    begins = normalise_name(label.name).rpartition("_")[0]
    alike = [
        c
        for c in columns
        if begins and normalise_name(c.name).rpartition("_")[0] == begins and _is_flag(c)
    ]
    if len(alike) < 2:
        return []
    total = sum(c.values.to_numpy(np.float64, na_value=np.nan) for c in [*alike, label])
    return alike if bool(np.all(np.asarray(total) == 1)) else []


def _is_flag(column: ColumnFacts) -> bool:
    return column.whole and column.few(2) and {float(v) for v in column.coded[1]} == {0.0, 1.0}
