"""Recordings (EEG, ECG, breathing ...) as windows: what every reader of signals over time shares, whatever the file.

A window is [C,T]: the channels that all recordings have, at one rate, in their units. Windows follow each other without overlap; those of one
recording stay in one part, or, with fewer than three recordings, its time is cut into stretches with a window left out between.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers.members import Asked
from core.errors import UserError

Array = np.ndarray
SECONDS = 10.0  # a window's usual length
TOP_RATE = 128.0  # Hz, of windows of that length and longer
LONGEST, USUAL, FEWEST = 3000, 128, 64  # samples of a window: at most; at least, from which it is not lengthened; at least, when it is shortened
WANTED = 20  # windows from which a window is not shortened to have more
SHORT = 30.0  # seconds up to which recordings of one length are one case each
SEVERAL = 5  # recordings from which that is so
ENOUGH = 3  # recordings from which whole recordings go to one part
BRIDGED = 0.05  # s; missing samples for no longer than that are bridged by a straight line
SLOW = 0.25  # channels slower than this share of the usual rate are left out
VOLTS = {"v": 1e6, "mv": 1e3, "uv": 1.0, "nv": 1e-3}  # in µV


@dataclass(frozen=True)
class Channel:
    """One signal: `rate` in Hz (0 = not known), `many` samples."""

    name: str
    unit: str
    rate: float
    many: int


@dataclass(frozen=True)
class Event:
    """A mark: from `start` (s) for `length` (s; 0 = a moment)."""

    start: float
    length: float
    text: str


@dataclass(frozen=True)
class Recording:
    """One file's signals. `load(positions)` gives the samples of those channels one after the other, float [many] in their units, NaN = missing.

    `pieces`: (start in s, first sample's share, last's) of stretches without a gap, in shares of the samples; () = one stretch from 0.
    """

    file: str
    channels: tuple[Channel, ...]
    load: Callable[[Sequence[int]], Iterable[Array]]
    events: tuple[Event, ...] = ()
    patient: str = ""
    pieces: tuple[tuple[float, float, float], ...] = ()

    @property
    def seconds(self) -> float:
        """Of the longest channel; its samples where no rate is known."""
        return max(c.many / (c.rate or 1.0) for c in self.channels)

    @property
    def stretches(self) -> tuple[tuple[float, float, float], ...]:
        return self.pieces or ((0.0, 0.0, 1.0),)


@dataclass(frozen=True)
class Plan:
    """How all recordings are cut: `names` of the channels, their `units`, Hz and samples of a window (`known`: whether the rate is), one window a file or many."""

    names: tuple[str, ...]
    units: tuple[str, ...]
    rate: float
    many: int
    known: bool
    whole: bool

    @property
    def seconds(self) -> float:
        return self.many / self.rate


def unit(word: str) -> str:
    """A unit as it is written on screen: uV and µV are one, unknown ones (NU) are none."""
    word = "".join(c for c in word.strip() if c.isprintable())[:12].replace("μ", "µ")
    word = {"uv": "µV", "µv": "µV", "mv": "mV", "v": "V", "nv": "nV", "microvolt": "µV", "millivolt": "mV"}.get(word.lower(), word)
    return "" if word.lower() in ("nu", "adu", "n/a", "none", "a.u.", "au") else word


def _volts(word: str) -> float | None:
    return VOLTS.get(word.lower().replace("µ", "u"))


def windows(found: list[Recording], asked: Asked, rules: list[str], left: Sequence[str] = ()) -> Dataset:
    """A series dataset of all windows: columns window (its name), file, time (s from the start), perhaps patient, label or event, and part.

    `rules` go before those made here, `left` are files left out so far. UserError when no whole window can be cut, or too many.
    """
    if asked.masks is not None:
        raise UserError("Masks are for pictures and scans; a recording has none.")
    found = [replace(r, channels=_told_apart(r.channels)) for r in found]
    found, names, odd = _same_channels(found)
    plan, more = _plan(found, names)
    odd += more
    if plan.many < 16:
        raise UserError(f"{_called(found)} {'is' if len(found) == 1 else 'are'} too short, or measured too seldom: a window would hold {plan.many} samples.")
    every = sum(max(1, int((last - first) * r.seconds / plan.seconds + 1e-6)) for r in found for _, first, last in r.stretches)
    if every * len(names) * plan.many * 4 > limits.VALUES:
        raise UserError(
            f"{_called(found)} make{'s' * (len(found) == 1)} {every * len(names) * plan.many * 4 >> 20:,} MB of samples; at most {limits.VALUES >> 20:,} MB are taken, so bring "
            "fewer or shorter recordings."
        )
    if every > limits.ROWS:
        raise UserError(f"{_called(found)} make{'s' * (len(found) == 1)} {every:,} windows; at most {limits.ROWS:,} are taken.")
    parts, lines, lost = [], [], 0
    for i, r in enumerate(found):
        x, start, missing = _cut(r, plan)
        lost += missing
        parts.append(x)
        lines += [{"window": r.file if plan.whole else f"{r.file} at {clock(t, plan)}", "file": r.file, "patient": r.patient, "time": round(float(t), 3)} for t in start]
        asked.report(len(found) + i + 1, 2 * len(found))
    if not lines:
        raise UserError(f"No stretch of {plan.seconds:g} s of {_called(found)} is whole: samples are missing everywhere, or it is too short.")
    samples, table = np.concatenate(parts), pd.DataFrame(lines)
    table, roles, words = _marked(table, found, plan)
    rules = [*rules, *_rules(plan, found), *words]
    if lost:
        bridge = f" for longer than {BRIDGED:g} s (shorter gaps are bridged by a straight line)" if plan.known else ""
        rules.append(f"{lost} window{'s' * (lost > 1)} left out in which samples are missing{bridge}")
    return _parted(table, samples, roles, plan, asked, rules, [*left, *odd])


def _called(found: list[Recording]) -> str:
    return found[0].file if len(found) == 1 else f"the {len(found)} recordings"


def clock(seconds: float, plan: Plan) -> str:
    """A time within a recording: 0:12:30, seconds with decimals where windows are shorter than one, or a sample's number."""
    if not plan.known:
        return f"sample {round(seconds)}"
    if plan.seconds < 1 or seconds % 1:
        return f"{seconds:.10g} s"
    s = round(seconds)
    return f"{s // 3600}:{s // 60 % 60:02d}:{s % 60:02d}"


# -- which channels, how fast, how long -----------------------------------------------------------------------------------------------------------
def _told_apart(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """A second channel of the same name is called so."""
    seen: Counter[str] = Counter()
    out = []
    for c in channels:
        seen[_key(c.name)] += 1
        out.append(replace(c, name=f"{c.name} ({seen[_key(c.name)]})") if seen[_key(c.name)] > 1 else c)
    return tuple(out)


def _key(name: str) -> str:
    return re.sub(r"\s+", " ", name).strip().lower()


def _same_channels(found: list[Recording]) -> tuple[list[Recording], tuple[str, ...], list[str]]:
    """The recordings that go together, the channels they share, and who was left out and why."""
    sets = [{_key(c.name) for c in r.channels} for r in found]
    shared, left = set.intersection(*sets), []
    if not shared:
        usual = set(Counter(frozenset(s) for s in sets).most_common(1)[0][0])
        left = [f"{r.file} (other channels)" for r, s in zip(found, sets) if not usual <= s]
        found, shared = [r for r, s in zip(found, sets) if usual <= s], usual
    first = {_key(c.name): c for c in found[0].channels if _key(c.name) in shared}
    keep = []
    for r in found:
        units = {_key(c.name): c.unit for c in r.channels}
        odd = next((c.name for k, c in first.items() if units[k] != c.unit and None in (_volts(units[k]), _volts(c.unit))), None)
        left += [f"{r.file} (channel {odd} in another unit)"] if odd else []
        keep += [] if odd else [r]
    sometimes = sorted({c.name for r in keep for c in r.channels if _key(c.name) not in shared})
    return keep, tuple(c.name for c in first.values()), left + [f"channel {n} (not in every recording)" for n in sometimes[:20]]


def _plan(found: list[Recording], names: tuple[str, ...]) -> tuple[Plan, list[str]]:
    """Rate, length and channels of the windows, and channels left out for being much slower than the others."""
    of = [{_key(c.name): c for c in r.channels} for r in found]
    rates = Counter(o[_key(n)].rate for o in of for n in names)
    known = 0 not in rates
    usual = max(rates, key=lambda r: (rates[r], r)) if known else 1.0
    slow = [n for n in names if known and min(o[_key(n)].rate for o in of) < SLOW * usual]
    names = tuple(n for n in names if n not in slow)
    lengths = [r.seconds for r in found]
    longest = max(lengths)
    marks = Counter(round(e.length, 3) for r in found for e in r.events if e.length > 0)
    whole = len(found) >= SEVERAL and max(lengths) - min(lengths) <= 0.01 * longest + 1 / usual and (longest <= SHORT if known else longest <= LONGEST)
    whole = whole and not any(r.pieces for r in found) and longest * usual >= 16
    if whole:
        seconds = min(lengths)
    elif marks and marks.most_common(1)[0][1] >= max(10, 0.8 * sum(marks.values())) and 1 <= marks.most_common(1)[0][0] <= 60:
        seconds = marks.most_common(1)[0][0]
    else:
        steps = sorted(float(f"{b}e{k}") for k in range(-9, 10) for b in (1, 2, 5))
        seconds = next((s for s in steps if s >= (SECONDS if known else USUAL) * (1 - 1e-9) and s * usual >= USUAL), steps[-1])
        count = lambda s: sum(int((b - a) * r.seconds / s + 1e-6) for r in found for _, a, b in r.stretches)  # noqa: E731
        for s in (s for s in reversed(steps) if s < seconds and s * usual >= FEWEST):
            if count(seconds) >= WANTED:
                break
            seconds = s
    rate = usual if not known else min(usual, LONGEST / seconds, TOP_RATE if seconds >= SECONDS and not whole else np.inf)
    units = tuple(of[0][_key(n)].unit for n in names)
    plan = Plan(names, units, rate, max(1, int(np.floor(seconds * rate + 1e-3))), known, whole)
    return plan, [f"channel {n} (much slower than the others)" for n in slow]


def _rules(plan: Plan, found: list[Recording]) -> list[str]:
    if plan.whole:
        rules = [f"each of the {len(found)} files is one case of {plan.many} samples" + (f" at {plan.rate:g} Hz ({plan.seconds:g} s)" if plan.known else "; the rate is not known")]
    elif plan.known:
        rules = [f"cut into windows of {plan.seconds:g} s at {plan.rate:.6g} Hz ({plan.many} samples), one after the other"]
    else:
        rules = [f"cut into windows of {plan.many} samples, one after the other; the rate is not known"]
    rates = sorted({c.rate for r in found for c in r.channels if c.name in plan.names})
    if plan.known and rates != [plan.rate]:
        rules.append(f"resampled from {' and '.join(f'{r:.6g}' for r in rates[:4])}{' …' if len(rates) > 4 else ''} Hz, what is too fast for the new rate filtered out")
    shown = [f"{n} ({u})" if u else n for n, u in zip(plan.names, plan.units)]
    rules.append(f"channels: {', '.join(shown[:12])}{f' and {len(shown) - 12} more' if len(shown) > 12 else ''}")
    if any(_volts(u) for u in plan.units):
        rules.append("voltages: each window's own median is taken off each channel (an amplifier's resting level says nothing)")
    return rules


# -- cutting --------------------------------------------------------------------------------------------------------------------------------------
def _cut(r: Recording, plan: Plan) -> tuple[Array, Array, int]:
    """Windows float32 [n,C,T] of one recording, their starts (s), and how many were lost to missing samples."""
    of = {_key(c.name): i for i, c in enumerate(r.channels)}
    positions = [of[_key(n)] for n in plan.names]
    lanes = []  # of each channel, its windows in each stretch
    for position, values, want in zip(positions, r.load(positions), plan.units):
        channel = r.channels[position]
        factor = 1.0 if channel.unit == want else (_volts(channel.unit) or 1.0) / (_volts(want) or 1.0)
        pieces = [values[round(first * len(values)) : round(last * len(values))] for _, first, last in r.stretches]
        lanes.append([_rows(piece * factor, channel.rate, want, plan) for piece in pieces])
    counts = [min(len(lane[k]) for lane in lanes) for k in range(len(r.stretches))]
    x = np.concatenate([np.stack([lane[k][:n] for lane in lanes], 1) for k, n in enumerate(counts)])
    at = np.concatenate([start + np.arange(n) * plan.seconds for (start, _, _), n in zip(r.stretches, counts)])
    good = np.isfinite(x).all((1, 2))
    return x[good], at[good], int((~good).sum())


def _rows(values: Array, rate: float, want: str, plan: Plan) -> Array:
    """One channel's stretch as windows float32 [n,T]."""
    again = _resampled(bridged(values, round(BRIDGED * rate)), rate, plan.rate) if plan.known else values
    if plan.whole:  # rounding may have cost the last sample
        again = np.pad(again, (0, max(0, plan.many - len(again))), "edge")[: plan.many]
    n = len(again) // plan.many
    x = again[: n * plan.many].reshape(n, plan.many)
    if _volts(want) is not None and n:
        x = x - np.median(x, axis=1, keepdims=True)
    return x.astype(np.float32)


def bridged(values: Array, most: int) -> Array:
    """`values` with gaps of at most `most` missing samples (at least 1) bridged by a straight line; longer ones, and those at the ends, stay missing."""
    missing = ~np.isfinite(values)
    if not missing.any() or missing.all():
        return values
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.astype(np.int8), [0]])))
    out = values.copy()
    for a, b in edges.reshape(-1, 2):
        if b - a <= max(1, most) and a > 0 and b < len(values):
            out[a:b] = np.interp(np.arange(a, b), [a - 1, b], values[[a - 1, b]])
    return out


def _resampled(values: Array, rate: float, want: float) -> Array:
    """`values` at the rate wanted, through a filter that lets nothing fold back; missing samples stay missing around where they were."""
    if abs(rate - want) < 1e-9 * want or not len(values):
        return values
    from scipy.signal import resample_poly

    ratio = Fraction(want / rate).limit_denominator(1000)
    if ratio == 0:
        raise UserError(f"A signal at {rate:g} Hz is too fast to be brought to {want:g} Hz; bring it at a lower rate.")
    missing = ~np.isfinite(values)
    middle = float(np.median(values[~missing])) if not missing.all() else 0.0
    out = resample_poly(np.where(missing, 0.0, values - middle), ratio.numerator, ratio.denominator) + middle
    if missing.any():
        near = np.repeat(missing, ratio.numerator)[:: ratio.denominator][: len(out)]
        out[: len(near)][near] = np.nan
    return out


# -- marks and parts ------------------------------------------------------------------------------------------------------------------------------
def _marked(table: pd.DataFrame, found: list[Recording], plan: Plan) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """The table with a label column where marks of some length cover half of all windows, else with an event column where there are marks."""
    roles = {"file": "window", "time": "time"}
    if not any(r.events for r in found):
        return table, roles, []
    event: list[str] = []
    label = np.full(len(table), None, dtype=object)
    by_file = {r.file: sorted(r.events, key=lambda e: e.start) for r in found}
    for name, lines in table.groupby("file", sort=False):
        marks, first = by_file[str(name)], 0
        longest = max((e.length for e in marks), default=0.0)
        starts = np.array([e.start for e in marks])
        for t in lines["time"]:
            first, last = np.searchsorted(starts, t - longest - 1e-6), np.searchsorted(starts, t + plan.seconds - 1e-6)
            share: Counter[str] = Counter()
            there = []
            for e in marks[first:last]:
                inside = min(e.start + e.length, t + plan.seconds) - max(e.start, t)
                if e.length > 0 and inside > 1e-6:
                    share[e.text] += inside  # type: ignore[assignment]
                if inside > 1e-6 or (e.length == 0 and e.start >= t - 1e-6):
                    there.append(e.text)
            top = max(share, key=lambda k: share[k]) if share else None
            label[len(event)] = top if top is not None and share[top] >= plan.seconds / 2 - 1e-6 else None
            event.append(" + ".join(sorted(set(there))[:3]) or "none")
    covered = sum(v is not None for v in label)
    if covered >= len(label) / 2:
        return table.assign(label=label), roles | {"label": "label"}, [f"the label is the mark that covers at least half of a window ({covered:,} of {len(label):,} windows have one)"]
    many = sum(v != "none" for v in event)
    if not many:
        return table, roles, []
    return table.assign(event=event), roles, [f"“event” names the marks in a window ({many:,} of {len(event):,} have one); choose it as the label to learn from it"]


def _parted(table: pd.DataFrame, samples: Array, roles: dict[str, str], plan: Plan, asked: Asked, rules: list[str], left: list[str]) -> Dataset:
    """The dataset, its parts by recording (or patient), or in time where there are fewer than three."""
    from core.data.readers.pictures import foldered

    card: dict[str, Any] = {"rate_hz": plan.rate if plan.known else 0, "channels": list(plan.names), "units": list(plan.units), "start_s": 0.0}
    card |= {"unit": plan.units[0] if len(set(plan.units)) == 1 else ""}
    known = table["patient"].astype(bool)
    table["patient"] = table["patient"].where(known, table["file"])
    if known.any() and table["patient"].nunique() > 1:
        rules.append("“patient” is a new number made from the headers' patient field with this workspace's secret; a file that does not say is a patient of its own")
    else:
        table = table.drop(columns="patient")
    if plan.whole:
        table = table.drop(columns=["window", "time"])
        roles = {k: v for k, v in roles.items() if k != "time"} | {"file": "file"}
    if "label" not in roles and len(set(table["file"])) > 1:
        folders = {str(PurePosixPath(f).parent) for f in table["file"]}  # few files in each: folders of patients rather than of classes
        named, kept = foldered(table, roles | {"file": "file"}, asked, auto=table["file"].nunique() >= 3 * len(folders))
        table, roles = named, kept | {"file": roles["file"]}
    elif asked.label == "folder":
        raise UserError("There are no sub-folders to take the class from; put each class into a folder of its own.")
    group = "patient" if "patient" in table else "file"
    if not plan.whole and group == "file" and table[group].nunique() < ENOUGH and "split" not in roles:
        values = table["label"].astype(str).to_numpy() if "label" in table else np.full(len(table), "", dtype=object)
        part = np.full(len(table), "", dtype="<U5")
        for name in table["file"].unique():
            at = np.flatnonzero(table["file"] == name)
            part[at] = in_time(table["time"].to_numpy()[at], values[at].astype(str), gap=plan.seconds)
        keep = part != ""
        if keep.sum() >= 2:
            table, samples = table.assign(part=part)[keep].reset_index(drop=True), samples[keep]
            roles = roles | {"split": "part"}
            said = f"{plan.seconds:g} s" if plan.known else f"{plan.many} samples"
            card |= {"split rule": f"in time: each recording goes in turn 70/15/15 to the parts, {said} apart", "split in time": True}
            if (~keep).any():
                rules.append(f"{int((~keep).sum())} windows left out between the parts")
    elif not plan.whole or group == "patient":
        roles = roles | {"group": group}
    card |= {"rules": rules, "left out": left}
    return Dataset("", "series", table, np.ascontiguousarray(samples), roles=roles, card=card)


def in_time(time: Array, label: Array, turns: int = 10, turn: float = 0.0, gap: float = 2.0) -> Array:
    """ "train", "val", "test" or "" [n] for the cases of one record in order of time (s): its time goes in `turns` rounds of 70, 15 and 15 %.

    Cases within half a `gap` of a border are "", so that no two neighbours stand in two parts; a border moves by at most a twentieth of a round
    to lose cases of the commonest label only. `turn` (0 to 1) begins within a round.
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
    part[torn + 1] = ""  # cases far apart, as after a pause
    return part
