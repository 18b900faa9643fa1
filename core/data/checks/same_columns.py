"""Columns of a table that tell the same twice."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd

from core.data.checks.finding import Finding
from core.data.dataset import Dataset

LEAST = 10  # rows; in fewer, columns of few values agree by chance
CATEGORIES = 20  # different values up to which two ways to write them count as the same
DIGITS = 6  # to which standardised numbers agree
SAID = 4  # sets that are named


def same_column_findings(data: Dataset) -> list[Finding]:
    """Input columns that are one another in every row: the same values, another unit, or other
    words for the same categories. Cost: one pass over the table.
    """
    if data.modality != "table" or len(data) < LEAST:
        return []
    inputs = dict.fromkeys(f if f in data.frame else f.split("=")[0] for f in data.features)
    alike: dict[bytes, list[str]] = defaultdict(list)
    for column in inputs:
        if column in data.frame and (key := _comparison_key(data.frame[column])):
            alike[key].append(column)
    twice = [columns for columns in alike.values() if len(columns) > 1]
    if not twice:
        return []
    said = "; ".join(" and ".join(f"“{c}”" for c in columns[:4]) for columns in twice[:SAID])
    more = " …" if len(twice) > SAID or any(len(columns) > 4 for columns in twice) else ""
    words = (
        f"These columns tell the same in every row, some perhaps in another unit or other words:"
        f" {said}{more}. What they tell counts twice; leave one of each out unless that is meant."
    )
    return [Finding("same columns", "look", "One column twice", words)]


def _comparison_key(values: pd.Series) -> bytes:
    """Return what two columns share where one is the other; empty for a column of one value."""
    codes, different = pd.factorize(values)
    if len(different) < 2:
        return b""
    if len(different) <= CATEGORIES or not pd.api.types.is_numeric_dtype(values):
        return b"categories" + codes.astype(np.int32).tobytes()
    numbers = values.to_numpy(np.float64)
    known = np.isfinite(numbers)
    centred = numbers - numbers[known].mean()
    scaled = centred / centred[known].std()
    first = scaled[known][np.abs(scaled[known]).argmax()]
    same = np.round(np.where(known, scaled * np.sign(first), np.inf), DIGITS) + 0.0
    return b"numbers" + same.tobytes()
