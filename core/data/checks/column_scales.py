"""Columns that mix what should stand apart: two scales, several measurements in one column, several
labels in a cell.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from core.data.checks.finding import Finding
from core.data.column_facts import SAMPLE
from core.data.dataset import Dataset
from core.data.role_words import tokens
from core.limits import FINDING_ROWS as SHOWN

LEAST = 3  # different values, and rows, of each of two scales
MOST = 50_000  # values that are sorted, evenly spread over all
APART = 3.0  # the gap between two scales, in the larger of their own spreads (of logarithms)
NAMES = {
    "variable",
    "parameter",
    "analyte",
    "item",
    "itemid",
    "measure",
    "measurement",
    "feature",
    "loinc",
    "test",
    "assay",
    "attribute",
    "marker",
}
VALUES = {"value", "valuenum", "result", "wert", "messwert", "values", "results", "reading"}
UNKNOWN = re.compile(
    r"(?i)unknown|missing|not (known|available|done|reported|applicable)|unk|undetermined"
    r"|unspecified|unbekannt|tbd|fehlt|-?9+|-?8{2,}|-?7{2,}"
)
MADE = re.compile(
    r"\d{1,2}[-. ](Jan|Feb|Mar|Mär|Apr|May|Mai|Jun|Jul|Aug|Sep|Oct|Okt|Nov|Dec|Dez)\.?|(Jan|Feb"
    r"|Mar|Mär|Apr|May|Mai|Jun|Jul|Aug|Sep|Oct|Okt|Nov|Dec|Dez)[-. ]\d{2}"
)


def scale_findings(data: Dataset) -> list[Finding]:
    """All of them, for the rows of this view. Cost: one pass over the table."""
    if data.modality != "table":
        return _find_odd_classes(data)
    return [
        *_find_two_scales(data),
        *_find_long_form(data),
        *_find_made_dates(data),
        *_find_odd_classes(data),
    ]


def split_scales(values: np.ndarray) -> float | None:
    """Where numbers [n] part into two scales, as metres beside centimetres: the smallest of the
    upper; else None.
    """
    sorted_ = np.unique(values[:: 1 + len(values) // MOST])
    if len(sorted_) < 10 or sorted_[0] <= 0:
        return None
    steps = np.diff(np.log(sorted_))
    at = int(steps.argmax())
    low, high = sorted_[: at + 1], sorted_[at + 1 :]
    if min(len(low), len(high)) < LEAST or steps[at] < np.log(2):
        return None
    spread = max(np.log(low[-1] / low[0]), np.log(high[-1] / high[0]))
    few = min((values < high[0]).sum(), (values >= high[0]).sum())
    # between the two, where not all were sorted
    if ((values > low[-1]) & (values < high[0])).any() or values.min() <= 0:
        return None
    return float(high[0]) if steps[at] > APART * spread and few >= LEAST else None


def _find_two_scales(data: Dataset) -> list[Finding]:
    found, rows = [], []
    for c in data.features:
        values = data.frame[c].dropna() if c in data.frame else None
        if values is None or not pd.api.types.is_numeric_dtype(values) or values.dtype == bool:
            continue
        numbers = values.to_numpy(float)
        start = split_scales(numbers)
        if start is None:
            continue
        upper = numbers >= start
        small = upper if upper.sum() * 2 <= len(upper) else ~upper
        said = (
            f"“{c}”: {numbers[~upper].min():.4g} to {numbers[~upper].max():.4g}"
            f" ({int((~upper).sum()):,} rows)"
        )
        found.append(f"{said} and {start:.4g} to {numbers.max():.4g} ({int(upper.sum()):,})")
        rows += values.index[small].tolist()
    if not found:
        return []
    words = (
        "Numbers lie on two scales far apart, as where two units are mixed:"
        f" {'; '.join(found[:4])}{' …' if len(found) > 4 else ''}."
    )
    return [
        Finding(
            "two scales",
            "look",
            "Two units in one column?",
            f"{words} Bring them to one unit before import if they are.",
            sorted(set(rows))[:SHOWN],
            len(set(rows)),
        )
    ]


def _find_long_form(data: Dataset) -> list[Finding]:
    """Return a line a measurement: a column that names it beside one that holds its value."""
    names = [
        str(c)
        for c in data.frame
        if set(tokens(str(c))) & NAMES and not pd.api.types.is_float_dtype(data.frame[c])
    ]
    values = [
        str(c)
        for c in data.frame
        if set(tokens(str(c))) & VALUES and pd.api.types.is_numeric_dtype(data.frame[c])
    ]
    several = [
        c
        for c in names
        if 2 <= data.frame[c].nunique() <= max(50, len(data) // 4) and c not in data.roles.values()
    ]
    if not several or not values or values[0] == several[0]:
        return []
    words = (
        f"Each row seems to be one measurement: “{several[0]}” says of what and “{values[0]}” holds"
        " the value."
    )
    return [
        Finding(
            "long form",
            "look",
            "A line a measurement?",
            f"{words} Turn the table so that each case is a row and each measurement a column, or"
            " cases will be compared across measurements.",
        )
    ]


def _find_made_dates(data: Dataset) -> list[Finding]:
    """Words that a spreadsheet seems to have made dates of: 2-Sep (SEPT2), Oct-19 (10-19)."""
    for c in data.frame.columns:
        values = data.frame[c].dropna()
        if pd.api.types.is_numeric_dtype(values) or not len(values):
            continue
        some = values.iloc[:SAMPLE].astype(str)
        odd = some[some.map(lambda v: MADE.fullmatch(v) is not None)]
        if 0 < len(odd) <= 0.7 * len(some):
            words = (
                f"In “{c}”, {len(odd):,} words look like dates that a spreadsheet made of something"
                f" else (“{odd.iloc[0]}”); correct them before import."
            )
            return [
                Finding(
                    "made dates",
                    "look",
                    "Words turned into dates?",
                    words,
                    odd.index[:SHOWN].tolist(),
                    len(odd),
                )
            ]
    return []


def _find_odd_classes(data: Dataset) -> list[Finding]:
    """Classes that may mean “not known”, and several labels in one cell."""
    if "label" not in data.roles or not 2 <= len(data.classes) <= 200:
        return []
    found = []
    unknown = (
        [c for c in data.classes if UNKNOWN.fullmatch(c.strip())] if len(data.classes) > 2 else []
    )
    counted = all(re.fullmatch(r"-?\d+", c) for c in data.classes)
    if counted and unknown:  # 9 among 0 to 9 is a class like others
        others = [int(c) for c in data.classes if c not in unknown]
        unknown = [
            c for c in unknown if others and not min(others) - 1 <= int(c) <= max(others) + 1
        ]
    if unknown:
        rows = data.rows[np.isin(data.labels, [data.classes.index(c) for c in unknown])]
        words = (
            f"{', '.join(f'“{c}”' for c in unknown[:4])} of “{data.roles['label']}” may mean that"
            " the class is not known, and count as classes. Blank them before import if they do."
        )
        found.append(
            Finding(
                "class not known",
                "look",
                "Classes that may mean “not known”",
                words,
                rows[:SHOWN].tolist(),
                len(rows),
            )
        )
    parts = {c: [p.strip() for p in re.split(r"[|;]", c)] for c in data.classes}
    several = [c for c, p in parts.items() if len(p) > 1 and sum(q in parts for q in p) >= 1]
    if several:
        words = (
            f"Some cells of “{data.roles['label']}” hold several labels (“{several[0]}”); each"
            " combination counts as a class of its own."
        )
        rows = data.rows[np.isin(data.labels, [data.classes.index(c) for c in several])]
        found.append(
            Finding(
                "several labels",
                "look",
                "Several labels in a cell",
                words,
                rows[:SHOWN].tolist(),
                len(rows),
            )
        )
    return found
