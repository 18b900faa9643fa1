"""Colours of the whole app: safe for colour-blind readers, the same for a thing on every page."""

from __future__ import annotations

OKABE_ITO = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#9A9A9A"]
ACCENT, AMBER, RED = "#56B4E9", "#E69F00", "#D55E00"
NONE = "#6B6B6B"  # "in none", "missing"
CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"]
SYMBOLS = ["circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon"]


def category_colours(k: int) -> list[str]:
    """k colours in order of class size; from the eighth class on they repeat, so the labels on the map must tell them apart."""
    return [OKABE_ITO[j % len(OKABE_ITO)] for j in range(k)]
