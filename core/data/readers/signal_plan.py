"""How recordings are cut into windows: which channels, how fast, how long."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from core.data.readers import channels
from core.data.readers.recording import Recording
from core.errors import UserError

SECONDS = 10.0  # a window's usual length
TOP_RATE = 128.0  # Hz, of windows of that length and longer
# samples of a window: at most; at least, from which it is not lengthened; at least, when it is
# shortened
LONGEST, USUAL, FEWEST = 3000, 128, 64
WANTED = 10  # windows from which a window is not shortened to have more
SHORT = 30.0  # seconds up to which recordings of one length are one case each
SEVERAL = 5  # recordings from which that is so
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
        """How long a window is."""
        return self.many / self.rate


def describe_recordings(found: list[Recording]) -> str:
    """Return what recordings are called in messages."""
    return found[0].file if len(found) == 1 else f"the {len(found)} recordings"


def plan_windows(
    found: list[Recording], names: tuple[str, ...], units: dict[str, str]
) -> tuple[Plan, list[str]]:
    """Rate, length and channels of the windows, and channels left out for being much slower than
    the others.
    """
    of = [{channels.normalize_name(c.name): c for c in r.channels} for r in found]
    rates = Counter(o[channels.normalize_name(n)].rate for o in of for n in names)
    known = 0 not in rates
    # that of most samples: one ECG counts for more than five temperatures
    usual = max(rates, key=lambda r: (rates[r] * r, r)) if known else 1.0
    slow = [
        n
        for n in names
        if known and min(o[channels.normalize_name(n)].rate for o in of) < SLOW * usual
    ]
    names = tuple(n for n in names if n not in slow)
    if not names:
        raise UserError(
            f"The channels of {describe_recordings(found)} have rates too different to be cut"
            f" together (at {' and '.join(f'{r:.6g}' for r in sorted(rates)[:4])} Hz);"
            " bring them one by one."
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
