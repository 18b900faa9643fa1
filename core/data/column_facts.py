"""What the values of a column tell by themselves, and what two columns tell of one another. For
`core.data.roles`.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

from core.data import role_words as words
from core.data.compound_words import FEW, why_not_numeric
from core.data.role_words import tokens

DATE = (
    r"\A(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})"
    r"|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4}|(19|20)\d\d-(0[1-9]|1[0-2])|(0?[1-9]|1[0-2])/(19"
    r"|20)\d\d|[A-Za-z]{3,9}[- ](19|20)\d\d)([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?(Z"
    r"|[-+]\d{2}:?\d{2})?)?\z"
)
SAMPLE = 2000  # values in which a column with many different values is recognised
SINCE = {1: "seconds", 1e3: "milliseconds", 1e6: "microseconds", 1e9: "nanoseconds"}
BITS = 12.0  # a twin by chance would take as many tosses of a coin


class ColumnFacts:
    """What the values of one column tell; each is worked out when it is first asked for."""

    def __init__(self, name: str, values: pd.Series) -> None:
        self.name, self.values, self.n = name, values, len(values)
        self.tokens = tokens(name)

    @cached_property
    def there(self) -> pd.Series:
        """The values that are not missing."""
        return self.values.dropna()

    @cached_property
    def filled(self) -> int:
        """How many values are not missing."""
        return int(self.values.count())

    @cached_property
    def some(self) -> pd.Series:
        """The first `SAMPLE` values that are not missing."""
        found = self.values.iloc[: 2 * SAMPLE].dropna().iloc[:SAMPLE]
        return found if len(found) == min(SAMPLE, self.filled) else self.there.iloc[:SAMPLE]

    @cached_property
    def numbers(self) -> bool:
        """Whether it holds numbers; yes and no are none."""
        return is_numeric_dtype(self.values) and not is_bool_dtype(self.values)

    @cached_property
    def whole(self) -> bool:
        """Numbers without a fraction."""
        if not self.numbers:
            return False
        some = self.some.to_numpy(np.float64)
        if not bool((some == np.round(some)).all()):
            return False
        every = self.there.to_numpy(np.float64)
        return len(every) > 0 and bool((every == np.round(every)).all())

    @cached_property
    def dates(self) -> bool:
        """Dates, by type or by how nine in ten words look; fewer where the others are a few
        different words.
        """
        if is_datetime64_any_dtype(self.values):
            return True
        if self.numbers or is_bool_dtype(self.values) or not self.filled:
            return False
        some = [str(v) for v in self.some]
        pattern = re.compile(DATE.replace(r"\z", r"\Z"))
        others = [v for v in some if not pattern.match(v)]
        few = len(set(others)) <= 3 and len(others) <= 0.7 * len(some)  # “unknown” among dates
        return len(others) <= 0.1 * len(some) or few

    @cached_property
    def moments(self) -> str:
        """What a column of numbers that are moments counts, by its range (and by its name, where
        that leaves a doubt); "" for other numbers.
        """
        if not self.numbers or not self.filled or self.few(2):
            return ""
        low, high = find_ends(self.values)
        named = words.is_moment(self.tokens)
        for many, called in SINCE.items():
            early = 0.3e9 if named else 1e9  # 1979 and 2001
            # a day; ids that count up, and small differences, are no moments
            over = high - low > 86_400 * many
            if (
                over
                and early * many <= low
                and high <= 2.2e9 * many
                and (named or (self.whole and not self.few(FEW)))
            ):
                return f"holds {called} since 1970, as it seems"
        dated = words.is_date(self.tokens)
        if dated and low > 366 and not (self.whole and low >= 1850 and high <= 2150):
            return "named like a date, and holds numbers that may count days or seconds"
        return ""

    @cached_property
    def odd_form(self) -> str:
        """Why words that hold numbers cannot be learned from; "" for others."""
        if self.numbers or is_bool_dtype(self.values) or is_datetime64_any_dtype(self.values):
            return ""
        if words.is_place(self.tokens) or words.is_patient(self.name) or words.is_id(self.tokens):
            return ""
        return why_not_numeric(self.some)

    @cached_property
    def coded(self) -> tuple[np.ndarray, np.ndarray]:
        """int64 codes [n] (-1 = missing) and the different values."""
        codes, values = pd.factorize(self.values)
        return codes, np.asarray(values, dtype=object)

    @cached_property
    def different(self) -> int:
        """How many different values it has."""
        return len(self.coded[1])

    @cached_property
    def _first(self) -> int:
        """How many different values the first ones are."""
        return len(pd.unique(self.some.to_numpy()))

    def few(self, most: int) -> bool:
        """Whether there are at most that many different values."""
        if "coded" not in self.__dict__ and self._first > most:
            return False
        return self.different <= most

    @cached_property
    def sizes(self) -> np.ndarray:
        """Rows of each different value."""
        codes = self.coded[0]
        return np.bincount(codes[codes >= 0], minlength=self.different)

    @property
    def discrete(self) -> bool:
        """Words, yes and no, or whole numbers."""
        return self.whole or not self.numbers


def find_ends(values: pd.Series) -> tuple[float, float]:
    """Return the least and the largest of numbers, missing ones passed over; nan where there are
    none. Floats are not copied for it, as pandas does.
    """
    numbers = values.to_numpy() if values.dtype == np.float64 and len(values) else None
    if numbers is not None:
        return float(np.fmin.reduce(numbers)), float(np.fmax.reduce(numbers))
    if not values.notna().any():
        return np.nan, np.nan
    return float(values.min()), float(values.max())


def why_row_number(column: ColumnFacts, named: float) -> str | None:
    """Why a column is a row number; None when it is none.

    Whole numbers, none missing, that count the rows in any order, or from the start again in each
    file; where the name says so (`named`) they may have gaps as well.
    """
    if not column.whole or column.filled < column.n or words.is_patient(column.name):
        return None
    if column.n < (3 if named else 20) or words.is_input(column.tokens):
        return None
    values = column.values.to_numpy(np.float64)
    alone = len(np.unique(values)) == column.n
    if alone and values.max() - values.min() == column.n - 1:
        return "counts the rows"
    again = np.diff(values) != 1
    if (
        values[0] in (0, 1)
        and again.mean() <= 0.05
        and bool((values[1:][again] == values[0]).all())
    ):
        return "counts the rows, from the start again now and then"
    if named >= 0.9 and alone:
        return "numbers the rows, with gaps"
    return None


def has_few_rows_each(column: ColumnFacts) -> bool:
    """Many different values with few rows each, and not one row each throughout."""
    k, there = column.different, column.filled
    if k < 3 or k >= there:
        return False
    typical = float(np.median(column.sizes))
    return there / k <= 5 or (k >= 10 and typical <= max(10, there / 20))


def _cross_tabulate(
    one: ColumnFacts, other: ColumnFacts
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Codes of both where both are known, and counts [different, different]; None where they cannot
    be compared.
    """
    if not one.discrete or not one.few(50) or not other.few(50):
        return None
    a, b = one.coded[0], other.coded[0]
    both = (a >= 0) & (b >= 0)
    if both.sum() < 0.9 * max((a >= 0).sum(), (b >= 0).sum()) or not both.any():
        return None
    counts = np.zeros((one.different, other.different), int)
    np.add.at(counts, (a[both], b[both]), 1)
    return a[both], b[both], counts


def _total_bits(counts: np.ndarray) -> float:
    """How many tosses of a coin the second column is worth: rows times the entropy of its
    values.
    """
    share = counts.sum(0) / counts.sum()
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum() * counts.sum())


def carry_same_information(one: ColumnFacts, other: ColumnFacts) -> bool:
    """Whether two columns say the same, value by value, and not by chance."""
    # the first values of a column of measurements tell, before all of them are counted
    if not one.few(other.different) or one.different != other.different or one.different < 2:
        return False
    pairs = _cross_tabulate(one, other)
    if pairs is None:
        return False
    counts = pairs[2]
    return (
        bool(((counts > 0).sum(0) == 1).all() and ((counts > 0).sum(1) == 1).all())
        and _total_bits(counts) >= BITS
    )


def determines(one: ColumnFacts, other: ColumnFacts) -> bool:
    """Whether each value of the first (few, with several rows each) goes with one value of the
    second.
    """
    if not one.few(FEW) or not other.few(one.different - 1) or one.sizes.min() < 5:
        return False
    pairs = _cross_tabulate(one, other)
    if pairs is None:
        return False
    counts = pairs[2]
    return bool(((counts > 0).sum(1) == 1).all()) and _total_bits(counts) >= BITS + one.different
