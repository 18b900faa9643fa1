"""Lines of a text table that are no cases: units or words below the header, the header again, sums
and means at the end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.data.role_words import is_exact, is_patient

UNDER = 3  # lines that may stand between the header and the first case
ENDING = 8  # rows at the end that may sum up
NUMBER = re.compile(r"[-+(<>≤≥~]?\s*[€$£¥]?\s*[.,]?\d")
NO_VALUE = re.compile(
    r"(?i)[?.\-–—]*|#?n/?a[nt]?|n\.\s?[adk]\.?|k\.\s?a\.?|null|none|nil|missing|unknown|not \w+"
    r"|nd|unk|blank|empty|<na>|neg\w*|pos\w*|tbd|fehl\w*"
)
UNIT = re.compile(
    r"(?i)[\[(].*[\])]|[%‰°].*|[a-zµμ²³/0-9^*.-]{1,8}/[a-zµμ²³/0-9^*.-]{1,10}|years?|yrs?"
    r"|[kcmµ]?[mgl]|mm\s?hg|bpm|k?pa|units?|jahre?|days?|hours?"
)
SUMMARY = re.compile(
    r"(?i)(?:(?:grand |sub)?totals?|sums?|summe|gesamt|insgesamt|overall|all|mean|average|avg"
    r"|mittelwert|mw|median|sd|std\.?(?: ?dev\.?)?|stdev|stddev|standard deviation"
    r"|standardabweichung|min(?:imum)?|max(?:imum)?|n|count|anzahl|var(?:iance)?|sem?"
    r"|n\s*=\s*\d+)\s*:?"
)


def count_rows_below_header(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many of the first rows explain the columns (units, longer names) rather than being cases:
    they have words where all rows below have numbers. `rows`: the first ones below the header, as
    cut up.
    """
    width = len(header)
    rows = [r for r in rows if len(r) == width]
    for many in range(min(UNDER, len(rows) - 3), 0, -1):
        heads = [list(header), *map(list, rows[:many])]
        rest = [
            r for r in rows[many:] if [w.strip() for w in r] not in heads and list(r) not in heads
        ]
        if all(_explains(header, rows[k], rest) for k in range(many)):
            return many
    return 0


def _explains(header: Sequence[str], row: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    numbers, said = 0, 0
    for word, column in zip(row, zip(*rest)):
        word = word.strip()
        there = [w.strip() for w in column if not NO_VALUE.fullmatch(w.strip())]
        if (
            there
            and sum(bool(NUMBER.match(w)) for w in there) >= 0.9 * len(there)
            and len(there) >= 3
        ):
            numbers += 1
            if not word:
                continue
            if NUMBER.match(word) or NO_VALUE.fullmatch(word) or word in there:
                return False
            said += 1
        elif word and (
            word in there or (re.search(r"\d", word) and _shape(word) in {_shape(w) for w in there})
        ):
            return False  # as the cases below have it
    units = all(not w.strip() or UNIT.fullmatch(w.strip()) for w in row)
    echoes = sum(map(_says_more, header, row))
    if 1 < echoes >= sum(bool(w.strip()) for w in row) / 3:
        return said >= numbers / 2
    return said > 0 and said >= numbers / 2 and (said > 1 or units)


def _says_more(name: str, word: str) -> bool:
    """Whether a cell says the name of its column in more words (sex: “Sex at birth”)."""
    parts = re.findall(r"[^\W\d_]{3,}", name.casefold())
    longer = len(word.split()) > 1 and len(word.strip()) > len(name.strip())
    return longer and any(re.search(rf"\b{p}", word.casefold()) for p in parts)


def _shape(word: str) -> str:
    return re.sub(r"\d", "9", word)


def merge_header_rows(
    header: Sequence[str], under: Sequence[Sequence[str]], above: Sequence[str]
) -> tuple[list[str], str]:
    """Return the names of columns where two lines hold some, and what was decided, in words ("" =
    those of `header` are taken). `under`: the lines below it that are no cases; `above`: the line
    above it.

    The second line is taken where the first names groups of columns: it says a name twice, or the
    second tells of outcomes or patients and it does not. Names said twice get the other line's word
    to tell them apart.
    """
    names = [w.strip() for w in header]
    second = [w.strip() for w in under[0]] if under else []
    full = all(second) and len(set(second)) == len(second) == len(names)
    twice = {c for c, n in Counter(names).items() if c and n > 1}
    explains = any(map(_says_more, names, second))
    if full and (twice or (_telling(second) > _telling(names) and not explains)):
        groups = ", ".join(dict.fromkeys(n for n in names if n))
        return (
            second,
            f"of two lines of names the second is taken, the first names groups ({groups[:80]})",
        )
    if not twice:
        return names, ""
    if second:
        joined = [f"{a} {b}".strip() if a in twice else a for a, b in zip(names, second)]
    else:
        heads: list[str] = []
        for word in above:  # a merged cell names the columns up to the next
            heads.append(word.strip() or (heads[-1] if heads else ""))
        joined = [f"{b} {a}".strip() if a in twice else a for a, b in zip(names, heads)]
    if len(joined) != len(names) or len(set(joined)) < len(joined):
        return names, ""
    return joined, "names that are there twice are told apart by the other of two lines of names"


def _telling(names: Sequence[str]) -> int:
    return sum(is_exact(name) or is_patient(name) for name in names)


def find_repeated_rows(table: pa.Table, lines: Sequence[Sequence[str]]) -> np.ndarray:
    """`bool [n]`: rows that are one of these lines once more (the header, units), as where files
    were put together.
    """
    found = np.zeros(len(table), bool)
    for line in lines:
        same: pa.ChunkedArray | None = None
        for word, column in zip(line, table.columns):
            equal = pc.equal(pc.utf8_trim_whitespace(column), word.strip())
            same = equal if same is None else pc.and_(same, equal)
            if not pc.any(same).as_py():
                break
        else:
            if same is not None:
                found |= same.to_numpy()
    return found


def find_summary_rows(table: pa.Table) -> np.ndarray:
    """`bool [n]`: rows at the end that are called a sum, mean or the like, and whose numbers are
    that of the rows above.
    """
    gone = np.zeros(len(table), bool)
    if table.num_columns < 2 or len(table) < 4:
        return gone
    tail = table.slice(max(0, len(table) - ENDING)).to_pylist()
    words = [[str(v).strip() for v in row.values()] for row in tail]
    called = 0
    while called < len(words) - 1 and any(SUMMARY.fullmatch(w) for w in words[-1 - called][:2]):
        called += 1
    if not called:
        return gone
    above = table.slice(0, len(table) - called)
    columns = [
        pd.to_numeric(
            pd.Series(c.to_pylist(), dtype=object).str.strip().str.replace(",", "."),
            errors="coerce",
        )
        for c in above.columns
    ]
    for k in range(1, called + 1):
        gone[len(table) - k] = _is_sum(words[-k], columns)
    return gone


def _is_sum(row: list[str], columns: list[pd.Series]) -> bool:
    """Whether half of a row's numbers are the sum, mean, spread, smallest or largest of their
    columns, or it has none.
    """
    right, there = 0, 0
    for word, values in zip(row, columns):
        if not word or SUMMARY.fullmatch(word):
            continue
        there += 1
        try:
            value = float(word.replace(",", "."))
        except ValueError:
            continue
        known = values.dropna()
        if not len(known):
            continue
        digits = len(word.replace(",", ".").partition(".")[2])
        facts = [
            known.sum(),
            known.mean(),
            known.median(),
            known.min(),
            known.max(),
            len(known),
            known.std(),
            known.std(ddof=0),
            known.var(),
        ]
        off = np.abs(np.array(facts, float) - value)
        right += bool(np.nanmin(off) <= 0.51 * 10.0**-digits + 1e-9 * abs(value))
    return right >= max(1, there / 2) or not there
