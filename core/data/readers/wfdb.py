"""WFDB records (PhysioNet: .hea, .dat, .atr) as heart beats: a window of two leads around every
beat that a person has marked; where no beats are marked, as windows one after the other
(`recordings`).

Each beat is two leads of 128 samples at 180 Hz, from 0.3 s before its mark, in mV, slow swings and
its own median taken off. The label is the annotator's letter (N normal, A atrial premature, V
ventricular ...). Headers may hold age, sex and drugs; none of that is kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers.files import Asked, Member
from core.data.readers.recording import Channel, Recording
from core.data.readers.signal_parts import ENOUGH, split_in_time
from core.data.readers.signal_windows import BRIDGED, bridge_gaps, cut_windows
from core.data.readers.units import convert_to_microvolts
from core.data.readers.wfdb_file import Record, Signal, import_library, list_segments, read_record
from core.errors import UserError

RATE, SAMPLES, BEFORE = 180, 128, 54  # Hz, samples of a beat, of which before its mark
# the letters of PhysioNet that mark beats; others mark rhythm, noise and waves
BEATS = set("NLRBAaJSVrFejnE/fQ?")
HEADER = re.compile(rb"^[\w.-]+(/\d+)?[ \t]+\d+([ \t]|\r?\n|$)")
SLOW, FAST = 10, 100_000  # samples a second of an electrocardiogram
SLOWEST = 0.5  # Hz; what swings more slowly is breathing and movement
GAP = 2.0  # seconds between parts
HALF = 0.5  # share of a record in which a lead has to be there


def is_header(member: Member) -> bool:
    """Whether this is the header of a WFDB record: by its name and its first line."""
    lines = (
        [line for line in member.head.splitlines() if not line.startswith(b"#")]
        if member.name.lower().endswith(".hea")
        else []
    )
    return bool(lines) and HEADER.match(lines[0]) is not None


def read(members: list[Member], asked: Asked) -> Dataset:
    """Return a series dataset of beats: columns beat, record, time (s from the record's start),
    rr_before_s (s since the beat before), part; when no record has marks, of windows of all
    signals.

    With three records or more, whole records go to one part; else each record's time is cut into
    stretches for training, validation and testing, with gaps between them. Records without marked
    beats beside such with marks, and files of no record, are left aside and named.
    """
    if asked.masks is not None:
        raise UserError("Masks are for pictures and scans; a record has none.")
    heads = [m for m in members if is_header(m)]
    names = {m.name for m in members}
    marked = [m for m in heads if _sibling(m, ".atr") in names]
    inner = {s for m in heads for s in list_segments(m)}
    if not marked:
        return _unmarked([m for m in heads if m.name not in inner], members, asked)
    if asked.label == "folder":
        raise UserError(
            "Beats are labelled by their marks, not by folders; choose “auto-detect” or none."
        )
    import_library()
    found, used = [], set()
    for m in marked:
        beside = [other for other in members if other.parts[:-1] == m.parts[:-1]]
        found.append(_beats(m, beside))
        used |= {str(PurePosixPath(m.name).with_name(name)) for name in found[-1]["files"]}
        used |= {other.name for other in beside if other.stem == m.stem}
    count: Counter[tuple[str, ...]] = Counter()
    for r in found:
        count[r["leads"]] += len(r["beats"])
    leads = max(count, key=lambda names: (bool(names), count[names]))
    if not leads:
        raise UserError(
            f"No record of {', '.join(r['name'] for r in found[:5])} has a lead in mV (or another"
            " unit of voltage)."
        )
    kept = [r for r in found if r["leads"] == leads and len(r["beats"])]
    odd = [
        f"{r['name']} (other leads, or no whole beat)"
        for r in found
        if not any(r is k for k in kept)
    ]
    if not kept:
        raise UserError("No marked beat lies whole within its record.")
    table = pd.concat([r["table"] for r in kept], ignore_index=True)
    beats = np.concatenate([r["beats"] for r in kept])
    bare = [m for m in heads if m not in marked and m.name not in inner]
    rules = _rules(kept, leads, len(marked), len(bare))
    roles = {"label": "beat", "time": "time"}
    card: dict[str, Any] = {
        "rate_hz": RATE,
        "channels": list(leads),
        "unit": "mV",
        "start_s": -BEFORE / RATE,
        "rules": rules,
    }
    if len(kept) >= ENOUGH:
        roles["group"] = "record"
    else:
        part = np.concatenate(
            [
                split_in_time(r["table"]["time"].to_numpy(), r["table"]["beat"].to_numpy())
                for r in kept
            ]
        )
        keep = part != ""
        table, beats = table.assign(part=part)[keep].reset_index(drop=True), beats[keep]
        roles["split"] = "part"
        words = (
            f"in time: each record's minutes go in turn 70/15/15 to the parts, {GAP:.0f} s apart"
        )
        card |= {"split rule": words, "split in time": True}
        rules.append(f"{int((~keep).sum())} beats left out between the parts")
    card["left out"] = sorted(n for n in names if n not in used) + odd
    card |= _broken({PurePosixPath(r["name"]).stem: r["broken"] for r in kept}, "record")
    return Dataset("", "series", table, beats.astype(np.float32), roles=roles, card=card)


def _broken(found: dict[str, tuple[str, ...]], column: str) -> dict[str, Any]:
    """Return the card's entry on records whose samples are not those their header was written for:
    the signals of each, by what `column` of the table calls it.
    """
    there = {name: list(signals) for name, signals in found.items() if signals}
    return {"broken signals": {"column": column, "of": there}} if there else {}


def _rules(kept: list[dict[str, Any]], leads: tuple[str, ...], marked: int, bare: int) -> list[str]:
    """How the beats of the records `kept` were cut, in words. marked, bare: how many records have
    marks and how many have none.
    """
    rules = [
        f"{RATE} Hz, {SAMPLES} samples from {BEFORE / RATE:.1f} s before each mark, leads"
        f" {' and '.join(leads)}",
        f"slow swings (below {SLOWEST} Hz) filtered out of the whole record, then each beat's"
        " median taken off",
        "age, sex and other comments of the headers are not kept",
    ]
    absent = sorted({word for r in kept for word in r["absent"]})
    if absent:
        rules.append(f"leads left out: {', '.join(absent[:8])}")
    other_units = sorted({f"{name} ({unit})" for r in kept for name, unit in r["other units"]})
    if other_units:
        rules.append(f"brought to mV: {', '.join(other_units[:8])}")
    if bare:
        rules.append(
            f"beats of the {marked} record{'s' * (marked > 1)} with marks; {bare} without marks"
            " left out (brought alone, they come in as windows)"
        )
    cut_off = sum(r["cut"] for r in kept)
    if cut_off:
        rules.append(
            f"{cut_off} beats left out whose window leaves the record or holds missing samples"
        )
    return rules


def _sibling(head: Member, suffix: str) -> str:
    return str(PurePosixPath(head.name).with_suffix(suffix))


def _beats(head: Member, beside: list[Member]) -> dict[str, Any]:
    """One record with marks: its leads in mV (the first two), beats float32 [n,leads,128], their
    table, files, and how many beats were cut off.
    """
    record = read_record(head, beside, marked=True)
    assert record.marks is not None
    every = [s for s in record.signals if convert_to_microvolts(s.unit) is not None]
    here = {s.name: float(np.isfinite(s.values).mean()) for s in every}
    absent = [
        f"{s.name} (missing for {1 - here[s.name]:.0%} of the time)"
        for s in every
        if here[s.name] < HALF
    ]
    leads = [s for s in every if here[s.name] >= HALF][:2]
    is_beat = np.isin(record.marks.letter, sorted(BEATS))
    time, letter = record.marks.sample[is_beat] / record.marks.rate, record.marks.letter[is_beat]
    if len(time) > limits.ROWS:
        raise UserError(f"{head.name} has {len(time):,} beats; at most {limits.ROWS:,} are taken.")
    out: dict[str, Any] = {
        "name": head.name,
        "leads": (),
        "beats": np.zeros((0, 0, SAMPLES)),
        "files": record.files,
        "cut": 0,
        "table": pd.DataFrame(),
        "other units": [],
        "absent": absent,
        "broken": record.broken,
    }
    if not leads or not len(time):
        return out
    # resampling from any other makes nothing, or fills the memory
    if odd := next((s.rate for s in leads if not SLOW <= s.rate <= FAST), None):
        raise UserError(
            f"{head.name} says its signals have {odd:g} samples a second; {SLOW} to {FAST:,} are"
            " read."
        )
    beats, kept, before = [], [], []
    for start, first, last in record.pieces or ((0.0, 0.0, 1.0),):
        until = start + (last - first) * record.frames / record.rate
        inside = np.flatnonzero((time >= start) & (time < until))
        cut, whole = _cut_out(
            [_piece(s, first, last) for s in leads], [s.rate for s in leads], time[inside] - start
        )
        beats.append(cut)
        kept.append(inside[whole])
        before.append(np.diff(time[inside], prepend=np.nan)[whole])
    at = np.concatenate(kept)
    x = np.concatenate(beats)
    table = pd.DataFrame(
        {
            "beat": letter[at],
            "record": head.stem,
            "time": np.round(time[at], 3),
            "rr_before_s": np.round(np.concatenate(before), 3),
        }
    )
    return out | {
        "leads": tuple(s.name for s in leads),
        "beats": x - np.median(x, axis=2, keepdims=True),
        "cut": len(time) - len(at),
        "table": table,
        "other units": [(s.name, s.unit) for s in leads if s.unit != "mV"],
    }


def _piece(signal: Signal, first: float, last: float) -> np.ndarray:
    """Return a stretch of a lead in mV, short gaps bridged."""
    many = len(signal.values)
    values = signal.values[round(first * many) : round(last * many)] * (
        (convert_to_microvolts(signal.unit) or 1.0) / 1e3
    )
    return bridge_gaps(values, round(BRIDGED * signal.rate))


def _cut_out(
    lanes: list[np.ndarray], rates: list[float], time: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Beats [n,leads,128] around the marks (s from the stretch's start) that lie whole in it
    without a missing sample, and which marks these are (bool).
    """
    first = np.round(time * RATE).astype(int) - BEFORE
    whole = first >= 0
    even = []
    for values, rate in zip(lanes, rates):
        missing = ~np.isfinite(values)
        lost = np.concatenate([[0], np.cumsum(missing)])
        ends = np.clip(np.stack([first, first + SAMPLES]) * rate / RATE, 0, len(values)).astype(int)
        whole &= lost[ends[1]] == lost[ends[0]]
        even.append(_filtered(values, missing, rate))
    whole &= first + SAMPLES <= min(map(len, even))
    if not whole.any():
        return np.zeros((0, len(lanes), SAMPLES)), whole
    return (
        np.stack([np.stack([lane[f : f + SAMPLES] for lane in even]) for f in first[whole]]),
        whole,
    )


def _filtered(values: np.ndarray, missing: np.ndarray, rate: float) -> np.ndarray:
    """Return a lead at 180 Hz without its slow swings; a straight line where samples are missing,
    so that nothing rings beside it.
    """
    from scipy.signal import butter, resample_poly, sosfiltfilt

    if missing.all():
        return np.zeros(0)
    filled = (
        np.interp(np.arange(len(values)), np.flatnonzero(~missing), values[~missing])
        if missing.any()
        else values
    )
    ratio = Fraction(RATE / rate).limit_denominator(1000)
    even = resample_poly(filled, ratio.numerator, ratio.denominator)
    if len(even) > 4 * RATE:
        even = sosfiltfilt(butter(2, SLOWEST, "highpass", fs=RATE, output="sos"), even)
    return even


def _unmarked(heads: list[Member], members: list[Member], asked: Asked) -> Dataset:
    """Windows of all records; files of no record left aside and named."""
    import_library()
    found, used = [], set()
    broken = {}
    for i, head in enumerate(heads):
        beside = [m for m in members if m.parts[:-1] == head.parts[:-1]]
        record = read_record(head, beside)
        found.append(_recording(head, beside, record))
        broken[head.name] = record.broken
        used |= {str(PurePosixPath(head.name).with_name(n)) for n in record.files}
        asked.report(i + 1, 2 * len(heads))
    rules = [
        "no beats are marked, so the whole of each record is taken",
        "age, sex, date, time and comments of the headers are not kept",
    ]
    data = cut_windows(found, asked, rules, sorted(m.name for m in members if m.name not in used))
    return replace(data, card={**data.card, **_broken(broken, "file")})


def list_records(members: Sequence[Member]) -> list[tuple[Member, list[Member]]]:
    """Headers of the records, those of segments left out, each with the files of its folder."""
    heads = [m for m in members if is_header(m)]
    inner = {s for m in heads for s in list_segments(m)}
    return [
        (m, [other for other in members if other.parts[:-1] == m.parts[:-1]])
        for m in heads
        if m.name not in inner
    ]


def hold_recording(head: Member, beside: list[Member]) -> Recording:
    """Return a record with its samples in memory, for a look. UserError as of `read_record`."""
    import_library()
    record = read_record(head, beside)

    def load(positions: Sequence[int]) -> Iterator[np.ndarray]:
        for p in positions:
            yield record.signals[p].values

    return Recording(head.name, _channels(record), load, pieces=record.pieces)


def _channels(record: Record) -> tuple[Channel, ...]:
    return tuple(Channel(s.name, s.unit, s.rate, len(s.values)) for s in record.signals)


def _recording(head: Member, beside: list[Member], record: Record) -> Recording:
    """Return a record without its samples, which are read again when its windows are cut."""

    def load(positions: Sequence[int]) -> Iterator[np.ndarray]:
        signals = read_record(head, beside).signals
        for p in positions:
            yield signals[p].values

    return Recording(head.name, _channels(record), load, pieces=record.pieces)
