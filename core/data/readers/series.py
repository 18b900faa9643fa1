"""WFDB records (PhysioNet: .hea, .dat, .atr) as heart beats: a window of two leads around every beat that a person has marked.

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
from core.errors import UserError

RATE, SAMPLES, BEFORE = 180, 128, 54  # Hz, samples of a beat, of which before its mark
BEATS = set("NLRBAaJSVrFejnE/fQ?")  # the letters of PhysioNet that mark beats; others mark rhythm, noise and waves
HEADER = re.compile(rb"^[\w.-]+(/\d+)?[ \t]+\d+([ \t]|\r?\n|$)")
FILE = re.compile(r"^[\w~][\w.~-]*(/\d+)?$")
SLOWEST = 0.5  # Hz; what swings more slowly is breathing and movement
GAP = 2.0  # seconds between parts
ENOUGH = 3  # records from which whole records go to one part


def is_header(member: Member) -> bool:
    """Whether this is the header of a WFDB record: by its name and its first line."""
    lines = [line for line in member.head.splitlines() if not line.startswith(b"#")] if member.name.lower().endswith(".hea") else []
    return bool(lines) and HEADER.match(lines[0]) is not None


def read(members: list[Member], asked: Asked) -> Dataset:
    """A series dataset of beats: columns beat, record, time (s from the record's start), rr_before_s (s since the beat before), part.

    With three records or more, whole records go to one part; else each record's time is cut into stretches for training, validation and testing, with
    gaps between them. Records without marked beats and files of no record are left aside and named. UserError when no record has marked beats.
    """
    if asked.masks is not None:
        raise UserError("Masks are for pictures and scans; a record has none.")
    if asked.label == "folder":
        raise UserError("Beats are labelled by their marks, not by folders; choose “find it” or none.")
    heads = [m for m in members if is_header(m)]
    names = {m.name for m in members}
    marked = [m for m in heads if _beside(m, ".atr") in names]
    if not marked:
        raise UserError(
            f"{heads[0].name} has no beat marks beside it ({PurePosixPath(heads[0].name).stem}.atr); bring the folder or zip that holds header, signal and marks."
        )
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


def _record(place: Path, head: Member) -> dict[str, Any]:
    """One record read by `wfdb`: its leads in mV (the first two), beats float32 [n,leads,128], their table, files, and how many beats were cut off."""
    from scipy.signal import butter, resample_poly, sosfiltfilt

    try:
        import wfdb
    except ImportError:
        raise UserError("Reading WFDB records needs the package wfdb: pip install lightbox[series].") from None
    for line in (place / head.parts[-1]).read_text(errors="replace").splitlines():
        if line.strip() and not line.startswith("#") and not FILE.match(line.split()[0]):
            raise UserError(f"{head.name} names a file outside its folder (“{line.split()[0][:40]}”).")
    name = str(place / head.stem)
    try:
        record, marks = wfdb.rdrecord(name), wfdb.rdann(name, "atr")
        signal, rate, units = np.asarray(record.p_signal, dtype=np.float64), float(record.fs), [str(u).lower() for u in record.units]
    except Exception as e:  # the library fails in many ways on files that are cut off or damaged
        raise UserError(f"{head.name} cannot be read as a WFDB record ({type(e).__name__}: {str(e)[:120]}).") from None
    leads = [i for i, u in enumerate(units) if u == "mv"][:2]
    files = {str(f) for f in (record.file_name or [])}
    is_beat = np.array([s in BEATS for s in marks.symbol], dtype=bool)
    at, letter = np.asarray(marks.sample)[is_beat], np.array(marks.symbol)[is_beat]
    if len(at) > limits.ROWS:
        raise UserError(f"{head.name} has {len(at):,} beats; at most {limits.ROWS:,} are taken.")
    if not leads or not rate > 0 or not len(at):
        return {"name": head.name, "leads": (), "beats": np.zeros((0, 0, SAMPLES)), "files": files, "cut": 0, "table": pd.DataFrame()}
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


def in_time(time: np.ndarray, label: np.ndarray, turns: int = 10, turn: float = 0.0, gap: float = GAP) -> np.ndarray:
    """ "train", "val", "test" or "" [n] for the beats of one record in order of time (s): its time goes in `turns` rounds of 70, 15 and 15 %.

    Beats within half a `gap` of a border are "", so that no two neighbouring beats stand in two parts; a border moves by at most a twentieth of a round
    to lose beats of the commonest letter only. `turn` (0 to 1) begins within a round.
    """
    if len(time) < 10:
        return np.full(len(time), "train", dtype="<U5")
    turns = max(1, min(turns, len(time) // 60))
    length = (time[-1] - time[0]) / turns
    kinds = np.tile(["train", "val", "test"], turns + 2)
    letters, count = np.unique(label, return_counts=True)
    rare = time[label != letters[count.argmax()]]
    steps = np.arange(0, length / 20, gap / 4)
    tries = np.unique(np.concatenate([-steps, steps]))
    tries = tries[np.argsort(np.abs(tries), kind="stable")]
    edges = []
    for e in time[0] + length * (np.add.outer(np.arange(-1, turns + 1), [0, 0.7, 0.85]).ravel() - turn):
        free = (e + t for t in tries if not (np.abs(rare - e - t) < gap / 2).any())
        edges.append(next(free, e))
    part = kinds[np.searchsorted(edges, time, side="right") - 1].astype("<U5")
    inner = [e for e in edges if time[0] + 1e-6 < e < time[-1] - 1e-6]
    part[(np.abs(time[:, None] - np.array(inner)) < gap / 2).any(1)] = ""
    torn = np.flatnonzero((part[1:] != part[:-1]) & (part[1:] != "") & (part[:-1] != ""))
    part[torn + 1] = ""  # beats far apart, as after a pause
    return part
