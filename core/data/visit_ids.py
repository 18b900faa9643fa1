"""Patients in ids of visits, samples or eyes: P01_1, P01_2; sub-003_ses-02; 1017L, 1017R."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from core.data import role_words as words

SOME = 200  # ids by which a column is told before all are looked at
BEFORE = r"(?P<who>(?=[^\s]*\d)[\w.\-]*?\w)"
WHAT = (
    r"(?:visit|vis|v|ses|session|time|tp|t|sample|s|scan|img|image|slice|month|m|week|w|day|d|f|fu"
    r"|run|r|rep)"
)
FORMS = (
    re.compile(rf"{BEFORE}[_\-. /:]+{WHAT}?[_\-. ]?(?P<which>\d{{1,3}})", re.I),
    re.compile(rf"{BEFORE}[_\-. ]?(?P<which>left|right|od|os|l|r)", re.I),
    re.compile(rf"{BEFORE}[_\-. ]+(?P<which>[a-d]|pre|post|baseline|bl|followup|fu)", re.I),
)


def patients_in_ids(frame: pd.DataFrame) -> tuple[str, pd.Series] | None:
    """Return the column whose words, one a row, begin with who each row is of, and these beginnings
    [n]; None where no column is like that: the endings are few, each stands once with a beginning,
    and beginnings repeat.
    """
    for column in frame.columns:
        values = frame[column]
        if (
            is_numeric_dtype(values)
            or values.isna().any()
            or len(values) < 10
            or words.is_place(words.tokens(str(column)))
        ):
            continue
        for form in FORMS:
            if not all(form.fullmatch(str(v)) for v in values.iloc[:SOME]):
                continue
            found = [form.fullmatch(str(v)) for v in values]
            who = [f["who"] for f in found if f is not None]
            if len(who) == len(values) and _are_visits(
                who, [f["which"].lower() for f in found if f is not None]
            ):
                return str(column), pd.Series(who, index=values.index, dtype=object)
    return None


def _are_visits(who: list[str], which: list[str]) -> bool:
    """Whether beginnings are people (many, a few rows each) and endings their visits."""
    sizes = np.array(list(Counter(who).values()))
    few = len(set(which)) <= max(2, min(20, len(sizes)))
    once = len(set(zip(who, which))) == len(who)
    return few and once and len(sizes) >= max(3, len(who) / 20) and float(np.median(sizes)) >= 2
