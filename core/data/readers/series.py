"""WFDB records (PhysioNet: .hea, .dat, .atr) as heart beats: a window of two leads around every beat that a person has marked; where no beats are
marked, as windows one after the other (`recordings`).

Each beat is two leads of 128 samples at 180 Hz, from 0.3 s before its mark, in mV, slow swings and its own median taken off. The label is the annotator's letter (N
normal, A atrial premature, V ventricular ...). Headers may hold age, sex and drugs; none of that is kept.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers.members import Asked, Member
from core.data.readers.recordings import ENOUGH, Channel, Recording, in_time, unit, windows
from core.errors import UserError

RATE, SAMPLES, BEFORE = 180, 128, 54  # Hz, samples of a beat, of which before its mark
BEATS = set("NLRBAaJSVrFejnE/fQ?")  # the letters of PhysioNet that mark beats; others mark rhythm, noise and waves
HEADER = re.compile(rb"^[\w.-]+(/\d+)?[ \t]+\d+([ \t]|\r?\n|$)")
FILE = re.compile(r"^[\w~][\w.~-]*(/\d+)?$")
PACKED = 64  # samples that a byte of a packed signal may hold
SLOW, FAST = 10, 100_000  # samples a second of an electrocardiogram
SLOWEST = 0.5  # Hz; what swings more slowly is breathing and movement
GAP = 2.0  # seconds between parts


def is_header(member: Member) -> bool:
    """Whether this is the header of a WFDB record: by its name and its first line."""
    lines = [line for line in member.head.splitlines() if not line.startswith(b"#")] if member.name.lower().endswith(".hea") else []
    return bool(lines) and HEADER.match(lines[0]) is not None


def read(members: list[Member], asked: Asked) -> Dataset:
    """A series dataset of beats: columns beat, record, time (s from the record's start), rr_before_s (s since the beat before), part; when no record
    has marks, of windows of all signals.

    With three records or more, whole records go to one part; else each record's time is cut into stretches for training, validation and testing, with
    gaps between them. Records without marked beats beside such with marks, and files of no record, are left aside and named.
    """
    if asked.masks is not None:
        raise UserError("Masks are for pictures and scans; a record has none.")
    heads = [m for m in members if is_header(m)]
    names = {m.name for m in members}
    marked = [m for m in heads if _beside(m, ".atr") in names]
    segments = {s for m in heads for s in _segments(m)}
    if not marked:
        return _unmarked([m for m in heads if m.name not in segments], members, asked)
    if asked.label == "folder":
        raise UserError("Beats are labelled by their marks, not by folders; choose “find it” or none.")
    found, rules, used = [], [], set()
    for folder in sorted({m.parts[:-1] for m in marked}):
        there = [m for m in members if m.parts[:-1] == folder]
        with tempfile.TemporaryDirectory() as place:
            for m in there:
                (Path(place) / m.parts[-1]).write_bytes(m.load())
            for m in marked:
                if m in there:
                    found.append(_record(Path(place), m))
                    used |= {
                        n
                        for n in names
                        if PurePosixPath(n).parent == PurePosixPath(m.name).parent
                        and (PurePosixPath(n).stem == m.stem or PurePosixPath(n).name in found[-1]["files"])
                    }
    count: Counter[tuple[str, ...]] = Counter()
    for r in found:
        count[r["leads"]] += len(r["beats"])
    leads = max(count, key=lambda names: (bool(names), count[names]))
    if not leads:
        raise UserError(f"No record of {', '.join(r['name'] for r in found[:5])} has a lead in mV.")
    kept = [r for r in found if r["leads"] == leads and len(r["beats"])]
    odd = [f"{r['name']} (other leads, or no whole beat)" for r in found if not any(r is k for k in kept)]
    if not kept:
        raise UserError("No marked beat lies whole within its record.")
    table = pd.concat([r["table"] for r in kept], ignore_index=True)
    beats = np.concatenate([r["beats"] for r in kept])
    rules = [f"{RATE} Hz, {SAMPLES} samples from {BEFORE / RATE:.1f} s before each mark, leads {' and '.join(leads)}",
             f"slow swings (below {SLOWEST} Hz) filtered out of the whole record, then each beat's median taken off",
             "age, sex and other comments of the headers are not kept"]  # fmt: skip
    if bare := [m for m in heads if m not in marked and m.name not in segments]:
        rules.append(f"beats of the {len(marked)} record{'s' * (len(marked) > 1)} with marks; {len(bare)} without marks left out (brought alone, they come in as windows)")
    if lost := sum(r["cut"] for r in kept):
        rules.append(f"{lost} beats left out whose window leaves the record or holds missing samples")
    roles = {"label": "beat", "time": "time"}
    card: dict[str, Any] = {"rate_hz": RATE, "channels": list(leads), "unit": "mV", "start_s": -BEFORE / RATE, "rules": rules}
    if len(kept) >= ENOUGH:
        roles["group"] = "record"
    else:
        part = np.concatenate([in_time(r["table"]["time"].to_numpy(), r["table"]["beat"].to_numpy()) for r in kept])
        keep = part != ""
        table, beats = table.assign(part=part)[keep].reset_index(drop=True), beats[keep]
        roles["split"] = "part"
        words = f"in time: each record's minutes go in turn 70/15/15 to the parts, {GAP:.0f} s apart"
        card |= {"split rule": words, "split in time": True}
        rules.append(f"{int((~keep).sum())} beats left out between the parts")
    card["left out"] = sorted(n for n in names if n not in used) + odd
    return Dataset("", "series", table, beats.astype(np.float32), roles=roles, card=card)


def _beside(head: Member, suffix: str) -> str:
    return str(PurePosixPath(head.name).with_suffix(suffix))


def _library() -> Any:
    """The package `wfdb`. UserError where it is not installed."""
    try:
        import wfdb
    except ImportError:
        raise UserError("Reading WFDB records needs the package wfdb: pip install lightbox[series].") from None
    return wfdb


def _damaged(head: Member, e: Exception) -> UserError:
    """The library fails in many ways on files that are cut off or damaged."""
    return UserError(f"{head.name} cannot be read as a WFDB record ({type(e).__name__}: {str(e)[:120]}).")


def _record(place: Path, head: Member) -> dict[str, Any]:
    """One record read by `wfdb`: its leads in mV (the first two), beats float32 [n,leads,128], their table, files, and how many beats were cut off."""
    from scipy.signal import butter, resample_poly, sosfiltfilt

    wfdb = _library()
    record, signal = _read(place, head, wfdb)
    try:
        marks = wfdb.rdann(str(place / head.stem), "atr")
        rate, units = float(record.fs), [str(u).lower() for u in record.units]
    except Exception as e:
        raise _damaged(head, e) from None
    leads = [i for i, u in enumerate(units) if u == "mv"][:2]
    files = {str(f) for f in (record.file_name or [])}
    is_beat = np.array([s in BEATS for s in marks.symbol], dtype=bool)
    at, letter = np.asarray(marks.sample)[is_beat], np.array(marks.symbol)[is_beat]
    if len(at) > limits.ROWS:
        raise UserError(f"{head.name} has {len(at):,} beats; at most {limits.ROWS:,} are taken.")
    if not leads or not rate > 0 or not len(at):
        return {"name": head.name, "leads": (), "beats": np.zeros((0, 0, SAMPLES)), "files": files, "cut": 0, "table": pd.DataFrame()}
    if not SLOW <= rate <= FAST:  # resampling from any other makes nothing, or fills the memory
        raise UserError(f"{head.name} says its signals have {rate:g} samples a second; {SLOW} to {FAST:,} are read.")
    signal = signal[:, leads]
    missing = ~np.isfinite(signal)
    ratio = Fraction(RATE / rate).limit_denominator(1000)
    resampled = resample_poly(np.where(missing, 0, signal), ratio.numerator, ratio.denominator, axis=0)
    if len(resampled) > 4 * RATE:
        resampled = sosfiltfilt(butter(2, SLOWEST, "highpass", fs=RATE, output="sos"), resampled, axis=0)
    first = np.round(at / rate * RATE).astype(int) - BEFORE
    lost = np.concatenate([[0], np.cumsum(missing.any(1))])
    ends = np.clip(np.stack([first, first + SAMPLES]) * rate / RATE, 0, len(signal)).astype(int)
    whole = (first >= 0) & (first + SAMPLES <= len(resampled)) & (lost[ends[1]] == lost[ends[0]])
    beats = np.stack([resampled[f : f + SAMPLES].T for f in first[whole]]) if whole.any() else np.zeros((0, len(leads), SAMPLES))
    table = pd.DataFrame({"beat": letter, "record": head.stem, "time": np.round(at / rate, 3), "rr_before_s": np.round(np.diff(at, prepend=np.nan) / rate, 3)})[
        whole
    ]
    return {"name": head.name, "leads": tuple(str(record.sig_name[i]) for i in leads), "beats": beats - np.median(beats, axis=2, keepdims=True), "files": files,
            "cut": int((~whole).sum()), "table": table.reset_index(drop=True)}  # fmt: skip


def _read(place: Path, head: Member, wfdb: Any) -> tuple[Any, np.ndarray]:
    """(the library's record, signals float64 [n,C], NaN = missing). What the header claims is checked against the files there first."""
    for line in (place / head.parts[-1]).read_text(errors="replace").splitlines():
        if line.strip() and not line.startswith("#") and not FILE.match(line.split()[0]):
            raise UserError(f"{head.name} names a file outside its folder (“{line.split()[0][:40]}”).")
    try:
        claims = wfdb.rdheader(str(place / head.stem))
        values, there = int(claims.n_sig or 0) * int(claims.sig_len or 0), sum(f.stat().st_size for f in place.iterdir())
    except Exception as e:
        raise _damaged(head, e) from None
    absent = next((n for n in (getattr(claims, "file_name", None) or []) if n != "~" and not (place / n).exists()), None)
    if absent is not None:
        raise UserError(f"{head.name} has no signal beside it ({absent[:60]}); bring the folder or zip that holds header and signal.")
    if values > min(PACKED * there, limits.VALUES // 8):
        raise UserError(f"{head.name} cannot be read as a WFDB record: it says it holds {values:,} samples, more than the {there:,} bytes of its files can; it is cut off or damaged.")
    try:
        record = wfdb.rdrecord(str(place / head.stem))
        return record, np.asarray(record.p_signal, dtype=np.float64)
    except Exception as e:
        raise _damaged(head, e) from None


def _segments(head: Member) -> list[str]:
    """Names of the headers of the segments of a multi-segment record; [] for others."""
    lines = [line.split() for line in head.load()[: 1 << 20].decode("latin-1").splitlines() if line.strip() and not line.startswith("#")]
    if "/" not in lines[0][0]:
        return []
    return [str(PurePosixPath(head.name).with_name(f"{line[0]}.hea")) for line in lines[1:] if re.fullmatch(r"\w[\w.-]*", line[0])]


def _unmarked(heads: list[Member], members: list[Member], asked: Asked) -> Dataset:
    """Windows of all records; files of no record left aside and named."""
    wfdb = _library()
    found, used = [], set()
    for i, head in enumerate(heads):
        beside = [m for m in members if m.parts[:-1] == head.parts[:-1]]
        record, names = _whole(head, beside, wfdb)
        found.append(record)
        used |= {str(PurePosixPath(head.name).with_name(n)) for n in names}
        asked.report(i + 1, 2 * len(heads))
    rules = ["no beats are marked, so the whole of each record is taken", "age, sex, date, time and comments of the headers are not kept"]
    return windows(found, asked, rules, sorted(m.name for m in members if m.name not in used))


def _whole(head: Member, beside: list[Member], wfdb: Any) -> tuple[Recording, set[str]]:
    """A record without its samples (they are read again when its windows are cut), and the names of its files."""

    def opened() -> tuple[Any, np.ndarray, set[str]]:
        texts = {m.parts[-1]: m for m in beside}
        want = {head.parts[-1]}
        for name in [head.parts[-1], *(PurePosixPath(s).name for s in _segments(head))]:
            if name in texts:
                lines = texts[name].load().decode("latin-1").splitlines()
                want |= {name} | {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}
        with tempfile.TemporaryDirectory() as place:
            for name in want & set(texts):
                (Path(place) / name).write_bytes(texts[name].load())
            return *_read(Path(place), head, wfdb), want & set(texts)

    record, signal, names = opened()
    rate = float(record.fs or 0)
    if not rate > 0:
        raise UserError(f"{head.name} says its signals have {rate:g} samples a second.")
    channels = tuple(
        Channel("".join(c for c in str(n or f"channel {i + 1}") if c.isprintable())[:40], unit(str(u or "")), rate, len(signal))
        for i, (n, u) in enumerate(zip(record.sig_name, record.units))
    )
    return Recording(head.name, channels, lambda positions: iter(opened()[1][:, list(positions)].T)), names
