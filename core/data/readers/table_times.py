"""The column of times in a table of measurements: its unit, its rate, and its pauses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from core.data.number_words import KEPT_ROWS, Note

LEAST = 200  # lines of a recording that has times
# a step so many times as long as the others is a pause; of all steps, so large a share may be one
PAUSE, PAUSES = 1.5, 0.01
RISING = 0.95  # of the steps of a recording whose times are not even
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
EPOCH = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))  # numbers that large since 1970 are ns, µs, ms


def find_time_scale(name: str) -> float | None:
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


@dataclass(frozen=True)
class Times:
    """Of a recording: `rate` in Hz, and `pieces` between its pauses, see `Recording.pieces`."""

    rate: float
    pieces: tuple[tuple[float, float, float], ...] = ()


def _seconds(frame: pd.DataFrame) -> tuple[np.ndarray, float] | None:
    """Return the times in the first column, float64 [n], and how many seconds one of their units
    is; None where the column is not named like time, or holds others.
    """
    scale = find_time_scale(str(frame.columns[0]))
    t = frame.iloc[:, 0]
    if scale is None or len(t) < 3:
        return None
    if not is_numeric_dtype(t):
        try:
            days = pd.to_datetime(t, utc=True, format="mixed") - pd.Timestamp(0, tz="UTC")
        except (ValueError, TypeError, OverflowError):
            return None
        t, scale = days / pd.Timedelta(1, "s"), 1.0
    values = t.to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(values).all():
        return None
    return values, next((s for above, s in EPOCH if values[0] > above), scale)


def read_times(frame: pd.DataFrame) -> Times | None:
    """Return what the first column, which is named like time, says; None when its steps are not
    even within 1 % (or one unit of its last digit). A few longer steps are pauses.
    """
    found = _seconds(frame)
    if found is None:
        return None
    values, scale = found
    step = np.diff(values)
    middle = float(np.median(step))
    if not middle > 0 or step.min() <= 0:
        return None
    paused = step > PAUSE * middle
    if paused.sum() > PAUSES * len(step):
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
    even = step[~paused]
    rounded = 3 * last <= middle and even.max() - even.min() <= 1.001 * last
    if np.abs(even - middle).max() > EVEN * middle and not rounded:
        return None
    whole = float(even.sum())
    rate, sure = len(even) / (whole * scale), 2 * max(last, 1e-9 * middle) / whole
    near = (float(f"{rate:.{digits}g}") for digits in range(1, 9))
    # the roundest that the times allow
    rate = next((r for r in near if abs(r - rate) <= sure * rate), float(rate))
    if not paused.any():
        return Times(rate)
    edges = [0, *(np.flatnonzero(paused) + 1).tolist(), len(values)]
    pieces = [
        ((values[i] - values[0]) * scale, i / len(values), j / len(values))
        for i, j in pairwise(edges)
    ]
    return Times(rate, tuple(pieces))


def note_uneven_times(frame: pd.DataFrame) -> Note | None:
    """Return a note on a table of numbers whose times rise as those of a recording do, but
    unevenly, so that its rows are read as cases.
    """
    if len(frame) < LEAST or not all(is_numeric_dtype(frame[c]) for c in frame.columns[1:]):
        return None
    found = _seconds(frame)
    if found is None or read_times(frame) is not None:
        return None
    step = np.diff(found[0])
    if float((step > 0).mean()) < RISING:
        return None
    odd = np.flatnonzero(np.abs(step - np.median(step)) > EVEN * np.median(step))
    words = {f"steps of {step.min():.4g} to {step.max():.4g}": len(odd)}
    return Note("times", str(frame.columns[0]), words, odd[:KEPT_ROWS].tolist(), len(odd))
