"""Slices kept as rows of their own, put back into the stack they come from, so that they can be
leafed through.
"""

from __future__ import annotations

import numpy as np

from core.data.dataset import Dataset

# (what a stack is called by, its place in it, the word for one of them), the first that the table
# has
KINDS = (
    ("clip", "time", "frame"),
    ("volume", "slice", "slice"),
    ("series", "position_mm", "slice"),
)


def find_stack(data: Dataset, row: int) -> tuple[np.ndarray, str]:
    """(row ids of this view in their order, with `row` among them; "slice" or "frame"). One row
    alone where nothing says what lies beside it.
    """
    alone = np.array([row], dtype=np.int64), "slice"
    if data.modality != "image":
        return alone
    frame = data.frame
    for name, place, word in KINDS:
        name, place = (
            (data.roles.get("sequence", ""), data.roles.get("time", ""))
            if word == "frame"
            else (name, place)
        )
        if name not in frame or place not in frame or row not in frame.index:
            continue
        one = frame[frame[name] == frame.at[row, name]]
        if "patient" in frame and name != "patient":
            one = one[one["patient"] == frame.at[row, "patient"]]
        if len(one) > 1 and one[place].notna().all() and not one[place].duplicated().any():
            return one.sort_values(place, kind="stable").index.to_numpy(dtype=np.int64), word
    return alone


def find_run(data: Dataset, row: int) -> np.ndarray:
    """Return the row ids of the part of the stack of `row` that has no gap, in order: no step from
    slice to slice is more than one and a half times as long as usual.
    """
    rows, _ = find_stack(data, row)
    place = next((name for _, name, _ in KINDS[1:] if name in data.frame), "")
    if len(rows) < 2 or not place:
        return rows
    gap = np.diff(data.frame.loc[rows, place].to_numpy(float))
    parts = np.split(rows, np.flatnonzero(gap > 1.5 * np.median(gap)) + 1)
    return next(part for part in parts if row in part)


def crop_stack(rows: np.ndarray, row: int, most: int) -> slice:
    """Return the part of a stack of at most `most` that has `row` in its middle, moved inwards at
    the ends.
    """
    at = int(np.flatnonzero(rows == row)[0])
    first = min(max(0, at - most // 2), max(0, len(rows) - most))
    return slice(first, min(len(rows), first + max(1, most)))
