"""Columns of a table as the numbers a model is given."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from core.data.compound_words import FEW as CATEGORIES
from core.data.scaling import needs_float64


def encode_table(
    frame: pd.DataFrame, roles: dict[str, str], left_out: Collection[str] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return inputs [n,d] and their names: numbers as they are, categories as "column=word"; roles,
    constants, names and the columns named in `left_out` left out.

    float32, or float64 when a column of numbers needs it (see `core.data.scaling.needs_float64`).
    """
    # names, and what makes each: all columns never stand beside one another twice
    parts: list[tuple[str, Callable[[], np.ndarray]]] = []
    of: list[str] = []  # the column each is of, "" for categories
    for column in frame.columns:
        if column in roles.values() or column in left_out:
            continue
        numeric = is_numeric_dtype(frame[column])
        more = _numbers(column, frame[column]) if numeric else _categories(column, frame[column])
        parts += more
        of += [str(column) if numeric else ""] * len(more)
    double = any(
        name == column and needs_float64(make()) for (name, make), column in zip(parts, of)
    )
    out = np.empty((len(frame), len(parts)), np.float64 if double else np.float32)
    for j, (_, make) in enumerate(parts):
        out[:, j] = make()
    return out, tuple(name for name, _ in parts)


def make_precision_entry(values: np.ndarray) -> dict[str, bool]:
    """Return what a table's card says of inputs that `encode_table` keeps as float64: that models
    subtract their offset first.
    """
    return {"precise": True} if values.dtype == np.float64 else {}


def _numbers(column: str, series: pd.Series) -> list[tuple[str, Callable[[], np.ndarray]]]:
    values = series.to_numpy(np.float64, na_value=np.nan)
    there = values[~np.isnan(values)]
    if not len(there) or there.min() == there.max():
        return []
    named = str(column).lower() in ("id", "index", "row", "number") or str(column).lower().endswith(
        "_id"
    )
    if (
        named
        and len(there) == len(values) > 20
        and bool((values == values.round()).all())
        and series.nunique() == len(values)
    ):
        return []
    return [(str(column), lambda: series.to_numpy(np.float64, na_value=np.nan))]


def _categories(column: str, series: pd.Series) -> list[tuple[str, Callable[[], np.ndarray]]]:
    codes, words = pd.factorize(series)
    if not 2 <= len(words) <= CATEGORIES:
        return []
    names = [str(w) for w in words]
    return [
        (f"{column}={word}", lambda k=k: np.where(codes < 0, np.nan, codes == k))  # type: ignore[misc]
        for word, k in sorted(zip(names, range(len(names))))
    ]
