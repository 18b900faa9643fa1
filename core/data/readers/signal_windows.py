"""Recordings (EEG, ECG, breathing ...) as windows: what every reader of signals over time shares,
whatever the file.

A window is [C,T]: the channels that all recordings have, at one rate, in their units. Windows
follow each other without overlap; those of one recording stay in one part, or, with fewer than
three recordings, its time is cut into stretches with a window left out between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers import channels
from core.data.readers.files import Asked
from core.data.readers.recording import Array, Recording
from core.data.readers.units import volts
from core.errors import UserError

SECONDS = 10.0  # a window's usual length
TOP_RATE = 128.0  # Hz, of windows of that length and longer
# samples of a window: at most; at least, from which it is not lengthened; at least, when it is
# shortened
LONGEST, USUAL, FEWEST = 3000, 128, 64
WANTED = 10  # windows from which a window is not shortened to have more
SPARED = 20  # windows of a recording from which one is left out between the parts
SHORT = 30.0  # seconds up to which recordings of one length are one case each
SEVERAL = 5  # recordings from which that is so
ENOUGH = 3  # recordings from which whole recordings go to one part
BRIDGED = 0.05  # s; missing samples for no longer than that are bridged by a straight line
SLOW = 0.25  # channels slower than this share of the usual rate are left out


@dataclass(frozen=True)
class Plan:
    """How all recordings are cut: `names` of the channels, their `units`, Hz and samples of a
    window (`known`: whether the rate is), one window a file or many.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    rate: float
    many: int
    known: bool
    whole: bool

    @property
    def seconds(self) -> float:
        return self.many / self.rate


def windows(
    found: list[Recording], asked: Asked, rules: list[str], left: Sequence[str] = ()
) -> Dataset:
    """A series dataset of all windows: columns window (its name), file, time (s from the start),
    perhaps patient, label or event, and part.

    `rules` go before those made here, `left` are files left out so far. UserError when no whole
    window can be cut, or too many.
    """
    if asked.masks is not None:
        raise UserError("Masks are for pictures and scans; a recording has none.")
    found = [replace(r, channels=channels.told_apart(r.channels)) for r in found]
    found, names, odd = channels.shared(found)
    found, slow = channels.of_one_pace(found, names, SLOW)
    units, brought = channels.one_unit(found, names)
    plan, more = _plan(found, names, units)
    odd += [*slow, *more]
    if plan.many < 16:
        raise UserError(
            f"{_called(found)} {'is' if len(found) == 1 else 'are'} too short, or measured too"
            f" seldom: a window would hold {plan.many} samples."
        )
    every = sum(
        max(1, int((last - first) * r.seconds / plan.seconds + 1e-6))
        for r in found
        for _, first, last in r.stretches
    )
    if every * len(names) * plan.many * 4 > limits.VALUES:
        raise UserError(
            f"{_called(found)} make{'s' * (len(found) == 1)}"
            f" {every * len(names) * plan.many * 4 >> 20:,} MB of samples; at most"
            f" {limits.VALUES >> 20:,} MB are taken, so bring fewer or shorter recordings."
        )
    if every > limits.ROWS:
        raise UserError(
            f"{_called(found)} make{'s' * (len(found) == 1)} {every:,} windows; at most"
            f" {limits.ROWS:,} are taken."
        )
    parts, starts = [], []
    for i, r in enumerate(found):
        x, start = _cut(r, plan)
        parts.append(x)
        starts.append(start)
        asked.report(len(found) + i + 1, 2 * len(found))
    plan, samples, good, absent = _present(plan, np.concatenate(parts))
    every_file = [(r, t) for r, start in zip(found, starts) for t in start]
    lines = [
        {
            "window": r.file if plan.whole else f"{r.file} at {clock(t, plan)}",
            "file": r.file,
            "patient": r.patient,
            "time": round(float(t), 3),
        }
        for (r, t), here in zip(every_file, good)
        if here
    ]
    if not lines:
        raise UserError(
            f"No stretch of {plan.seconds:g} s of {_called(found)} is whole: samples are missing"
            " everywhere, or it is too short."
        )
    table = pd.DataFrame(lines)
    table, roles, words = _marked(table, found, plan)
    rules = [*rules, *brought, *_rules(plan, found), *absent, *words]
    pauses = sum(len(r.stretches) - 1 for r in found)
    if pauses:
        rules.append(
            f"{pauses:,} pause{'s' * (pauses > 1)} within the recordings: no window reaches across"
            " one, and times count it"
        )
    return _parted(table, samples, roles, plan, asked, rules, [*left, *odd])


def _called(found: list[Recording]) -> str:
    return found[0].file if len(found) == 1 else f"the {len(found)} recordings"


def clock(seconds: float, plan: Plan) -> str:
    """A time within a recording: 0:12:30, seconds with decimals where windows are shorter than one,
    or a sample's number.
    """
    if not plan.known:
        return f"sample {round(seconds)}"
    if plan.seconds < 1 or seconds % 1:
        return f"{seconds:.10g} s"
    s = round(seconds)
    return f"{s // 3600}:{s // 60 % 60:02d}:{s % 60:02d}"


# -- which channels, how fast, how long ------------------------------------------------------------
def _plan(
    found: list[Recording], names: tuple[str, ...], units: dict[str, str]
) -> tuple[Plan, list[str]]:
    """Rate, length and channels of the windows, and channels left out for being much slower than
    the others.
    """
    of = [{channels.key(c.name): c for c in r.channels} for r in found]
    rates = Counter(o[channels.key(n)].rate for o in of for n in names)
    known = 0 not in rates
    # that of most samples: one ECG counts for more than five temperatures
    usual = max(rates, key=lambda r: (rates[r] * r, r)) if known else 1.0
    slow = [n for n in names if known and min(o[channels.key(n)].rate for o in of) < SLOW * usual]
    names = tuple(n for n in names if n not in slow)
    if not names:
        raise UserError(
            f"The channels of {_called(found)} have rates too different to be cut together (at"
            f" {' and '.join(f'{r:.6g}' for r in sorted(rates)[:4])} Hz); bring them one by one."
        )
    lengths = [r.seconds for r in found]
    longest = max(lengths)
    marks = Counter(round(e.length, 3) for r in found for e in r.events if e.length > 0)
    whole = (
        len(found) >= SEVERAL
        and max(lengths) - min(lengths) <= 0.01 * longest + 1 / usual
        and (longest <= SHORT if known else longest <= LONGEST)
    )
    whole = whole and not any(r.pieces for r in found) and longest * usual >= 16
    if whole:
        seconds = min(lengths)
    elif (
        marks
        and marks.most_common(1)[0][1] >= max(10, 0.8 * sum(marks.values()))
        and 1 <= marks.most_common(1)[0][0] <= 60
    ):
        seconds = marks.most_common(1)[0][0]
    else:
        steps = sorted(float(f"{b}e{k}") for k in range(-9, 10) for b in (1, 2, 5))
        seconds = next(
            (
                s
                for s in steps
                if s >= (SECONDS if known else USUAL) * (1 - 1e-9) and s * usual >= USUAL
            ),
            steps[-1],
        )

        def count(s):
            return sum(
                int((b - a) * r.seconds / s + 1e-6) for r in found for _, a, b in r.stretches
            )

        for s in (s for s in reversed(steps) if s < seconds and s * usual >= FEWEST):
            if count(seconds) >= WANTED:
                break
            seconds = s
    top = max((r for r in rates if 0.75 * TOP_RATE <= r <= TOP_RATE), default=TOP_RATE)
    rate = (
        usual
        if not known
        else min(usual, LONGEST / seconds, top if seconds >= SECONDS and not whole else np.inf)
    )
    plan = Plan(
        names,
        tuple(units[n] for n in names),
        rate,
        max(1, int(np.floor(seconds * rate + 1e-3))),
        known,
        whole,
    )
    return plan, [f"channel {n} (much slower than the others)" for n in slow]


def _rules(plan: Plan, found: list[Recording]) -> list[str]:
    if plan.whole:
        rules = [
            f"each of the {len(found)} files is one case of {plan.many} samples"
            + (
                f" at {plan.rate:g} Hz ({plan.seconds:g} s)"
                if plan.known
                else "; the rate is not known"
            )
        ]
    elif plan.known:
        rules = [
            f"cut into windows of {plan.seconds:g} s at {plan.rate:.6g} Hz ({plan.many} samples),"
            " one after the other"
        ]
    else:
        rules = [
            f"cut into windows of {plan.many} samples, one after the other; the rate is not known"
        ]
    rates = sorted({c.rate for r in found for c in r.channels if c.name in plan.names})
    if plan.known and rates != [plan.rate]:
        rules.append(
            "resampled from"
            f" {' and '.join(f'{r:.6g}' for r in rates[:4])}{' …' if len(rates) > 4 else ''} Hz,"
            " what is too fast for the new rate filtered out"
        )
    shown = [f"{n} ({u})" if u else n for n, u in zip(plan.names, plan.units)]
    rules.append(
        "channels:"
        f" {', '.join(shown[:12])}{f' and {len(shown) - 12} more' if len(shown) > 12 else ''}"
    )
    if any(volts(u) for u in plan.units):
        rules.append(
            "voltages: each window's own median is taken off each channel (an amplifier's resting"
            " level says nothing)"
        )
    return rules


# -- cutting ---------------------------------------------------------------------------------------
def _cut(r: Recording, plan: Plan) -> tuple[Array, Array]:
    """Windows float32 [n,C,T] of one recording, NaN = missing, and their starts (s)."""
    of = {channels.key(c.name): i for i, c in enumerate(r.channels)}
    positions = [of[channels.key(n)] for n in plan.names]
    lanes = []  # of each channel, its windows in each stretch
    for position, values, want in zip(positions, r.load(positions), plan.units):
        channel = r.channels[position]
        factor = (
            1.0 if channel.unit == want else (volts(channel.unit) or 1.0) / (volts(want) or 1.0)
        )
        pieces = [
            values[round(first * len(values)) : round(last * len(values))]
            for _, first, last in r.stretches
        ]
        lanes.append([_rows(piece * factor, channel.rate, want, plan) for piece in pieces])
    counts = [min(len(lane[k]) for lane in lanes) for k in range(len(r.stretches))]
    x = np.concatenate([np.stack([lane[k][:n] for lane in lanes], 1) for k, n in enumerate(counts)])
    return x, np.concatenate(
        [start + np.arange(n) * plan.seconds for (start, _, _), n in zip(r.stretches, counts)]
    )


def _present(plan: Plan, x: Array) -> tuple[Plan, Array, Array, list[str]]:
    """What is kept of windows float32 [n,C,T] with missing samples (NaN): the plan with the
    channels that stay, the whole windows, which these are (bool [n]), and the rules in words.
    Channels are left out one by one, the one missing most first, as long as more samples are kept
    without it.
    """
    there = np.isfinite(x).all(2)
    stay, rules = list(range(len(plan.names))), []
    whole = lambda chosen: int(there[:, chosen].all(1).sum())  # noqa: E731
    while len(stay) > 1:
        worst = min(stay, key=lambda c: there[:, c].sum())
        rest = [c for c in stay if c != worst]
        if whole(rest) * len(rest) <= whole(stay) * len(stay):
            break
        without = int((~there[:, worst]).sum())
        gone = f"{without:,} of {len(there):,} windows ({without / len(there):.0%})"
        rules.append(
            f"channel {plan.names[worst]} left out: it is missing in {gone}, which would go for its"
            " sake"
        )
        stay = rest
    good = there[:, stay].all(1)
    if not good.all():
        short = [
            f"{plan.names[c]} {int((~there[:, c]).sum()):,}" for c in stay if not there[:, c].all()
        ]
        bridge = (
            f" for longer than {BRIDGED:g} s (shorter gaps are bridged by a straight line)"
            if plan.known
            else ""
        )
        lost = int((~good).sum())
        rules.append(
            f"{lost:,} window{'s' * (lost > 1)} left out in which samples are missing{bridge}:"
            f" {', '.join(short[:8])}"
        )
    kept = x[good][:, stay]
    moving = [c for c in range(len(stay)) if not len(kept) or kept[:, c].max() > kept[:, c].min()]
    if 0 < len(moving) < len(stay):
        flat = [plan.names[stay[c]] for c in range(len(stay)) if c not in moving]
        rules.append(
            f"left out: {', '.join(flat[:8])}, flat in every window (nothing was connected, or it"
            " was switched off)"
        )
        stay, kept = [stay[c] for c in moving], kept[:, moving]
    return (
        replace(
            plan, names=tuple(plan.names[c] for c in stay), units=tuple(plan.units[c] for c in stay)
        ),
        kept,
        good,
        rules,
    )


def _rows(values: Array, rate: float, want: str, plan: Plan) -> Array:
    """One channel's stretch as windows float32 [n,T]."""
    again = (
        _resampled(bridged(values, round(BRIDGED * rate)), rate, plan.rate)
        if plan.known
        else values
    )
    if plan.whole:  # rounding may have cost the last sample
        again = np.pad(again, (0, max(0, plan.many - len(again))), "edge")[: plan.many]
    n = len(again) // plan.many
    x = again[: n * plan.many].reshape(n, plan.many)
    if volts(want) is not None and n:
        x = x - np.median(x, axis=1, keepdims=True)
    return x.astype(np.float32)


def bridged(values: Array, most: int) -> Array:
    """`values` with gaps of at most `most` missing samples (at least 1) bridged by a straight line;
    longer ones, and those at the ends, stay missing.
    """
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
    """`values` at the rate wanted, through a filter that lets nothing fold back; missing samples
    stay missing around where they were.
    """
    if abs(rate - want) < 1e-9 * want or not len(values):
        return values
    from scipy.signal import resample_poly

    ratio = Fraction(want / rate).limit_denominator(1000)
    if ratio == 0:
        raise UserError(
            f"A signal at {rate:g} Hz is too fast to be brought to {want:g} Hz; bring it at a lower"
            " rate."
        )
    missing = ~np.isfinite(values)
    middle = float(np.median(values[~missing])) if not missing.all() else 0.0
    out = (
        resample_poly(np.where(missing, 0.0, values - middle), ratio.numerator, ratio.denominator)
        + middle
    )
    if missing.any():
        near = np.repeat(missing, ratio.numerator)[:: ratio.denominator][: len(out)]
        out[: len(near)][near] = np.nan
    return out


# -- marks and parts -------------------------------------------------------------------------------
def _marked(
    table: pd.DataFrame, found: list[Recording], plan: Plan
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
    """The table with a label column where marks of some length cover half of all windows, else with
    an event column where there are marks.
    """
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
            first, last = (
                np.searchsorted(starts, t - longest - 1e-6),
                np.searchsorted(starts, t + plan.seconds - 1e-6),
            )
            share: Counter[str] = Counter()
            there = []
            for e in marks[first:last]:
                inside = min(e.start + e.length, t + plan.seconds) - max(e.start, t)
                if e.length > 0 and inside > 1e-6:
                    share[e.text] += inside  # type: ignore[assignment]
                if inside > 1e-6 or (e.length == 0 and e.start >= t - 1e-6):
                    there.append(e.text)
            top = max(share, key=lambda k: share[k]) if share else None
            label[len(event)] = (
                top if top is not None and share[top] >= plan.seconds / 2 - 1e-6 else None
            )
            event.append(" + ".join(sorted(set(there))[:3]) or "none")
    covered = sum(v is not None for v in label)
    if covered >= len(label) / 2:
        return (
            table.assign(label=label),
            roles | {"label": "label"},
            [
                f"the label is the mark that covers at least half of a window ({covered:,} of"
                f" {len(label):,} windows have one)"
            ],
        )
    many = sum(v != "none" for v in event)
    if not many:
        return table, roles, []
    return (
        table.assign(event=event),
        roles,
        [
            f"“event” names the marks in a window ({many:,} of {len(event):,} have one); choose it"
            " as the label to learn from it"
        ],
    )


def _parted(
    table: pd.DataFrame,
    samples: Array,
    roles: dict[str, str],
    plan: Plan,
    asked: Asked,
    rules: list[str],
    left: list[str],
) -> Dataset:
    """The dataset, its parts by recording (or patient), or in time where there are fewer than
    three.
    """
    from core.data.readers.images import foldered

    card: dict[str, Any] = {
        "rate_hz": plan.rate if plan.known else 0,
        "channels": list(plan.names),
        "units": list(plan.units),
        "start_s": 0.0,
    }
    card |= {"unit": plan.units[0] if len(set(plan.units)) == 1 else ""}
    known = table["patient"].astype(bool)
    table["patient"] = table["patient"].where(known, table["file"])
    if known.any() and table["patient"].nunique() > 1:
        rules.append(
            "“patient” is a new number made from the headers' patient field with this workspace's"
            " secret; a file that does not say is a patient of its own"
        )
    else:
        table = table.drop(columns="patient")
    if plan.whole:
        table = table.drop(columns=["window", "time"])
        roles = {k: v for k, v in roles.items() if k != "time"} | {"file": "file"}
    if "label" not in roles and len(set(table["file"])) > 1:
        # few files in each: folders of patients rather than of classes
        folders = {str(PurePosixPath(f).parent) for f in table["file"]}
        named, kept = foldered(
            table, roles | {"file": "file"}, asked, auto=table["file"].nunique() >= 3 * len(folders)
        )
        table, roles = named, kept | {"file": roles["file"]}
    elif asked.label == "folder":
        raise UserError(
            "There are no sub-folders to take the class from; put each class into a folder of its"
            " own."
        )
    group = "patient" if "patient" in table else "file"
    if (
        not plan.whole
        and group == "file"
        and table[group].nunique() < ENOUGH
        and "split" not in roles
    ):
        values = (
            table["label"].astype(str).to_numpy()
            if "label" in table
            else np.full(len(table), "", dtype=object)
        )
        part = np.full(len(table), "", dtype="<U5")
        for name in table["file"].unique():
            at = np.flatnonzero(table["file"] == name)
            gap = plan.seconds if len(at) >= SPARED else 0.0
            part[at] = in_time(table["time"].to_numpy()[at], values[at].astype(str), gap=gap)
        keep = part != ""
        many = table["file"].value_counts()
        few = int(((many >= 10) & (many < SPARED)).sum())
        if keep.sum() >= 2:
            table, samples = table.assign(part=part)[keep].reset_index(drop=True), samples[keep]
            roles = roles | {"split": "part"}
            said = f"{plan.seconds:g} s" if plan.known else f"{plan.many} samples"
            apart = f"{said} apart" if few < len(many) else "one after the other"
            card |= {
                "split rule": (
                    f"in time: each recording goes in turn 70/15/15 to the parts, {apart}"
                ),
                "split in time": True,
            }
            if few:
                rules.append(
                    f"no window is left out between the parts of recordings of fewer than {SPARED}"
                    " windows: neighbours may stand in two parts"
                )
            if (~keep).any():
                rules.append(f"{int((~keep).sum())} windows left out between the parts")
    elif not plan.whole or group == "patient":
        roles = roles | {"group": group}
    card |= {"rules": rules, "left out": left}
    return Dataset("", "series", table, np.ascontiguousarray(samples), roles=roles, card=card)


def in_time(
    time: Array, label: Array, turns: int = 10, turn: float = 0.0, gap: float = 2.0
) -> Array:
    """Part the cases of one record in order of time (s): "train", "val", "test" or "" [n].

    Its time goes in `turns` rounds of 70, 15 and 15 %. Cases within half a `gap` of a border are
    "", so that no two neighbours stand in two parts (none with a gap of 0); a border moves by at
    most a twentieth of a round to lose cases of the commonest label only. `turn` (0 to 1) begins
    within a round.
    """
    if len(time) < 10:
        return np.full(len(time), "train", dtype="<U5")
    turns = max(1, min(turns, len(time) // 60))
    length = (time[-1] - time[0]) / turns
    kinds = np.tile(["train", "val", "test"], turns + 2)
    letters, count = np.unique(label, return_counts=True)
    rare = time[label != letters[count.argmax()]]
    steps = np.arange(0, length / 20, gap / 4) if gap else np.zeros(1)
    tries = np.unique(np.concatenate([-steps, steps]))
    tries = tries[np.argsort(np.abs(tries), kind="stable")]
    edges = []
    for e in time[0] + length * (
        np.add.outer(np.arange(-1, turns + 1), [0, 0.7, 0.85]).ravel() - turn
    ):
        free = (e + t for t in tries if not (np.abs(rare - e - t) < gap / 2).any())
        edges.append(next(free, e))
    here = time if gap else np.minimum(time, time[-1] - 1e-6)  # the last case ends the last round
    part = kinds[np.searchsorted(edges, here, side="right") - 1].astype("<U5")
    inner = [e for e in edges if time[0] + 1e-6 < e < time[-1] - 1e-6]
    part[(np.abs(time[:, None] - np.array(inner)) < gap / 2).any(1)] = ""
    if not gap:
        return part
    torn = np.flatnonzero((part[1:] != part[:-1]) & (part[1:] != "") & (part[:-1] != ""))
    part[torn + 1] = ""  # cases far apart, as after a pause
    return part
