"""Columns whose cells hold more than one number: times (07:30), blood pressures (120/80), 38 w 4 d,
5'11".

What is sure becomes numbers by a rule; what only looks like two numbers stays words, and
`why_not_numeric` says why it cannot be learned from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa

from core.data.number_words import GLUED, KEPT_ROWS, SPELT, Note

MOST = 0.9  # of the cells are of one form
FEW = 20  # different words of a column that become one category each
N = r"(\d{1,6}(?:[.,]\d+)?)"
CLOCK = re.compile(
    r"(?:[-\u2212](?=\d))?(\d{1,4}):([0-5]\d)(?::([0-5]\d(?:[.,]\d+)?))?\s*([AaPp])?(?:(?<=[AaPp])\.?[Mm]\.?)?"
)
PRESSURE = re.compile(rf"{N}\s*[/\\|-]\s*{N}(?:\s*mm\s?Hg)?")
GESTATION = re.compile(r"(\d{1,2})\s*\+\s*(\d)")  # 38+4
# two numbers that make one: how, the second in one of the first, and what the whole is called
TOGETHER = (
    (GESTATION, 7, "weeks"),
    (re.compile(rf"{N}\s*(?:w|wk|wks|weeks?|ssw)\s*\+?\s*{N}\s*(?:d|days?)?", re.I), 7, "weeks"),
    (re.compile(rf"{N}\s*(?:y|yr|yrs|years?)\s*{N}\s*(?:m|mo|mos|months?)", re.I), 12, "years"),
    (re.compile(rf"{N}\s*(?:m|mo|mos|months?)\s*{N}\s*(?:d|days?)", re.I), 30.4375, "months"),
    (re.compile(rf"{N}\s*(?:d|days?)\s*{N}\s*(?:h|hrs?|hours?)", re.I), 24, "days"),
    (re.compile(rf"{N}\s*(?:h|hrs?|hours?)\s*{N}\s*(?:m|mins?|minutes?)?", re.I), 60, "hours"),
    (re.compile(rf"{N}\s*(?:m|mins?|minutes?)\s*{N}\s*(?:s|secs?|seconds?)", re.I), 60, "minutes"),
    (re.compile(rf"{N}\s*(?:'|’|′|ft|feet)\s*{N}\s*(?:\"|”|″|''|in|inches)?", re.I), 12, "feet"),
)
AGE = re.compile(r"(\d{3})([YMWD])")
YEAR = {"Y": 1, "M": 12, "W": 52.1775, "D": 365.2425}
SCORE = re.compile(rf"{N}\s*(?:/|of|out of|von)\s*{N}", re.I)
OTHER = re.compile(
    r"(?=.*\d)(?:\d[\d\s.,;:/()%+'-]*(?:st|nd|rd|th)?|P(?:\d+[YMWD])*(?:T(?:\d+[HMS])+)?"
    r"|[-+]?\d+\.?\d*[dD][-+]\d+)"
)
UNIT = re.compile(
    r"[<>≤≥=~]*\s*[-+]?\d[\d.,]*(\s*)([%‰€$£¥]|°[CF]|[A-Za-zµμ][A-Za-zµμ/²³]{0,9}\.?)"
)
TWO = re.compile(
    rf"[-+]?{N}\s*(/|\+|-|–|—|to|bis|x|×|±|\+/-|\+-|:|;|\|)\s*[-+]?{N}\s*\S{{0,6}}"
    rf"|[-+]?{N}\s*[(\[].{{1,20}}[)\]]",
    re.I,
)


@dataclass(frozen=True)
class SplitColumn:
    """A column as columns of numbers: name -> values [n] float64, what was done, and what has to be
    told of it.
    """

    columns: dict[str, pd.Series]
    rule: str
    notes: list[Note] = field(default_factory=list)


def split_column(
    column: str, coded: pa.DictionaryArray, taken: Sequence[str] = ()
) -> SplitColumn | None:
    """Return the numbers in a column of words (codes and different words), where nine in ten cells
    are times, blood pressures, or two numbers with their units; None for any other. `taken`: names
    of columns there are.
    """
    different = [str(w).strip() for w in coded.dictionary.to_pylist()]
    if not different or not any(w.lstrip("-\u2212")[:1].isdigit() for w in different[:200]):
        return None
    codes = np.asarray(coded.indices.fill_null(-1), np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=len(different))
    for form in (_clock, _pressure, _together, _ages, _score):
        found = form(column, different, counts, taken)
        if found is None:
            continue
        names, values, rule, doubt = found
        rows = np.append(values, np.full((1, values.shape[1]), np.nan), axis=0)[codes]
        columns = {name: pd.Series(rows[:, j]) for j, name in enumerate(names)}
        lost: np.ndarray = np.isnan(values).sum(axis=1) > 0
        notes = [_note("words", column, different, lost, codes, counts)] if lost.any() else []
        notes += [_note(doubt, column, different, ~lost, codes, counts)] if doubt else []
        return SplitColumn(columns, rule, notes)
    return None


def _note(
    kind: str,
    column: str,
    words: list[str],
    which: np.ndarray,
    codes: np.ndarray,
    counts: np.ndarray,
) -> Note:
    at = np.flatnonzero(which)
    rows = np.flatnonzero(np.isin(codes, at))
    order = at[np.argsort(-counts[at], kind="stable")][:20]
    return Note(
        kind,
        column,
        {words[j]: int(counts[j]) for j in order},
        rows[:KEPT_ROWS].tolist(),
        len(rows),
    )


Found = tuple[list[str], np.ndarray, str, str]


def _share(fits: Sequence[object], counts: np.ndarray) -> bool:
    there = np.array([f is not None for f in fits])
    return bool(there.any()) and counts[there].sum() >= MOST * counts.sum()


def _clock(column: str, words: list[str], counts: np.ndarray, taken: Sequence[str]) -> Found | None:
    """07:30, 1:30:00 or 2:15 pm as minutes."""
    fits = [CLOCK.fullmatch(w) for w in words]
    if not _share(fits, counts) or {f[1] for f in fits if f is not None} == {"1"}:  # a titre: 1:40
        return None
    values = np.full((len(words), 1), np.nan)
    for k, fit in enumerate(fits):
        if fit is None:
            continue
        hours = int(fit[1])
        if fit[4]:
            hours = hours % 12 + 12 * (fit[4].lower() == "p")
        turn = -1 if words[k][0] in "-\u2212" else 1
        values[k] = turn * (
            60 * hours + int(fit[2]) + float((fit[3] or "0").replace(",", ".")) / 60
        )
    short = [int(f[1]) for f in fits if f is not None and not f[3]]
    doubt = (
        "clock"
        if short and (max(short) >= 24 or len(short) < sum(f is not None for f in fits))
        else ""
    )
    return (
        [column],
        values,
        f"times such as {words[0]} read as minutes (hours times 60): {column}",
        doubt,
    )


def _pressure(
    column: str, words: list[str], counts: np.ndarray, taken: Sequence[str]
) -> Found | None:
    """120/80 as two columns: the first larger in each, both in the range of pressures."""
    fits = [PRESSURE.fullmatch(w) for w in words]
    if not _share(fits, counts):
        return None
    values = np.array([_pair(f) for f in fits])
    there = values[~np.isnan(values[:, 0])]
    first, second = np.median(there, axis=0)
    usual = (
        80 <= first <= 260
        and 30 <= second <= 150
        and bool((there[:, 0] >= there[:, 1]).mean() >= 0.95)
    )
    if not usual or len(np.unique(there[:, 0])) < 2 or len(np.unique(there[:, 1])) < 2:
        return None
    names = [f"{column}_{j}" for j in (1, 2)]
    if any(name in taken for name in names):
        return None
    rule = (
        f"“{column}” holds two numbers a cell, such as {words[0]}: read as “{names[0]}” and"
        f" “{names[1]}”"
    )
    return names, values, rule, ""


def _together(
    column: str, words: list[str], counts: np.ndarray, taken: Sequence[str]
) -> Found | None:
    """38 w 4 d as 38.57 weeks, 5'11" as 5.92 feet."""
    for form, many, called in TOGETHER:
        fits = [form.fullmatch(w) for w in words]
        if _share(fits, counts):
            pairs = np.array([_pair(f) for f in fits])
            if form is GESTATION and not _are_weeks(pairs, counts):
                continue
            values = (pairs[:, :1] + pairs[:, 1:] / many).round(6)
            return [column], values, f"“{column}”, such as {words[0]}, read as {called}", ""
    return None


def _ages(column: str, words: list[str], counts: np.ndarray, taken: Sequence[str]) -> Found | None:
    """034Y, 006M, as ages stand in DICOM headers, as years."""
    fits = [AGE.fullmatch(w) for w in words]
    if not _share(fits, counts):
        return None
    values = np.array([[np.nan] if f is None else [round(int(f[1]) / YEAR[f[2]], 4)] for f in fits])
    return [column], values, f"“{column}”, such as {words[0]}, read as years", ""


def _score(column: str, words: list[str], counts: np.ndarray, taken: Sequence[str]) -> Found | None:
    """27/30 and 27 of 30 as 27, where all are of the same number."""
    fits = [SCORE.fullmatch(w) for w in words]
    of = {f[2] for f in fits if f is not None}
    if not _share(fits, counts) or len(of) != 1:
        return None
    pairs = np.array([_pair(f) for f in fits])
    if not np.nanmax(pairs[:, 0]) <= np.nanmax(pairs[:, 1]) or np.nanmax(pairs[:, 1]) < 3:
        return None
    return (
        [column],
        pairs[:, :1],
        f"“{column}”, such as {words[0]}, read as the number in front (of {of.pop()})",
        "",
    )


def _are_weeks(pairs: np.ndarray, counts: np.ndarray) -> bool:
    """Whether 38+4 is an age of gestation: at most 6 days behind at most 45 weeks, mostly more than
    10.
    """
    there = ~np.isnan(pairs[:, 0])
    within = bool((pairs[there, 1] <= 6).all() and (pairs[there, 0] <= 45).all())
    return within and counts[there & (pairs[:, 0] > 10)].sum() > counts.sum() / 2


def _pair(fit: re.Match[str] | None) -> tuple[float, float]:
    if fit is None:
        return np.nan, np.nan
    return float(fit[1].replace(",", ".")), float(fit[2].replace(",", "."))


def why_not_numeric(values: pd.Series) -> str:
    """Why words that hold numbers cannot be learned from: several units, or two numbers a cell; ""
    for other words.
    """
    counts = values.astype(str).str.strip().value_counts()
    words, many = list(counts.index), counts.to_numpy()
    units = [UNIT.fullmatch(w) for w in words]
    known = [u if u is not None and (u[1] or u[2] in GLUED) else None for u in units]
    if _share(known, many):
        each: Counter[str] = Counter()
        for fit, k in zip(known, many):
            if fit is not None:
                each[SPELT.get(fit[2].lower(), fit[2]).casefold()] += int(k)
        if len(each) > 1:
            said = ", ".join(f"{u} ({k:,})" for u, k in each.most_common(4))
            return (
                f"holds values in several units ({said}), which are no one scale: write all in one"
                " unit"
            )
        return ""
    if words and words[0][:2].lower() == "0x":
        return ""
    if len(words) > FEW and _share([TWO.fullmatch(w) for w in words], many):
        shapes = {re.sub(r"\d", "9", w) for w in words}
        if len(shapes) > 1 or not re.search(r"[-/:;|]", words[0]):  # ids have one
            return (
                f"holds more than one number a cell (“{words[0]}”): write them as columns of"
                " their own"
            )
    shapes = {re.sub(r"\d", "9", w) for w in words}
    if len(words) > FEW and len(shapes) > 1 and _share([OTHER.fullmatch(w) for w in words], many):
        return (
            f"holds numbers in a form that is not read (“{words[0]}”): write plain numbers, one a"
            " cell"
        )
    return ""
