"""The rounds of AutoPaint as steps to look at: what is filled in, where the slice departs from it,
what is filled in anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.methods.anomaly._auto_paint_loop import Fill, Painted
from core.stages import Control, Stage

# residuals [n,C,S,S], body and holes bool [n,S,S] -> heat [n,S,S]
Departs = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
CUTS = {0.5: "half", 0.75: "three quarters", 1.0: "as learned", 1.5: "1.5 times", 2.0: "twice"}
MOST = 6  # rounds offered, where the run has no more


@dataclass(frozen=True)
class Round:
    """A slice after a round: the `hole` bool [S,S] that was filled in as one, nothing before the
    first round, the slice so filled `twin` [C,S,S], and where it departs from that, `heat` [S,S].
    """

    hole: np.ndarray
    twin: np.ndarray
    heat: np.ndarray


def controls_of(rounds: int) -> list[Control]:
    """Return the settings of the steps of a run with at most `rounds`."""
    offered = tuple((float(k), "none" if k == 0 else str(k)) for k in range(max(MOST, rounds) + 1))
    words = (
        "How often at most what departs is filled in anew as one hole. It stops earlier once"
        " nothing changes."
    )
    limit = (
        "How far a place must depart before it is filled in anew, beside the limit that one in"
        " two hundred healthy pixels pass."
    )
    return [
        Control("rounds", "Rounds", words, float(rounds), offered),
        Control("cut", "Limit for filling in", limit, 1.0, tuple(CUTS.items())),
    ]


def rounds_of(
    x: np.ndarray, body: np.ndarray, painted: Painted, fill: Fill, departs: Departs
) -> list[Round]:
    """Return the states of one slice x [1,C,S,S] with `body` bool [1,S,S]: before the first round,
    and after each of those that `painted` took.
    """
    none = np.zeros_like(painted.holes[0])
    found = []
    for hole in [none, *(hole for hole in painted.holes if painted.holes.any())]:
        twin = np.where(hole[:, None], fill(x, hole), painted.proposed)
        found.append(Round(hole[0], twin[0], departs(x - twin, body, hole)[0]))
    return found


def stages_of(
    rounds: list[Round], channels: slice, mark: Callable[[np.ndarray], np.ndarray]
) -> list[Stage]:
    """Return the steps to draw of `rounds`; `channels` are those that count, and `mark` says of
    heat [n,S,S] what is marked, bool [n,S,S].
    """
    start, area = rounds[0], rounds[0].hole.size
    shown = lambda twin: np.clip(twin[channels], 0, 1)  # noqa: E731
    stages = [
        Stage("Proposed", "each place filled in from others", "generated", shown(start.twin)),
        Stage("It departs here", f"highest {start.heat.max():.3g}", "heat", start.heat),
    ]
    for number, (before, now) in enumerate(pairwise(rounds), 1):
        share, changed = now.hole.sum() / area, (now.hole != before.hole).sum() / area
        note = f"{share:.1%} of the slice" + (f", {changed:.1%} changed" if number > 1 else "")
        stages += [
            Stage(f"Round {number}: filled in anew", note, "places", now.hole.astype(np.float32)),
            Stage(f"Round {number}: with this", "as one hole", "generated", shown(now.twin)),
            Stage(f"Round {number}: departs", f"highest {now.heat.max():.3g}", "heat", now.heat),
        ]
    marked = mark(rounds[-1].heat[None])[0]
    note = f"{marked.mean():.1%} of the slice" if marked.any() else "nothing"
    note += "; before slices are joined and small lesions left out"
    return [*stages, Stage("Marked", note, "places", marked.astype(np.float32))]
