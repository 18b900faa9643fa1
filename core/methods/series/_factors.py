"""Symbols of a dataset: the values of factors, which are the label and other columns; numbers
become low and high at the training median.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.data.dataset import Dataset
from core.data.labels import codes_of, no_such_column
from core.errors import UserError

FACTORS = 4  # the label and three more


@dataclass(frozen=True)
class Factor:
    """A column and its symbols; `cut` is the median that parts low from high for numbers. `names`
    are what the symbols are called.
    """

    column: str
    values: tuple[str, ...]
    names: tuple[str, ...]
    cut: float | None = None

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Factor:
        """Return the factor that `asdict` gave, lists in place of its tuples."""
        return cls(stored["column"], tuple(stored["values"]), tuple(stored["names"]), stored["cut"])

    def codes(self, data: Dataset) -> np.ndarray:
        """int64 [n]: the symbol of each row, -1 = none of them."""
        column = data.frame[self.column]
        if self.cut is not None:
            value = column.to_numpy(dtype=float, na_value=np.nan)
            return np.where(np.isnan(value), -1, value > self.cut).astype(np.int64)
        return codes_of(map(_word, column), list(self.values))


def _word(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def factor(data: Dataset, column: str, least: int, label: bool) -> tuple[Factor | None, list[str]]:
    """Return the factor of a column from training rows, None with fewer than two symbols of `least`
    rows each; and the symbols left out, in words.
    """
    if column not in data.frame:
        raise no_such_column(data, column, "also")
    values = data.frame[column]
    if not label and pd.api.types.is_numeric_dtype(values) and values.nunique() > 6:
        cut = float(values.median())
        halves = Factor(column, ("low", "high"), (f"{column} low", f"{column} high"), cut)
        return (
            halves if np.bincount(halves.codes(data) + 1, minlength=3)[1:].min() >= least else None
        ), []
    words, count = np.unique([_word(v) for v in values], return_counts=True)
    frequent = [str(w) for w, k in zip(words, count) if w and k >= least]
    rare = [f"{w} ({k})" for w, k in zip(words, count) if w and k < least]
    if len(frequent) > 60:
        raise UserError(f"“{column}” has {len(frequent)} values; symbols are for at most 60.")
    return (
        Factor(
            column,
            tuple(frequent),
            tuple(frequent) if label else tuple(f"{column} {w}" for w in frequent),
        )
        if len(frequent) >= 2
        else None
    ), rare


def choose_factors(train: Dataset, also: str, least: int) -> tuple[list[Factor], list[str]]:
    """Return the factors of the label and of the columns named in `also`, parted by commas, and the
    symbols left out, in words. UserError for too many columns and for one that is not there.
    """
    columns = [c.strip() for c in also.split(",") if c.strip()]
    if len(columns) >= FACTORS:
        raise UserError(f"“also” names {len(columns)} columns; at most {FACTORS - 1} can be added.")
    label = train.roles.get("label")
    factors, left_out = [], []
    for column in [*([label] if label is not None else []), *columns]:
        found, rare = factor(train, column, least, label=column == label)
        left_out += rare
        factors += [found] if found is not None else []
    return factors, left_out
