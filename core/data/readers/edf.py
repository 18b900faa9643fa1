"""EDF, EDF+ and BDF files (EEG, sleep, ECG) read by `edfio`, as windows of their signals.

The header says who was recorded, when and by whom; nothing of it is kept. The patient field is
turned into a keyed hash, so that recordings of one patient stay in one part. Marks (EDF+
annotations) are kept when they are short words; free notes are not, and none that repeats the
header. Files of marks alone (a hypnogram beside its night) are joined to their recording by name
and time (`edf_marks`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from core import limits
from core.data.dataset import Dataset
from core.data.deidentify import make_pseudonym
from core.data.readers import edf_marks
from core.data.readers.clipping import find_clipping_limits
from core.data.readers.files import Asked, Member
from core.data.readers.recording import Channel, Event, Recording
from core.data.readers.signal_windows import cut_windows
from core.data.readers.units import format_unit
from core.errors import UserError

SUFFIXES = (".edf", ".bdf")
BIOSEMI = b"\xffBIOSEMI"
FIELDS = {
    "label": 16,
    "transducer": 80,
    "unit": 8,
    "low": 8,
    "high": 8,
    "digital low": 8,
    "digital high": 8,
    "filter": 80,
    "samples": 8,
    "reserved": 32,
}
WORDS = 4  # words of a mark; longer ones are free notes


def is_edf(member: Member) -> bool:
    """Whether this is an EDF or BDF file: by its first bytes, or by its name when those are damaged
    (the reader then says how).
    """
    head = member.head
    return (
        head[:8] == BIOSEMI
        or (head[:8] == b"0       " and head[184:192].strip().isdigit())
        or member.name.lower().endswith(SUFFIXES)
    )


def read(members: list[Member], asked: Asked) -> Dataset:
    """Return a series dataset of windows of the signals that all files share. UserError names the
    first file that is not whole.
    """
    found, alone = [], []
    for i, m in enumerate(members):
        data = m.load()
        head = read_header(data, m.name)
        if head.only_marks:
            alone.append((m, data, head))
        else:
            found.append(_recording(m, data, head, asked))
        asked.report(i + 1, 2 * len(members))
    if not found:
        raise UserError(
            f"{members[0].name} cannot be read as a recording: it holds marks but no signal; bring"
            " it together with the recording it is of."
        )
    found, joined, left = edf_marks.join_marks(found, [_sheet(*a) for a in alone])
    found, hidden = _unnamed(found)
    rules = [
        "name, patient and recording number, birth date, start date and time in the headers are not"
        " kept"
    ]
    if hidden:
        rules.append(
            f"{hidden} file name{'s' * (hidden > 1)} replaced, since the header's words for the"
            f" patient or the recording stand in {'them' if hidden > 1 else 'it'}"
        )
    rules += joined
    notes = sum(f.notes for f in found)
    if notes:
        rules.append(
            f"{notes} mark{'s' * (notes > 1)} turned into “note”: free text, or words of the header"
        )
    return cut_windows([f.recording for f in found], asked, rules, left)


def open_recording(member: Member) -> Recording | None:
    """Return the recording in a file, its samples not read yet; None for a file of marks alone.
    UserError as of `read`.
    """
    data = member.load()
    head = read_header(data, member.name)
    return None if head.only_marks else _recording(member, data, head, Asked()).recording


@dataclass(frozen=True)
class Header:
    """What of an EDF header is used; `telling` are the words that may say who was recorded."""

    signals: int
    size: int
    records: int
    seconds: float
    fields: dict[str, list[str]]
    samples: list[int]
    width: int
    patient: str
    telling: frozenset[str]
    begin: float | None = None  # s since 1970 by the recorder's clock; None = not said

    @property
    def only_marks(self) -> bool:
        """Whether the file holds marks and no signal."""
        return len(self.marks) == self.signals

    @property
    def marks(self) -> list[int]:
        """Positions of the signals that are lists of marks."""
        return [
            i
            for i, label in enumerate(self.fields["label"])
            if label in ("EDF Annotations", "BDF Annotations")
        ]


def read_header(data: bytes, name: str) -> Header:
    """Return the header of a file, every claim of it checked against its bytes before anything is
    read. UserError in one sentence.
    """
    if len(data) < 256:
        raise _wrong(
            name, f"it has {len(data)} bytes where a header has at least 256; it is cut off"
        )
    if data[:8] != BIOSEMI and data[:8].strip() != b"0":
        raise _wrong(name, "its first bytes are not those of an EDF or BDF file")
    signals = _number(data[252:256], "number of signals", name)
    size = _number(data[184:192], "header's size", name)
    records = _number(data[236:244], "number of records", name)
    seconds = _number(data[244:252], "length of a record", name, float)
    _check_size(data, signals, size, name)
    fields = _fields(data, signals)
    samples = [
        _number(w.encode("latin-1"), f"samples of signal {i + 1}", name)
        for i, w in enumerate(fields["samples"])
    ]
    if min(samples) <= 0:
        raise _wrong(
            name, f"signal {int(np.argmin(samples)) + 1} has {min(samples)} samples a record"
        )
    width = 3 if data[:8] == BIOSEMI else 2
    there = _whole_records(len(data) - size, width * sum(samples), records, name)
    who, what = (data[a : a + 80].decode("latin-1") for a in (8, 88))
    mixed = Header(
        signals,
        size,
        there,
        seconds,
        fields,
        samples,
        width,
        who.strip(),
        frozenset(_words(who) | _words(what)),
        _begin(data[168:184]),
    )
    if mixed.only_marks:
        return mixed
    if not seconds > 0:
        raise _wrong(name, f"its header says a record lasts {seconds:g} s")
    for i in sorted(set(range(signals)) - set(mixed.marks)):
        _check_signal(mixed, i, name)
    return mixed


def _wrong(name: str, why: str) -> UserError:
    return UserError(f"{name} cannot be read as EDF: {why}.")


def _number(raw: bytes, what: str, name: str, kind: Any = int) -> Any:
    """Return a number of the header, of the type `kind`. UserError where there is none."""
    try:
        value = kind(raw.decode("ascii").strip())
        if np.isfinite(value):
            return value
    except (ValueError, OverflowError):
        pass
    raise _wrong(name, f"its header has no number where the {what} should be")


def _check_size(data: bytes, signals: int, size: int, name: str) -> None:
    """UserError where the header is not as long as its signals need, or the file ends in it."""
    if signals <= 0:
        raise _wrong(name, f"its header names {signals} signals")
    if signals > limits.CHANNELS:
        raise _wrong(
            name, f"its header names {signals:,} signals; at most {limits.CHANNELS} are taken"
        )
    if size != 256 * (signals + 1):
        raise _wrong(
            name,
            f"its header says it is {size:,} bytes long where {signals} signals need"
            f" {256 * (signals + 1):,}",
        )
    if len(data) < size:
        raise _wrong(
            name, f"it ends within its header ({len(data):,} of {size:,} bytes); it is cut off"
        )


def _fields(data: bytes, signals: int) -> dict[str, list[str]]:
    """Return what the header says of each signal, as words."""
    fields, at = {}, 256
    for key, width in FIELDS.items():
        raw = [data[at + i * width : at + (i + 1) * width] for i in range(signals)]
        fields[key] = [
            "".join(c for c in r.decode("latin-1") if c.isprintable()).strip() for r in raw
        ]
        at += width * signals
    return fields


def _whole_records(there: int, record: int, records: int, name: str) -> int:
    """How many records of `record` bytes the `there` bytes behind the header hold. UserError where
    the header says (`records`, -1 = unknown) another number.
    """
    if records < -1 or records == 0:
        raise _wrong(name, f"its header says it holds {records} records")
    whole = there // record
    if records > whole or whole == 0:
        raise _wrong(
            name,
            f"its header says {max(records, 1):,} records of {record:,} bytes but {there:,} bytes"
            " follow; it is cut off or damaged",
        )
    if there >= (records + 1) * record and records > 0:
        raise _wrong(
            name, f"{whole:,} records follow where its header says {records:,}; it is damaged"
        )
    return whole


def _check_signal(head: Header, i: int, name: str) -> None:
    """UserError where signal `i` has no possible rate, or no range of values."""
    rate = head.samples[i] / head.seconds
    if not 1e-5 <= rate <= 1e7:
        raise _wrong(name, f"signal {i + 1} has {rate:g} samples a second")
    low, high, digital_low, digital_high = (
        _number(head.fields[k][i].encode("latin-1"), f"{k} end of signal {i + 1}", name, float)
        for k in ("low", "high", "digital low", "digital high")
    )
    if low == high or digital_low >= digital_high:
        raise _wrong(
            name,
            f"signal {i + 1} has no range (from {low:g} to {high:g}, stored as {digital_low:g} to"
            f" {digital_high:g})",
        )


def _begin(raw: bytes) -> float | None:
    """Return the start of a recording, from the header's date and time (dd.mm.yy and hh.mm.ss, from
    1985 to 2084); never kept, only compared.
    """
    found = re.fullmatch(rb"(\d\d)\.(\d\d)\.(\d\d)(\d\d)\.(\d\d)\.(\d\d)", raw)
    if not found:
        return None
    day, month, year, hour, minute, second = map(int, found.groups())
    try:
        return datetime(
            1900 + year + 100 * (year < 85), month, day, hour, minute, second, tzinfo=UTC
        ).timestamp()
    except ValueError:
        return None


def _words(text: str) -> set[str]:
    """Return the words of a header field that may tell who it is of; the field's own fixed words
    left out.
    """
    return {
        w
        for w in re.split(r"[\W_]+", text.lower())
        if len(w) >= 3 and w not in ("startdate", "eeg", "ecg", "ekg", "emg", "eog", "psg", "sleep")
    }


def _opened(data: bytes, head: Header, name: str) -> Any:
    """Return the file as `edfio` has it."""
    try:
        from edfio import read_bdf, read_edf
    except ImportError:
        raise UserError(
            "Reading EDF files needs the package edfio: pip install lightbox[series]."
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = memoryview(data)[: head.size + head.records * head.width * sum(head.samples)]
            return (
                read_bdf(whole, header_encoding="latin-1")
                if head.width == 3
                else read_edf(whole, header_encoding="latin-1")
            )
    except Exception:  # whatever a damaged file makes the library do
        raise UserError(f"{name} cannot be read as EDF; it may be damaged.") from None


def _called(member: Member, head: Header) -> str:
    """Return the file's name; "" where a part of it is a word of the header."""
    telling = any(
        _words(part) & head.telling for part in PurePosixPath(member.name).with_suffix("").parts
    )
    return "" if telling else member.name


def _sheet(member: Member, data: bytes, head: Header) -> edf_marks.Sheet:
    events, notes = _events(_opened(data, head, member.name), head, member.name)
    return edf_marks.Sheet(member.name, _called(member, head), head.begin, events, notes)


def _recording(member: Member, data: bytes, head: Header, asked: Asked) -> edf_marks.Found:
    """Return the recording in a file, without its samples, and how many of its marks became
    "note".
    """
    signals = [i for i in range(head.signals) if i not in head.marks]
    taken = [i for i in signals if not (head.width == 3 and head.fields["label"][i] == "Status")]
    if not taken:
        raise UserError(f"{member.name} holds no signal besides its status channel.")
    labels = [head.fields["label"][i] for i in taken]
    channels = tuple(
        Channel(
            label if label and not _words(label) & _words(head.patient) else f"channel {k + 1}",
            format_unit(head.fields["unit"][i]),
            head.samples[i] / head.seconds,
            head.samples[i] * head.records,
            _ends(head, i),
        )
        for k, (i, label) in enumerate(zip(taken, labels))
    )
    events: tuple[Event, ...] = ()
    pieces: tuple[tuple[float, float, float], ...] = ()
    notes = 0
    if head.marks:
        events, notes = _events(_opened(data, head, member.name), head, member.name)
        pieces = _pieces(data, head, member.name)

    def load(positions: Sequence[int]) -> Iterator[np.ndarray]:
        opened = _opened(member.load(), head, member.name)
        for p in positions:
            yield np.asarray(opened.signals[signals.index(taken[p])].data)

    code = head.patient.split(" ")[0]
    if code and code.upper() != "X":
        known = code
    elif set(head.patient.upper()) <= set("X "):
        known = ""
    else:
        known = head.patient
    number = make_pseudonym(asked.key, "edf patient", known, 8) if known else ""
    recording = Recording(
        _called(member, head), channels, load, events, f"patient {number}" if number else "", pieces
    )
    return edf_marks.Found(recording, member.name, head.begin, notes)


def _ends(head: Header, i: int) -> tuple[float, float] | None:
    """Return the values at and beyond which signal `i` stands at an end of its numbers."""
    low, high, least, most = (
        float(head.fields[k][i]) for k in ("low", "high", "digital low", "digital high")
    )
    return find_clipping_limits(low, high, most - least, head.fields["unit"][i])


def _unnamed(found: list[edf_marks.Found]) -> tuple[list[edf_marks.Found], int]:
    """Return recordings whose file's name told of the header called by their number, and how many
    that were.
    """
    out = [
        (
            f
            if f.recording.file
            else replace(f, recording=replace(f.recording, file=f"recording {i + 1}"))
        )
        for i, f in enumerate(found)
    ]
    return out, sum(not f.recording.file for f in found)


def _events(opened: Any, head: Header, name: str) -> tuple[tuple[Event, ...], int]:
    """Return the marks as short words, and how many were free notes or words of the header."""
    try:
        marks = opened.annotations
    except Exception:
        raise UserError(
            f"The marks (annotations) of {name} cannot be read; it may be damaged."
        ) from None
    out, notes = [], 0
    for m in marks:
        words = "".join(c for c in m.text.split("@@")[0] if c.isprintable()).strip()
        if not words:
            continue
        free = (
            len(words.split()) > WORDS
            or len(words) > 40
            or bool(re.search(r"\d{3}|\d[./-]\d", words))
            or bool(_words(words) & head.telling)
        )
        notes += free
        out.append(Event(float(m.onset), float(m.duration or 0), "note" if free else words))
    if len(out) > limits.ROWS:
        raise UserError(f"{name} has {len(out):,} marks; at most {limits.ROWS:,} are taken.")
    return tuple(out), notes


def _pieces(data: bytes, head: Header, name: str) -> tuple[tuple[float, float, float], ...]:
    """Stretches without a gap of an interrupted recording (EDF+D), from the time that each record
    begins with; () when it is continuous.
    """
    if not data[192:197].strip().endswith(b"+D"):
        return ()
    record, skip = head.width * sum(head.samples), head.width * sum(head.samples[: head.marks[0]])
    begins = []
    for k in range(head.records):
        at = head.size + k * record + skip
        found = re.match(rb"([+-]\d{1,12}(?:\.\d{1,12})?)[\x14\x15]", data[at : at + 32])
        if not found:
            raise UserError(
                f"{name} is an interrupted recording whose record {k + 1} does not say when it"
                " begins; it may be damaged."
            )
        begins.append(float(found[1]))
    starts = [
        0,
        *(k for k in range(1, len(begins)) if abs(begins[k] - begins[k - 1] - head.seconds) > 1e-3),
    ]
    ends = [*starts[1:], len(begins)]
    return (
        tuple(
            (begins[a] - begins[0], a / head.records, b / head.records)
            for a, b in zip(starts, ends)
        )
        if len(starts) > 1
        else ()
    )
