"""Which channels and recordings go together: by their names, their units and their rates."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from core.data.readers.units import convert_to_microvolts

if TYPE_CHECKING:
    from core.data.readers.recording import Channel, Recording

# II, aVF, MLII, V5, ECG 2
LEAD = re.compile(
    r"(ecg|ekg|lead)?[ _-]*(m?l?i{1,3}|av[rlf]|m?v[1-9]?|mcl[ _]?\d?|[xyz]|\d{1,2})?", re.IGNORECASE
)


def number_duplicates(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """Return a second channel of the same name is called so."""
    seen: Counter[str] = Counter()
    out = []
    for c in channels:
        seen[normalize_name(c.name)] += 1
        out.append(
            replace(c, name=f"{c.name} ({seen[normalize_name(c.name)]})")
            if seen[normalize_name(c.name)] > 1
            else c
        )
    return tuple(out)


def normalize_name(name: str) -> str:
    """Return what makes two channels' names one: letters' case and spaces do not matter."""
    return re.sub(r"\s+", " ", name).strip().lower()


def find_shared_channels(
    found: list[Recording],
) -> tuple[list[Recording], tuple[str, ...], list[str]]:
    """Return the recordings that go together, the channels they share, and who was left out and
    why.
    """
    sets = [{normalize_name(c.name) for c in r.channels} for r in found]
    shared, left = set.intersection(*sets), []
    if not shared:
        usual = set(Counter(frozenset(s) for s in sets).most_common(1)[0][0])
        left = [f"{r.file} (other channels)" for r, s in zip(found, sets) if not usual <= s]
        found, shared = [r for r, s in zip(found, sets) if usual <= s], usual
    first = {
        normalize_name(c.name): c for c in found[0].channels if normalize_name(c.name) in shared
    }
    keep = []
    for r in found:
        units = {normalize_name(c.name): c.unit for c in r.channels}
        odd = next(
            (
                c.name
                for k, c in first.items()
                if units[k] != c.unit
                and None in (convert_to_microvolts(units[k]), convert_to_microvolts(c.unit))
            ),
            None,
        )
        left += [f"{r.file} (channel {odd} in another unit)"] if odd else []
        keep += [] if odd else [r]
    sometimes = sorted(
        {c.name for r in keep for c in r.channels if normalize_name(c.name) not in shared}
    )
    return (
        keep,
        tuple(c.name for c in first.values()),
        left + [f"channel {n} (not in every recording)" for n in sometimes[:20]],
    )


def drop_slow_recordings(
    found: list[Recording], names: tuple[str, ...], slow: float
) -> tuple[list[Recording], list[str]]:
    """Return the recordings without those whose channels are all much slower (below the share
    `slow`) than the usual rate, and who was left out and why.

    The usual rate is that of most recordings' fastest channels; of two as common the higher one.
    """
    wanted = {normalize_name(n) for n in names}
    fastest = [max(c.rate for c in r.channels if normalize_name(c.name) in wanted) for r in found]
    if not fastest or 0 in fastest:
        return found, []
    count = Counter(fastest)
    usual = max(count, key=lambda rate: (count[rate], rate))
    keep = [r for r, rate in zip(found, fastest) if rate >= slow * usual]
    left = [
        f"{r.file} (at {rate:.6g} Hz, much slower than the others at {usual:.6g} Hz; bring it by"
        " itself)"
        for r, rate in zip(found, fastest)
        if rate < slow * usual
    ]
    return keep, left


def unify_units(found: list[Recording], names: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Return the unit of each channel, and in words what is brought to it: the first recording's,
    and for leads of an electrocardiogram that are in different voltages mV.
    """
    of = [{normalize_name(c.name): c for c in r.channels} for r in found]
    units = {n: of[0][normalize_name(n)].unit for n in names}
    leads = [n for n in names if LEAD.fullmatch(n) and convert_to_microvolts(units[n]) is not None]
    if len({units[n] for n in leads}) > 1:
        units |= dict.fromkeys(leads, "mV")
    other = [
        f"{n} from {' and '.join(was)}"
        for n in names
        if (was := sorted({o[normalize_name(n)].unit for o in of} - {units[n]}))
    ]
    return units, [f"brought to one unit of voltage: {', '.join(other[:8])}"] if other else []
