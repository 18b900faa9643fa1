"""Recordings (EEG, ECG, breathing ...) as windows: what every reader of signals over time shares,
whatever the file.

A window is [C,T]: the channels that all recordings have, at one rate, in their units. Windows
follow each other without overlap; those of one recording stay in one part, or, with fewer than
three recordings, its time is cut into stretches with a window left out between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers import channels, clipping
from core.data.readers.files import Asked
from core.data.readers.recording import Array, Recording
from core.data.readers.signal_parts import add_mark_labels, split_recordings
from core.data.readers.signal_plan import SLOW, Plan, describe_recordings, plan_windows
from core.data.readers.units import convert_to_microvolts
from core.errors import UserError

BRIDGED = 0.05  # s; missing samples for no longer than that are bridged by a straight line


def cut_windows(
    found: list[Recording], asked: Asked, rules: list[str], left: Sequence[str] = ()
) -> Dataset:
    """Return a series dataset of all windows: columns window (its name), file, time (s from the
    start), perhaps patient, label or event, and part.

    `rules` go before those made here, `left` are files left out so far. UserError when no whole
    window can be cut, or too many.
    """
    if asked.masks is not None:
        raise UserError("Masks are for pictures and scans; a recording has none.")
    found = [replace(r, channels=channels.number_duplicates(r.channels)) for r in found]
    found, names, odd = channels.find_shared_channels(found)
    found, slow = channels.drop_slow_recordings(found, names, SLOW)
    units, brought = channels.unify_units(found, names)
    plan, more = plan_windows(found, names, units)
    odd += [*slow, *more]
    if plan.many < 16:
        raise UserError(
            f"{describe_recordings(found)} {'is' if len(found) == 1 else 'are'} too short, or"
            f" measured too seldom: a window would hold {plan.many} samples."
        )
    every = sum(
        max(1, int((last - first) * r.seconds / plan.seconds + 1e-6))
        for r in found
        for _, first, last in r.stretches
    )
    if every * len(names) * plan.many * 4 > limits.VALUES:
        raise UserError(
            f"{describe_recordings(found)} make{'s' * (len(found) == 1)}"
            f" {every * len(names) * plan.many * 4 >> 20:,} MB of samples; at most"
            f" {limits.VALUES >> 20:,} MB are taken, so bring fewer or shorter recordings."
        )
    if every > limits.ROWS:
        raise UserError(
            f"{describe_recordings(found)} make{'s' * (len(found) == 1)} {every:,} windows; at most"
            f" {limits.ROWS:,} are taken."
        )
    parts, starts, ends = [], [], []
    for i, r in enumerate(found):
        x, start, clipped = _cut(r, plan)
        parts.append(x)
        starts.append(start)
        ends.append(clipped)
        asked.report(len(found) + i + 1, 2 * len(found))
    before = plan.names
    plan, samples, good, absent = _present(plan, np.concatenate(parts))
    at_ends = np.concatenate(ends)[:, [before.index(name) for name in plan.names]]
    every_file = [(r, t) for r, start in zip(found, starts) for t in start]
    lines = [
        {
            "window": r.file if plan.whole else f"{r.file} at {format_time(t, plan)}",
            "file": r.file,
            "patient": r.patient,
            "time": round(float(t), 3),
            clipping.COLUMN: float(share.max()),
        }
        for (r, t), share, here in zip(every_file, at_ends, good)
        if here
    ]
    if not lines:
        raise UserError(
            f"No stretch of {plan.seconds:g} s of {describe_recordings(found)} is whole: samples"
            " are missing everywhere, or it is too short."
        )
    table = pd.DataFrame(lines)
    table, roles, words = add_mark_labels(table, found, plan)
    rules = [*rules, *brought, *_rules(plan, found), *absent, *words]
    pauses = sum(len(r.stretches) - 1 for r in found)
    if pauses:
        rules.append(
            f"{pauses:,} pause{'s' * (pauses > 1)} within the recordings: no window reaches across"
            " one, and times count it"
        )
    data = split_recordings(table, samples, roles, plan, asked, rules, [*left, *odd])
    of_channels = dict(zip(plan.names, at_ends[good].mean(0).tolist()))
    table, more_card = clipping.drop_clipping_column(data.table, of_channels)
    return replace(data, table=table, card={**data.card, **more_card})


def format_time(seconds: float, plan: Plan) -> str:
    """Return a time within a recording: 0:12:30, seconds with decimals where windows are shorter
    than one, or a sample's number.
    """
    if not plan.known:
        return f"sample {round(seconds)}"
    if plan.seconds < 1 or seconds % 1:
        return f"{seconds:.10g} s"
    s = round(seconds)
    return f"{s // 3600}:{s // 60 % 60:02d}:{s % 60:02d}"


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
    if any(convert_to_microvolts(u) for u in plan.units):
        rules.append(
            "voltages: each window's own median is taken off each channel (an amplifier's resting"
            " level says nothing)"
        )
    return rules


def _cut(r: Recording, plan: Plan) -> tuple[Array, Array, Array]:
    """Windows float32 [n,C,T] of one recording, NaN = missing; their starts (s); and the share of
    each channel's samples that are clipped, float32 [n,C].
    """
    of = {channels.normalize_name(c.name): i for i, c in enumerate(r.channels)}
    positions = [of[channels.normalize_name(n)] for n in plan.names]
    lanes = []  # of each channel, its windows in each stretch
    ends = []
    for position, values, want in zip(positions, r.load(positions), plan.units):
        channel = r.channels[position]
        factor = (
            1.0
            if channel.unit == want
            else (convert_to_microvolts(channel.unit) or 1.0) / (convert_to_microvolts(want) or 1.0)
        )
        pieces = [
            values[round(first * len(values)) : round(last * len(values))]
            for _, first, last in r.stretches
        ]
        lanes.append([_rows(piece * factor, channel.rate, want, plan) for piece in pieces])
        windows_of = [(piece, len(rows)) for piece, rows in zip(pieces, lanes[-1])]
        ends.append(
            [
                clipping.measure_clipped_shares(
                    piece, channel.ends, _edges(len(piece), n, channel.rate, plan)
                )
                for piece, n in windows_of
            ]
        )
    counts = [min(len(lane[k]) for lane in lanes) for k in range(len(r.stretches))]
    x, clipped = (
        np.concatenate([np.stack([lane[k][:n] for lane in of], 1) for k, n in enumerate(counts)])
        for of in (lanes, ends)
    )
    starts = [start + np.arange(n) * plan.seconds for (start, _, _), n in zip(r.stretches, counts)]
    return x, np.concatenate(starts), clipped


def _edges(many: int, n: int, rate: float, plan: Plan) -> Array:
    """Where the `n` windows of a stretch of `many` samples begin and end, [n+1]."""
    if plan.whole:
        return np.array([0, many])[: n + 1]
    return np.arange(n + 1) * (plan.seconds * rate if plan.known else plan.many)


def _present(plan: Plan, x: Array) -> tuple[Plan, Array, Array, list[str]]:
    """Return what is kept of windows float32 [n,C,T] with missing samples (NaN): the plan with the
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
        _resampled(bridge_gaps(values, round(BRIDGED * rate)), rate, plan.rate)
        if plan.known
        else values
    )
    if plan.whole:  # rounding may have cost the last sample
        again = np.pad(again, (0, max(0, plan.many - len(again))), "edge")[: plan.many]
    n = len(again) // plan.many
    x = again[: n * plan.many].reshape(n, plan.many)
    if convert_to_microvolts(want) is not None and n:
        x = x - np.median(x, axis=1, keepdims=True)
    return x.astype(np.float32)


def bridge_gaps(values: Array, most: int) -> Array:
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
