"""One WFDB record (PhysioNet: .hea, .dat) as its signals, read by `wfdb` segment by segment.

Traps of the library (4.3.1): by default it averages the samples of a frame, and with them the mark
for "missing"; it cannot join segments around a pause (`~`); and it joins segments of other units as
they stand. So every segment is read by itself, each sample kept, and the joining is done here.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from core import limits
from core.data.readers.files import Member
from core.data.readers.units import convert_to_microvolts, format_unit
from core.errors import UserError

Array = np.ndarray
FILE = re.compile(r"^[\w~][\w.~-]*(/\d+)?$")
SEGMENT = re.compile(r"\w[\w.-]*")
PAUSE = "~"
PACKED = 64  # samples that a byte of a packed signal may hold


@dataclass(frozen=True)
class Signal:
    """`values` float64 [many] in `unit`, NaN = missing; `rate` in Hz."""

    name: str
    unit: str
    rate: float
    values: Array


@dataclass(frozen=True)
class Marks:
    """Samples (int64 [m], counted at `rate` Hz from the record's start) and letters of a record's
    annotations.
    """

    sample: Array
    letter: Array
    rate: float


@dataclass(frozen=True)
class Record:
    """All signals of a record, one after the other without its pauses.

    `rate`: frames a second. `pieces`: (start in s, first frame's share, last's) of the stretches
    between pauses; () = one from 0. `files`: their names. `broken`: names of signals whose samples
    do not add up to the checksum in their header.
    """

    rate: float
    frames: int
    signals: tuple[Signal, ...]
    pieces: tuple[tuple[float, float, float], ...]
    files: frozenset[str]
    marks: Marks | None = None
    broken: tuple[str, ...] = ()


@dataclass
class _Lane:
    """One signal over all segments while they are joined: `parts` of (frames, values or None where
    it is missing).
    """

    name: str
    unit: str
    many: int  # samples a frame
    parts: list[tuple[int, Array | None]] = field(default_factory=list)


def is_record_line(line: str) -> bool:
    """Whether a line of a header says something: it is neither blank nor a comment."""
    return bool(line.strip()) and not line.startswith("#")


def list_segments(head: Member) -> list[str]:
    """Names of the headers of the segments of a record of several segments; [] for others."""
    lines = _lines(head)
    if not lines or "/" not in lines[0][0]:
        return []
    return [
        str(PurePosixPath(head.name).with_name(f"{line[0]}.hea"))
        for line in lines[1:]
        if SEGMENT.fullmatch(line[0])
    ]


def read_record(head: Member, beside: Iterable[Member], marked: bool = False) -> Record:
    """Return the record of a header; `beside` are the files in its folder, of which only its own
    are unpacked. `marked`: with the beats of its .atr file.

    What the headers claim is checked against the files first. UserError in one sentence for what is
    damaged, absent or not read.
    """
    there = {m.parts[-1]: m for m in beside}
    heads = [head.parts[-1], *(PurePosixPath(s).name for s in list_segments(head))]
    if lost := next((n for n in heads if n not in there), None):
        raise UserError(
            f"{head.name} names the segment {lost.removesuffix('.hea')[:60]}, which is not beside"
            " it; bring all of the record's files together."
        )
    files = set(heads)
    for name in heads:
        for line in _lines(there[name]):
            if not FILE.match(line[0]):
                raise UserError(f"{head.name} names a file outside its folder (“{line[0][:40]}”).")
            files |= {line[0]} & set(there)
    marks = f"{head.stem}.atr"
    files |= {marks} if marked else set()
    with tempfile.TemporaryDirectory() as place:
        for name in files:
            (Path(place) / name).write_bytes(there[name].load())
        return _joined(Path(place), head, frozenset(files), marked)


def _lines(head: Member) -> list[list[str]]:
    return [
        line.split()
        for line in head.load()[: 1 << 20].decode("latin-1").splitlines()
        if is_record_line(line)
    ]


def import_library() -> Any:
    """Return the package `wfdb`. UserError where it is not installed."""
    try:
        import wfdb
    except ImportError:
        raise UserError(
            "Reading WFDB records needs the package wfdb: pip install lightbox[series]."
        ) from None
    return wfdb


def reword_errors(
    name: str, what: str = "it is cut off, damaged, or written in a way that is not read"
) -> UserError:
    """Return the sentence about a record that the library cannot read, which fails in many ways."""
    return UserError(f"{name} cannot be read as a WFDB record: {what}.")


def _header(path: Path, name: str) -> Any:
    try:
        return import_library().rdheader(str(path))
    except UserError:
        raise
    except Exception:  # whatever a damaged header makes the library do
        raise reword_errors(name, "its header is damaged") from None


def _joined(place: Path, head: Member, files: frozenset[str], marked: bool) -> Record:
    master = _header(place / head.stem, head.name)
    rate = float(master.fs or 0)
    if not rate > 0:
        raise UserError(f"{head.name} says its signals have {rate:g} samples a second.")
    several = hasattr(master, "seg_name")
    named = list(zip(master.seg_name, master.seg_len)) if several else [(head.stem, master.sig_len)]
    layout = several and master.layout == "variable"
    lanes: dict[Any, _Lane] = {}
    # between pauses: frame of the record, first and last frame held
    stretches: list[tuple[int, int, int]] = []
    broken: dict[str, None] = {}
    at = held = 0
    budget = min(PACKED * sum(f.stat().st_size for f in place.iterdir()), limits.VALUES // 8)
    for name, length in named[1:] if layout else named:
        if name == PAUSE:
            at += int(length or 0)
            continue
        read, frames, odd = _segment(place, head, str(name), rate, length, budget)
        broken |= dict.fromkeys(odd)
        budget -= sum(len(s.values) for _, s, _ in read)
        _append(lanes, read, frames, held, head.name, by_name=layout)
        if stretches and at - stretches[-1][0] == held - stretches[-1][1]:
            stretches[-1] = (*stretches[-1][:2], held + frames)
        elif frames:
            stretches.append((at, held, held + frames))
        at, held = at + frames, held + frames
    if not held or not lanes:
        raise reword_errors(head.name, "it holds no samples")
    pieces = tuple((start / rate, a / held, b / held) for start, a, b in stretches)
    signals = tuple(
        Signal(lane.name, lane.unit, rate * lane.many, _whole(lane)) for lane in lanes.values()
    )
    return Record(
        rate,
        held,
        signals,
        () if pieces == ((0.0, 0.0, 1.0),) else pieces,
        files,
        _marks(place, head, rate) if marked else None,
        tuple(broken),
    )


def _segment(
    place: Path, head: Member, name: str, rate: float, length: int | None, budget: int
) -> tuple[list[tuple[Any, Signal, int]], int, list[str]]:
    """Return the signals of one segment as (key, signal, samples a frame), its frames, and the
    names of the signals whose samples do not add up to their checksum.
    """
    claims = _header(place / name, head.name)
    if hasattr(claims, "seg_name"):
        raise reword_errors(head.name, f"its segment {name[:60]} has segments of its own")
    if abs(float(claims.fs or 0) - rate) > 1e-6 * rate:
        raise reword_errors(
            head.name,
            f"its segment {name[:60]} has {float(claims.fs or 0):g} frames a second, the record"
            f" {rate:g}",
        )
    files = getattr(claims, "file_name", None) or []
    absent = next((n for n in files if n != PAUSE and not (place / n).exists()), None)
    if absent is not None:
        raise UserError(
            f"{head.name} has no signal beside it ({absent[:60]}); bring the folder or zip that"
            " holds header and signal."
        )
    per = [int(k or 1) for k in claims.samps_per_frame or []]
    values = sum(per) * int(claims.sig_len or 0)
    if values > budget:
        raise reword_errors(
            head.name,
            f"it says it holds {values:,} samples, more than its files can; it is cut off or"
            " damaged",
        )
    if not per:
        return [], int(length or claims.sig_len or 0), []
    try:
        record = import_library().rdrecord(str(place / name), smooth_frames=False, physical=False)
        broken = _broken(record, claims)
        record.dac(expanded=True, inplace=True)
        columns = [np.asarray(v, dtype=np.float64) for v in record.e_p_signal]
    except Exception:  # whatever a damaged file makes the library do
        raise reword_errors(head.name) from None
    frames = int(length or record.sig_len)
    seen: Counter[str] = Counter()
    out = []
    titles = [_title(record.sig_name[i], i) for i in range(len(columns))]
    for i, (v, k) in enumerate(zip(columns, per)):
        title = titles[i]
        seen[title] += 1
        fitted = np.full(frames * k, np.nan)
        fitted[: len(v)] = v[: frames * k]
        out.append(
            (
                (title, seen[title]),
                Signal(title, format_unit(str(record.units[i] or "")), rate * k, fitted),
                k,
            )
        )
    return out, frames, [titles[i] for i in broken]


def _title(name: str | None, i: int) -> str:
    """Return what signal `i` is called."""
    return "".join(c for c in str(name or f"channel {i + 1}") if c.isprintable())[:40]


def _broken(record: Any, claims: Any) -> list[int]:
    """Positions of the signals of which the sum of the samples, in 16 bits, is not what the header
    says. 0 is written where no sum was taken; skewed signals cannot be added up.
    """
    said = claims.checksum or []
    if any(claims.skew or []):
        return []
    sums = record.calc_checksum(expanded=True)
    return [i for i, (own, of) in enumerate(zip(sums, said)) if of and own != int(of) % 65536]


def _append(
    lanes: dict[Any, _Lane],
    read: list[tuple[Any, Signal, int]],
    frames: int,
    held: int,
    called: str,
    by_name: bool,
) -> None:
    """Add a segment to the lanes; a signal it lacks is missing there, one that is new was missing
    so far.
    """
    given = {key if by_name else i: (signal, k) for i, (key, signal, k) in enumerate(read)}
    for key, (signal, k) in given.items():
        lane = lanes.setdefault(
            key, _Lane(signal.name, signal.unit, k, [(held, None)] if held else [])
        )
        values = signal.values
        if signal.unit != lane.unit:
            both = convert_to_microvolts(signal.unit), convert_to_microvolts(lane.unit)
            if both[0] is None or both[1] is None:
                raise UserError(
                    f"{called}: the signal {lane.name} is in {lane.unit or 'no unit'} in one"
                    f" segment and in {signal.unit or 'no unit'} in another; bring them one by one."
                )
            values = values * (both[0] / both[1])
        if k != lane.many:
            raise UserError(
                f"{called}: the signal {lane.name} has {lane.many} samples a frame in one segment"
                f" and {k} in another; bring them one by one."
            )
        lane.parts.append((frames, values))
    for key, lane in lanes.items():
        if key not in given:
            lane.parts.append((frames, None))


def _whole(lane: _Lane) -> Array:
    return np.concatenate(
        [np.full(frames * lane.many, np.nan) if v is None else v for frames, v in lane.parts]
    )


def _marks(place: Path, head: Member, rate: float) -> Marks:
    try:
        found = import_library().rdann(str(place / head.stem), "atr")
        own = float(found.fs or rate)
        return Marks(
            np.asarray(found.sample, np.int64), np.array(found.symbol), own if own > 0 else rate
        )
    except Exception:
        raise reword_errors(f"{head.stem}.atr", "its marks are cut off or damaged") from None
