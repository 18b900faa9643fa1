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
from core.data.readers.signal_windows import windows
from core.data.readers.units import unit
from core.errors import UserError

# lines of a recording that has times; files, and lines of each, that have neither times nor names
# of columns
LEAST, FILES, LINES = 200, 8, 32
EVEN = 0.01  # by how much of itself a step may differ
SCALE = {
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "milliseconds": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "microseconds": 1e-6,
    "ns": 1e-9,
    "min": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hours": 3600.0,
}
TIME = re.compile(
    r"(?P<base>time ?stamps?|time|t|elapsed|elapsed time"
    r"|date ?time)? ?[\[(]?(?P<unit>[a-zµ]+)?[\])]?"
)
UNIT = re.compile(r"(.+?)\s*[\[(]([^\[\]()]{1,12})[\])]\s*")
EPOCH = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))  # numbers that large since 1970 are ns, µs, ms


def scale_of(name: str) -> float | None:
    """Seconds in one step of a column named like time ("time", "t (ms)", "seconds", "timestamp");
    None for other names.
    """
    found = TIME.fullmatch(re.sub(r"[\s_]+", " ", name.strip().lower()).replace("μ", "µ"))
    if (
        found is None
        or not (found["base"] or found["unit"])
        or (found["unit"] and found["unit"] not in SCALE)
    ):
        return None
    if not found["base"] and found["unit"] in ("h", "min"):  # alone they may be anything
        return None
    return SCALE[found["unit"]] if found["unit"] else 1.0


def found_in(members: Sequence[Member], asked: Asked) -> bool:
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
    if all(f and len(f) > 1 and scale_of(f[0]) is not None for f in firsts):
        hints = {w for words in HINTS.values() for w in words}
        if (
            any(w.strip().lower().replace(" ", "_") in hints for f in firsts for w in f[1:])
            or len({frozenset(f) for f in firsts}) > 1
        ):
            return False
        return all(_is_recording(joined_tables.whole([m], clocks=False).frame) for m in members)
    if len(members) < FILES or not all(f and all(map(_number, f)) for f in firsts):
        return False
    shapes = set()
    for m in members:
        found = joined_tables.whole([m], clocks=False)
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
    """A series dataset: each file is a recording, its columns of numbers the channels. UserError
    when a time column's steps are not even.
    """
    found: list[Recording] = []
    rules: list[str] = []
    for i, m in enumerate(members):
        found.append(_recording(m, rules if i == 0 else []))
        asked.report(i + 1, 2 * len(members))
    return windows(
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
        and rate_of(frame) is not None
    )


def rate_of(frame: pd.DataFrame) -> float | None:
    """Hz of the first column, which is named like time; None when its steps are not even within 1 %
    (or one unit of its last digit).
    """
    scale = scale_of(str(frame.columns[0]))
    t = frame.iloc[:, 0]
    if scale is None or len(t) < 3:
        return None
    if not is_numeric_dtype(t):
        try:
            t, scale = (
                (pd.to_datetime(t, utc=True, format="mixed") - pd.Timestamp(0, tz="UTC"))
                / pd.Timedelta(1, "s"),
                1.0,
            )
        except (ValueError, TypeError, OverflowError):
            return None
    values = t.to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(values).all():
        return None
    scale = next((s for above, s in EPOCH if values[0] > above), scale)
    step = np.diff(values)
    middle = float(np.median(step))
    if not middle > 0 or step.min() <= 0:
        return None
    # one unit of the last digit
    last = next(
        (
            10.0**-k
            for k in range(10)
            if np.abs(values * 10.0**k - np.round(values * 10.0**k)).max() < 1e-3
        ),
        0.0,
    )
    rounded = 3 * last <= middle and step.max() - step.min() <= 1.001 * last
    if np.abs(step - middle).max() > EVEN * middle and not rounded:
        return None
    rate, sure = (
        (len(values) - 1) / ((values[-1] - values[0]) * scale),
        2 * max(last, 1e-9 * middle) / (values[-1] - values[0]),
    )
    near = (float(f"{rate:.{digits}g}") for digits in range(1, 9))
    # the roundest that the times allow
    return next((r for r in near if abs(r - rate) <= sure * rate), float(rate))


def _recording(member: Member, rules: list[str]) -> Recording:
    from core.data.role_word_lists import HINTS

    table = joined_tables.whole([member], clocks=False)
    frame, said = table.frame, table.bare
    rules += table.rules
    rate, timed = 0.0, not said and scale_of(str(frame.columns[0])) is not None
    if timed:
        found = rate_of(frame)
        if found is None:
            raise UserError(
                f"{member.name}: the times in “{frame.columns[0]}” are not evenly spaced, so it is"
                " no recording that can be cut; import it as a table."
            )
        rate = found
        rules.append(
            f"“{frame.columns[0]}” is the time: {found:.6g} samples a second; its dates, if any,"
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
    channels = tuple(
        Channel(
            "".join(
                k
                for k in (n[1] if n else f"channel {i + 1}" if said else str(c))
                if k.isprintable()
            )[:40],
            unit(n[2]) if n else "",
            rate,
            len(frame),
        )
        for i, (c, n) in enumerate(zip(numbers, named))
    )
    values = frame[numbers].to_numpy(np.float32, na_value=np.nan)
    return Recording(
        member.name,
        channels,
        lambda positions: iter(values[:, list(positions)].T.astype(np.float64)),
        _runs(frame[marks], rate) if marks is not None else (),
    )


def _runs(column: pd.Series, rate: float) -> tuple[Event, ...]:
    """Stretches of one label in a column with a label a line."""
    words = np.array(
        [
            "" if pd.isna(v) else str(int(v)) if isinstance(v, float) and v.is_integer() else str(v)
            for v in column
        ],
        dtype=object,
    )
    edges = np.concatenate([[0], np.flatnonzero(words[1:] != words[:-1]) + 1, [len(words)]])
    return tuple(
        Event(a / (rate or 1.0), (b - a) / (rate or 1.0), str(words[a]))
        for a, b in pairwise(edges.tolist())
        if words[a]
    )
