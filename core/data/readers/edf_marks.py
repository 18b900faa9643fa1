"""EDF+ files of marks alone (a hypnogram, a list of events) joined to the recording they are of, by
name and by time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import PurePosixPath

from core.data.readers.recording import Event, Recording

EARLY = 60.0  # s that marks may begin before their recording
# letters that two names have in common at least, where one does not begin with the whole other
LEAST = 3


@dataclass(frozen=True)
class Found:
    """A recording, the name of its file (for comparing, never shown), when it began (s since 1970,
    None = not said), and its marks turned into "note".
    """

    recording: Recording
    name: str
    begin: float | None
    notes: int


@dataclass(frozen=True)
class Sheet:
    """A file of marks alone: its name, what it may be called on screen ("" = not at all), when it
    begins, its marks from there, those turned into "note".
    """

    name: str
    called: str
    begin: float | None
    events: tuple[Event, ...]
    notes: int


def join_marks(
    found: Sequence[Found], sheets: Sequence[Sheet]
) -> tuple[list[Found], list[str], list[str]]:
    """Return the recordings with the marks of the sheets that are of them; what was joined, in
    words; and the sheets left aside.

    A sheet is of the recording whose name has the longest beginning in common with its own, in
    whose time it begins. Where two are as near, or none is, it is left aside: marks of another
    night would be wrong labels.
    """
    out, joined, left = list(found), [], []
    for sheet in sheets:
        called = sheet.called or "a file of marks"
        at = _of(sheet, out)
        if at is None:
            left.append(f"{called} (marks alone, of no recording here by name and time)")
            continue
        one = out[at]
        later = (sheet.begin or 0.0) - (one.begin or 0.0)
        events = tuple(replace(e, start=e.start + later) for e in sheet.events)
        inside = tuple(
            e
            for e in events
            if -EARLY <= e.start < one.recording.seconds + EARLY or one.recording.pieces
        )
        out[at] = replace(
            one,
            recording=replace(one.recording, events=(*one.recording.events, *inside)),
            notes=one.notes + sheet.notes,
        )
        joined.append(f"{called} to {one.recording.file or 'its recording'}")
    more = f" and {len(joined) - 5} more" if len(joined) > 5 else ""
    return (
        out,
        [f"marks joined by name and time: {', '.join(joined[:5])}{more}"] if joined else [],
        left,
    )


def _of(sheet: Sheet, found: Sequence[Found]) -> int | None:
    """Return the position of the recording that a sheet is of; None where that is not sure."""
    timely = [i for i, f in enumerate(found) if _within(sheet, f)]
    if len(found) == 1:
        return timely[0] if timely else None
    alike = {i: _shared_beginning(sheet.name, found[i].name) for i in timely}
    best = max(alike.values(), default=0)
    first = [i for i, many in alike.items() if many == best]
    return first[0] if best and len(first) == 1 else None


def _within(sheet: Sheet, found: Found) -> bool:
    if sheet.begin is None or found.begin is None:
        return False
    last = max(
        (start + (b - a) * found.recording.seconds for start, a, b in found.recording.stretches),
        default=0.0,
    )
    return -EARLY <= sheet.begin - found.begin < last


def _shared_beginning(one: str, other: str) -> int:
    """Letters that two files' names begin with in common; 0 for files in other folders and for
    names that are not alike.
    """
    a, b = PurePosixPath(one.lower()), PurePosixPath(other.lower())
    if a.parent != b.parent:
        return 0
    many = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a.stem, b.stem)))
    least = min(len(a.stem), len(b.stem))
    return many if many == least or (many >= LEAST and 2 * many >= least) else 0
