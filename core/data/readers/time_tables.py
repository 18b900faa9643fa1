"""Text tables that are recordings: a column of evenly spaced times beside columns of numbers, or
many files of numbers of one shape, each a series.

Such a table is taken for a recording only when nothing speaks against it; “as a table” in the form,
or --as table, overrules that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from core.data.dataset import Dataset
from core.data.readers import joined_tables
from core.data.readers.files import Asked, Member
from core.data.readers.recording import Channel, Event, Recording
from core.data.readers.signal_windows import cut_windows
from core.data.readers.table_times import LEAST, find_time_scale, read_times
from core.data.readers.units import format_unit
from core.data.stored import class_word
from core.errors import UserError

# files, and lines of each, that have neither times nor names of columns
FILES, LINES = 8, 32
UNIT = re.compile(r"(.+?)\s*[\[(]([^\[\]()]{1,12})[\])]\s*")


def are_recordings(members: Sequence[Member], asked: Asked) -> bool:
    """Whether these text tables are recordings. Cost: the first line of each, and reading the whole
    where that is a time's or a number's.
    """
    from core.data.role_word_lists import HINTS

    if (
        asked.text not in (None, "none")
        or asked.group
        or asked.domain
        or asked.roles
        or asked.label not in ("auto", "none", "folder")
        or not members
    ):
        return False
    firsts = [_first(m) for m in members]
    if all(f and len(f) > 1 and find_time_scale(f[0]) is not None for f in firsts):
        hints = {w for words in HINTS.values() for w in words}
        if (
            any(w.strip().lower().replace(" ", "_") in hints for f in firsts for w in f[1:])
            or len({frozenset(f) for f in firsts}) > 1
        ):
            return False
        return all(
            _is_recording(joined_tables.join_tables([m], clocks=False).frame) for m in members
        )
    if len(members) < FILES or not all(f and all(map(_number, f)) for f in firsts):
        return False
    shapes = set()
    for m in members:
        found = joined_tables.join_tables([m], clocks=False)
        frame = found.frame
        if (
            not found.bare
            or not all(is_numeric_dtype(frame[c]) for c in frame)
            or frame.isna().to_numpy().any()
        ):
            return False
        shapes.add(frame.shape)
    rows, columns = next(iter(shapes))
    return len(shapes) == 1 and rows >= LINES and rows > columns


def read(members: list[Member], asked: Asked) -> Dataset:
    """Return a series dataset: each file is a recording, its columns of numbers the channels.
    UserError when a time column's steps are not even.
    """
    found: list[Recording] = []
    rules: list[str] = []
    for i, m in enumerate(members):
        found.append(_recording(m, rules if i == 0 else []))
        asked.report(i + 1, 2 * len(members))
    return cut_windows(
        found,
        asked,
        [
            (
                "a table of measurements in time is read as a recording; choose “a table” when"
                " importing if each line is a case of its own"
            ),
            *rules,
        ],
    )


def _first(member: Member) -> list[str]:
    lines = member.head.decode("latin-1").lstrip("ï»¿\r\n").splitlines()
    return (
        [w.strip().strip('"') for w in re.split(r"[,;\t|]| +(?=[-+\d])", lines[0].strip())]
        if lines
        else []
    )


def _number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False


def _is_recording(frame: pd.DataFrame) -> bool:
    return (
        len(frame) >= LEAST
        and all(is_numeric_dtype(frame[c]) for c in frame.columns[1:])
        and read_times(frame) is not None
    )


def _recording(member: Member, rules: list[str]) -> Recording:
    from core.data.role_word_lists import HINTS

    pieces: tuple[tuple[float, float, float], ...] = ()
    table = joined_tables.join_tables([member], clocks=False)
    frame, said = table.frame, table.bare
    rules += table.rules
    rate, timed = 0.0, not said and find_time_scale(str(frame.columns[0])) is not None
    if timed:
        found = read_times(frame)
        if found is None:
            raise UserError(
                f"{member.name}: the times in “{frame.columns[0]}” are not evenly spaced, so it is"
                " no recording that can be cut; import it as a table."
            )
        rate, pieces = found.rate, found.pieces
        rules.append(
            f"“{frame.columns[0]}” is the time: {rate:.6g} samples a second; its dates, if any,"
            " are not kept"
        )
        frame = frame.iloc[:, 1:]
    marks = next((c for c in frame.columns if str(c).lower() in HINTS["label"]), None)
    numbers = [c for c in frame.columns if c != marks and is_numeric_dtype(frame[c])]
    if not numbers:
        raise UserError(f"{member.name} has no column of numbers to draw as a trace.")
    if left := [str(c) for c in frame.columns if c != marks and c not in numbers]:
        rules.append(f"left out (no numbers): {', '.join(left[:8])}")
    named = [UNIT.fullmatch(str(c)) for c in numbers]
    channels = []
    for i, (column, with_unit) in enumerate(zip(numbers, named)):
        name = f"channel {i + 1}" if said else str(column)
        if with_unit:
            name = with_unit[1]
        name = "".join(k for k in name if k.isprintable())[:40]
        channels.append(
            Channel(name, format_unit(with_unit[2]) if with_unit else "", rate, len(frame))
        )
    values = frame[numbers].to_numpy(np.float32, na_value=np.nan)
    return Recording(
        member.name,
        tuple(channels),
        lambda positions: iter(values[:, list(positions)].T.astype(np.float64)),
        _runs(frame[marks], rate, pieces) if marks is not None else (),
        pieces=pieces,
    )


def _runs(
    column: pd.Series, rate: float, pieces: tuple[tuple[float, float, float], ...]
) -> tuple[Event, ...]:
    """Stretches of one label in a column with a label a line."""
    step, n = 1 / (rate or 1.0), len(column)
    at = np.arange(n) * step
    for start, first, last in pieces:
        a, b = round(first * n), round(last * n)
        at[a:b] = start + np.arange(b - a) * step
    words = np.array(
        ["" if pd.isna(v) else class_word(v) for v in column],
        dtype=object,
    )
    edges = np.concatenate([[0], np.flatnonzero(words[1:] != words[:-1]) + 1, [len(words)]])
    return tuple(
        Event(float(at[a]), float(at[b - 1] - at[a] + step), str(words[a]))
        for a, b in pairwise(edges.tolist())
        if words[a]
    )
