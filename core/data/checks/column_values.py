"""Columns that are not what they seem: numbers that stand for “missing”, words among numbers,
labels written in two ways.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pandas as pd

from core.data.checks.finding import Finding
from core.data.dataset import Dataset
from core.limits import FINDING_ROWS as SHOWN

# 9, 99, 999, 99.9, ... of sevens, eights and nines, both signs; -1; the ends of 16-bit numbers
REPEATED = [int(d * n) / 10**p for d in "789" for n in range(1, 8) for p in range(min(n, 3))]
CODES = sorted({*REPEATED, *(-v for v in REPEATED), -1.0, 32767.0, -32768.0})
# a float32 column holds others
BOTH = pd.unique(pd.Series([*CODES, *np.array(CODES, np.float32).astype(float)])).tolist()
FEW = 5  # different values of a column of answers, where 9 is “not known”
DOUBTS = {
    "bounds": (
        "Values at a limit",
        "known only to lie below or above a limit, and taken as the limit itself",
    ),
    "words": ("Words among numbers", "no numbers, and taken as missing"),
    "class marks": (
        "A class that may mean missing",
        "kept as a class of its own; blank them before import if they mean “missing”",
    ),
    "decimal or thousands": (
        "Decimal mark or thousands?",
        (
            "marked so that it could not be told whether the mark is decimal or for thousands;"
            " write numbers with a point and without marks if they are wrong"
        ),
    ),
    "two decimal marks": (
        "Two decimal marks",
        "written with a decimal comma where others have a point; both were read as decimal",
    ),
    "units": (
        "Units in some values",
        "written with a unit where others have none; all were read as the same",
    ),
    "negatives": (
        "Negative by brackets",
        (
            "in brackets or with a minus behind them, and read as negative, as bookkeepers write"
            " it; write a minus in front, or take the brackets away, if they mean something else"
        ),
    ),
    "flags": ("Marks behind values", "marked as high, low or noted; the marks were taken off"),
    "about": ("Rough values", "said to be rough (~, ca.), and taken as they stand"),
    "clock": (
        "Hours, or minutes?",
        (
            "times of two parts, read as hours and minutes; if they are minutes and seconds, the"
            " numbers are seconds"
        ),
    ),
    "times": (
        "A recording?",
        (
            "times that rise from row to row as in a recording, but not evenly, so that each row is"
            " read as a case of its own; resample them evenly before import if they are one"
        ),
    ),
    "total": (
        "A row of totals?",
        "in the last row, which begins like a row of totals; exclude it if it is none of the cases",
    ),
}


def column_findings(data: Dataset) -> list[Finding]:
    """All of them, for the rows of this view. Cost: one pass over the table."""
    return [
        *_find_missing_codes(data),
        *_reader_findings(data),
        *_find_unread_numbers(data),
        *_find_spellings(data),
        *_find_scan_types(data),
    ]


def missing_codes(values: pd.Series) -> list[float]:
    """Return the numbers of a column (no missing values) that look like codes for “missing”: of
    repeated sevens, eights or nines (or -1, the only negative one), and apart from all others.
    """
    coded = values.isin(BOTH)
    if not coded.any() or coded.all():
        return []
    others = values[~coded].to_numpy(float)
    low, high = float(others.min()), float(others.max())
    found, counts = np.unique(values[coded].to_numpy(float), return_counts=True)
    various = len(np.unique(others[:10_000])) > FEW
    above = float(found[found > high].min(initial=np.inf))
    kept = []
    for code, count in zip(found, counts):
        gap = max(code - high, low - code)
        only_negative = code < 0 <= low and (various or code < -2)
        answer = not various and 7 <= code <= 9 and above - high >= 3 and count > 1
        once = abs(code) < 100 and count == 1  # 77 or 99 may be what was measured
        if gap > 0 and (
            only_negative
            or answer
            or (gap > high - low and various and not once)
            or (gap > 3 * (high - low) > 0)
        ):
            kept.append(float(code))
    return kept


def _find_missing_codes(data: Dataset) -> list[Finding]:
    found = []
    for c in data.features:
        values = data.frame[c].dropna() if c in data.frame else None
        if values is None or not pd.api.types.is_numeric_dtype(values) or values.dtype == bool:
            continue
        for code in missing_codes(values):
            found.append((c, code, values.index[values == code].to_list()))
    if not found:
        return []
    words = ", ".join(
        f"“{c}” {v:.7g} in {len(rows):,} row{'s' * (len(rows) != 1)}" for c, v, rows in found[:6]
    )
    words = (
        "Some numbers lie apart from all others of their column and may stand for missing:"
        f" {words}{' …' if len(found) > 6 else ''}. Blank them before import if they do."
    )
    rows = sorted({r for _, _, each in found for r in each})
    return [
        Finding(
            "codes", "look", "Missing values written as numbers?", words, rows[:SHOWN], len(rows)
        )
    ]


def _reader_findings(data: Dataset) -> list[Finding]:
    """Return what the reader decided with doubt about columns (`Note`s on the card), one finding a
    kind.
    """
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for note in data.card.get("notes") or []:
        kinds[note["kind"]].append(note)
    found, there = [], set(data.rows.tolist())
    for kind, notes in kinds.items():
        rows = sorted({r for note in notes for r in note["rows"] if r in there})
        if kind not in DOUBTS or not rows:
            continue
        title, what = DOUBTS[kind]
        many = (
            max(len(rows), *(int(note["count"]) for note in notes))
            if len(there) == len(data.table)
            else len(rows)
        )
        each = "; ".join(f"“{note['column']}”: {_list_words(note['words'])}" for note in notes[:4])
        words = f"Values that are {what}: {each}{' …' if len(notes) > 4 else ''}."
        found.append(Finding(f"read: {kind}", "look", title, words, rows[:SHOWN], many))
    return found


def _list_words(words: dict[str, int]) -> str:
    said = ", ".join(f"“{w[:40]}” ({k:,})" for w, k in list(words.items())[:4])
    return said + (" …" if len(words) > 4 else "")


def _find_unread_numbers(data: Dataset) -> list[Finding]:
    """Columns of words most of which are numbers."""
    out = []
    for c in data.frame.columns if data.modality == "table" else []:
        values = data.frame[c].dropna()
        if pd.api.types.is_numeric_dtype(values) or c in data.roles.values() or not len(values):
            continue
        odd = values[pd.to_numeric(values.astype(str), errors="coerce").isna()]
        if 0 < len(odd) <= len(values) / 2:
            words = f"“{c}” holds numbers, but {len(odd):,} of {len(values):,} values are words "
            words += f"(row {odd.index[0]}: “{odd.iloc[0]}”); so it was not read as numbers."
            out.append(
                Finding(
                    "words",
                    "look",
                    "Words among numbers",
                    words,
                    odd.index[:SHOWN].tolist(),
                    len(odd),
                )
            )
    return out


def _find_spellings(data: Dataset) -> list[Finding]:
    """Labels, and words of columns of few words, that differ in capitals or spaces only."""
    label = data.roles.get("label")
    found = []
    for c in (
        [label, *(c for c in data.frame.columns if c != label)]
        if label
        else list(data.frame.columns)
    ):
        if c not in data.frame or (c != label and c in data.roles.values()):
            continue
        values = data.frame[c].dropna()
        if pd.api.types.is_numeric_dtype(values):
            continue
        counts = values.astype(str).value_counts()
        if len(counts) > (1000 if c == label else 50):
            continue
        alike: dict[str, list[str]] = defaultdict(list)
        same = _match_meanings(list(counts.index))
        for word in counts.index:
            alike[same.get(word, " ".join(word.split()).casefold())].append(word)
        twice = [words for words in alike.values() if len(words) > 1]
        if not twice:
            continue
        rare = {w for words in twice for w in words[1:]}  # counts come largest first
        rows = values.index[values.astype(str).isin(rare)]
        said = "; ".join(
            ", ".join(f"“{w}” ({counts[w]:,})" for w in words[:4]) for words in twice[:4]
        )
        words = (
            f"In “{c}”, words that"
            f" {'mean the same' if same else 'differ in capitals or spaces only'} count as"
            f" different: {said}{' …' if len(twice) > 4 else ''}. "
        )
        words += "Write them alike before import" + (
            ", or change the labels of these cases." if c == label else "."
        )
        found.append(
            Finding(
                "spelling",
                "look",
                "One class in two spellings" if c == label else "One word in two spellings",
                words,
                rows[:SHOWN].tolist(),
                len(rows),
            )
        )
    return found


SAME = (
    {"yes": "yes y true t 1 1.0 ja j wahr oui si sí", "no": "no n false f 0 0.0 nein falsch non"},
    {
        "male": "m male man männlich mann masculin",
        "female": "f female w woman weiblich frau féminin",
    },
    {"positive": "pos positive + positiv", "negative": "neg negative - negativ"},
)


def _match_meanings(words: list[str]) -> dict[str, str]:
    """Return what each word means, where all of a column are ways to say yes and no, male and
    female, or positive and negative, and some are two ways to say one; empty otherwise.
    """
    for kinds in SAME:
        of = {way: kind for kind, ways in kinds.items() for way in ways.split()}
        said = {w: of.get(w.strip().casefold(), "") for w in words}
        plain = {w.strip().casefold() for w in words}
        if len(plain) > len(set(said.values())) and all(said.values()):
            return said
    return {}


def _find_scan_types(data: Dataset) -> list[Finding]:
    if "scan type" not in data.frame or data.frame["scan type"].nunique() < 2:
        return []
    kinds = Counter(data.frame["scan type"].dropna())
    words = ", ".join(f"{k}: {n}" for k, n in kinds.most_common())
    words += ". They share one scale of values here; better a dataset each."
    others = data.frame.index[data.frame["scan type"] != kinds.most_common(1)[0][0]]
    return [
        Finding(
            "scan types",
            "look",
            "Several kinds of scans",
            words,
            others[:SHOWN].tolist(),
            len(others),
        )
    ]
