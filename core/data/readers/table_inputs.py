"""Columns of a table as the numbers a model is given."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from core.data.compound_words import FEW as CATEGORIES
from core.data.scaling import needs_float64
from core.io.threads import in_threads

AT_ONCE = 16  # columns that stand beside one another as float64
LINES = 2048  # rows of them that are put in at a time, which the processor's cache holds
Part = tuple[str, Callable[[], np.ndarray]]


def encode_table(
    frame: pd.DataFrame, roles: dict[str, str], left_out: Collection[str] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return inputs [n,d] and their names: numbers as they are, categories as "column=word"; roles,
    constants, names and the columns named in `left_out` left out.

    float32, or float64 when a column of numbers needs it (see `core.data.scaling.needs_float64`).
    """

    def encode(column: str) -> tuple[list[Part], bool]:
        values = frame[column]
        if not is_numeric_dtype(values):
            return _categories(column, values), False
        parts = _numbers(column, values)
        return parts, any(needs_float64(make()) for _, make in parts)

    used = [c for c in frame.columns if c not in roles.values() and c not in left_out]
    encoded = in_threads(encode, used)
    # names, and what makes each: all columns never stand beside one another twice
    parts = [part for more, _ in encoded for part in more]
    double = any(precise for _, precise in encoded)
    out = np.empty((len(frame), len(parts)), np.float64 if double else np.float32)

    def put(first: int) -> None:
        columns = [make() for _, make in parts[first : first + AT_ONCE]]
        for start in range(0, len(out), LINES):
            rows = slice(start, start + LINES)
            for j, values in enumerate(columns, first):
                out[rows, j] = values[rows]

    in_threads(put, range(0, len(parts), AT_ONCE))
    return out, tuple(name for name, _ in parts)


def make_precision_entry(values: np.ndarray) -> dict[str, bool]:
    """Return what a table's card says of inputs that `encode_table` keeps as float64: that models
    subtract their offset first.
    """
    return {"precise": True} if values.dtype == np.float64 else {}


def _numbers(column: str, series: pd.Series) -> list[Part]:
    values = series.to_numpy(np.float64, na_value=np.nan)
    low, high = (np.fmin.reduce(values), np.fmax.reduce(values)) if len(values) else (0.0, 0.0)
    if np.isnan(low) or low == high:
        return []
    named = str(column).lower() in ("id", "index", "row", "number") or str(column).lower().endswith(
        "_id"
    )
    if (
        named
        and len(values) > 20
        and not np.isnan(values).any()
        and bool((values == values.round()).all())
        and series.nunique() == len(values)
    ):
        return []
    return [(str(column), lambda: series.to_numpy(np.float64, na_value=np.nan))]


def _categories(column: str, series: pd.Series) -> list[Part]:
    codes, words = pd.factorize(series)
    if not 2 <= len(words) <= CATEGORIES:
        return []
    names = [str(w) for w in words]
    return [
        (f"{column}={word}", lambda k=k: np.where(codes < 0, np.nan, codes == k))  # type: ignore[misc]
        for word, k in sorted(zip(names, range(len(names))))
    ]
