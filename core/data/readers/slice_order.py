"""Series of slices: their order, what is missing or double among them, and which of them are whole
volumes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from core.data.geometry import axis_letters
from core.data.readers.dicom_header import File, Place

SAME = 0.01  # millimetres within which two places are one
EVEN = 0.01  # of the step, by which steps of an even stack may differ
LEAST = 3  # slices of a volume


@dataclass(frozen=True)
class Frame:
    """One frame of one file: `at` is the file's position among those brought, `series` and
    `patient` number them in the order of the files.
    """

    at: int
    index: int
    patient: int
    series: int
    file: File
    turn: int = 0  # numbers the orientations within a series

    @property
    def place(self) -> Place:
        """Where it lies in space."""
        return self.file.places[self.index]

    @property
    def time(self) -> float | None:
        """Seconds from the start of its series; None where the file does not say."""
        if self.place.time is not None:
            return self.place.time + self.index * self.file.apart
        return (
            self.index * self.file.apart if self.file.apart and len(self.file.places) > 1 else None
        )


def sort_frames(frames: list[Frame]) -> list[Frame]:
    """By series, orientation, position along the slices' normal, time, instance number, file,
    frame.
    """
    return sorted(
        frames,
        key=lambda f: (
            f.series,
            f.turn,
            round(f.place.along / SAME),
            f.time or 0.0,
            f.file.number,
            f.at,
            f.index,
        ),
    )


def group_stacks(frames: list[Frame]) -> list[list[int]]:
    """Positions in `frames` (sorted by `sort_frames`) of each series and orientation."""
    out: list[list[int]] = []
    for k, f in enumerate(frames):
        if k and (f.series, f.turn) == (frames[k - 1].series, frames[k - 1].turn):
            out[-1].append(k)
        else:
            out.append([k])
    return out


def check_order(frames: list[Frame]) -> tuple[list[str | None], list[str], np.ndarray]:
    """Of frames sorted by `sort_frames`: what is odd about a frame's place in words (None =
    nothing), the rules in words, millimetres to the next slice (nan = unknown).
    """
    notes: list[str | None] = [None] * len(frames)
    steps = np.array([f.place.thick for f in frames])
    counts: Counter[str] = Counter()
    for stack in group_stacks(frames):
        mine = [frames[k] for k in stack]
        if any(f.place.position is None or f.place.across is None for f in mine):
            continue
        sizes = {(*f.file.size, *np.round(f.place.mm, 4)) for f in mine}
        counts["mixed"] += len(sizes) > 1
        for k in _doubles(mine):
            notes[stack[k]] = "same place as the slice before"
            counts["double"] += 1
        along = np.array([f.place.along for f in mine])
        places = along[np.r_[True, np.diff(along) > SAME]]
        if any(f.time is None for f in mine):  # else they become clips
            doubles = sum(notes[k] is not None for k in stack)
            counts["again"] += len(mine) - len(places) - doubles
        if len(places) == 2:
            steps[stack] = places[1] - places[0]
        if len(places) < LEAST:
            continue
        steps[stack] = float(np.median(np.diff(places)))
        for i, kind, said in _uneven_steps(places):
            first = int(np.flatnonzero(along > places[i + 1] - SAME / 2)[0])
            notes[stack[first]] = said
            counts[kind] += 1
    return notes, _rules_of_order(counts), steps


def _doubles(stack: list[Frame]) -> list[int]:
    """Positions in a stack of slices that lie where the one before lies, and are of the same time
    and phase.
    """
    found = []
    for k in range(1, len(stack)):
        before, here = stack[k - 1], stack[k]
        apart = before.place.position - here.place.position  # type: ignore[operator]
        along = abs(here.place.along - before.place.along)
        same_place = along < SAME and np.abs(apart).max() < SAME
        same_time = (before.time, before.file.phase) == (here.time, here.file.phase)
        if same_place and same_time and len(before.file.places) == len(here.file.places) == 1:
            found.append(k)
    return found


def _uneven_steps(places: np.ndarray) -> list[tuple[int, str, str]]:
    """Return the steps between places [n] (mm, ascending) that differ from the most: which,
    "missing" or "uneven", and that in words. With several common steps none is taken for a gap.
    """
    between = np.diff(places)
    step = float(np.median(between))
    _, often = np.unique(np.round(between, 1), return_counts=True)
    one_step = int((often >= max(2, 0.15 * len(between))).sum()) < 2
    found = []
    for i in np.flatnonzero(np.abs(between - step) > max(EVEN * step, SAME)):
        times = between[i] / step
        if one_step and times > 1.5:
            missing = round(times) - 1
            said = "a gap before this slice"
            if abs(times - round(times)) < 0.1:
                said = f"{missing} slice{'s' * (missing != 1)} missing before this one"
            found.append((int(i), "missing", said))
        else:
            said = f"{between[i]:.2f} mm from the slice before, most are {step:.2f} mm"
            found.append((int(i), "uneven", said))
    return found


def _rules_of_order(counts: Counter[str]) -> list[str]:
    rules = []
    missing, double, again = counts["missing"], counts["double"], counts["again"]
    uneven, mixed = counts["uneven"], counts["mixed"]
    if missing:
        rules.append(
            f"slices are missing at {missing} place{'s' * (missing != 1)} (column “stack”)"
        )
    if double:
        rules.append(
            f"{double} slice{'s lie' if double != 1 else ' lies'} at the same place as another of"
            " the series (column “stack”)"
        )
    if again > 0:
        rules.append(
            f"{again} slice{'s lie' if again != 1 else ' lies'} at the place of another of the"
            " series (of another echo, phase or time): each is a row of its own"
        )
    if uneven:
        rules.append(
            f"spacing between slices changes at {uneven} place{'s' * (uneven != 1)} (column"
            " “stack”)"
        )
    if mixed:
        rules.append(
            f"{mixed} series {'hold' if mixed > 1 else 'holds'} slices of differing sizes or pixel"
            " sizes"
        )
    return rules


def is_volume(stack: list[Frame]) -> bool:
    """At least three slices of one size, one at each place, evenly spaced, straight above one
    another.
    """
    if len(stack) < LEAST or any(
        f.place.position is None or f.place.across is None or f.file.colour for f in stack
    ):
        return False
    if len({(f.file.size, tuple(np.round(f.place.mm, 4))) for f in stack}) > 1:
        return False
    between = np.diff([f.place.along for f in stack])
    step = float(np.median(between))
    if step < SAME or np.abs(between - step).max() > max(EVEN * step, SAME):
        return False
    travel = np.diff([f.place.position for f in stack], axis=0)  # type: ignore[arg-type]
    aside = travel - between[:, None] * stack[0].place.normal
    return bool(np.abs(aside).max() <= max(EVEN * step, 0.05))


@dataclass(frozen=True)
class Solid:
    """How a stack [slice, down, across] is turned into [feet to head, back to front, left to
    right]: `order` of its axes, which of them are `flipped`.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    mm: tuple[float, ...]
    oblique: float
    shape: tuple[int, ...]


def find_turn(stack: list[Frame], step: float) -> Solid | None:
    """Return the turn of a volume; None when its directions are of no use."""
    first = stack[0].place
    word, lean = axis_letters(np.array([first.normal, first.down, first.across]))
    if not word:
        return None
    order = tuple(next(i for i, w in enumerate(word) if w in pair) for pair in ("HF", "AP", "RL"))
    mm, shape = (step, *first.mm), (len(stack), *stack[0].file.size)
    return Solid(
        (order[0], order[1], order[2]),
        (word[order[0]] != "H", word[order[1]] != "A", word[order[2]] != "R"),
        tuple(mm[i] for i in order),
        lean,
        tuple(shape[i] for i in order),
    )
