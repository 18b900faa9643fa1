"""Colours of the pages: one categorical list, one scale for amounts, and the few that carry meaning.

Okabe and Ito, "Color Universal Design" (2008), ordered so that the first ones read on dark and on light; its black is a grey here.
Colour is never the only cue: whoever uses these adds a label, a shape or a number.
"""

from __future__ import annotations

OKABE_ITO: list[str] = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"]
ACCENT = "#56B4E9"
AMBER = "#E69F00"
RED = "#D55E00"
# matplotlib's cividis at 10 even steps, dark to bright (lowest to highest).
CIVIDIS: list[str] = ["#00224E", "#123570", "#3B496C", "#575D6D", "#707173", "#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838"]


def category_colours(k: int) -> list[str]:
    """k hex colours for k categories: the eight of OKABE_ITO, then the same again, each round mixed further towards grey.

    Eight are told apart safely; beyond that the label has to do the work. Raises ValueError for k < 0.
    """
    if k < 0:
        raise ValueError("k must be 0 or more")
    return [_towards_grey(OKABE_ITO[i % 8], min(0.75, 0.35 * (i // 8))) for i in range(k)]


def rgb(colour: str) -> tuple[int, int, int]:
    """'#RRGGBB' as three integers 0 to 255. Raises ValueError for anything else."""
    if len(colour) != 7 or colour[0] != "#":
        raise ValueError(f"not a #RRGGBB colour: {colour!r}")
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _towards_grey(colour: str, share: float) -> str:
    return "#" + "".join(f"{round(c + (128 - c) * share):02X}" for c in rgb(colour))
