"""Colours of the whole app: safe for colour-blind readers, the same for a thing on every page."""

from __future__ import annotations

OKABE_ITO = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#9A9A9A"]
ACCENT, AMBER, RED, BLUE = "#56B4E9", "#E69F00", "#D55E00", "#0072B2"
NONE = "#6B6B6B"  # "in none", "missing"
# lines and writing, from black to white
BLACK, INK, DARK, GREY, FAINT, PALE, WHITE = (
    "#000000",
    "#1A1A1A",
    "#5A5A5A",
    "#999999",
    "#BBBBBB",
    "#F0F0F0",
    "#FFFFFF",
)
PAGES = {"light": "#FAFAFA", "dark": "#161616"}  # behind everything, by theme
OCHRE = "#B07500"  # of writing on white, where AMBER is too light to read
CIVIDIS = [
    "#00224e",
    "#123570",
    "#3b496c",
    "#575d6d",
    "#707173",
    "#8a8678",
    "#a59c74",
    "#c3b369",
    "#e1cc55",
    "#fee838",
]
SYMBOLS = ["circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon"]


def rgb(colour: str) -> tuple[int, int, int]:
    """Return a colour “#RRGGBB” as three numbers from 0 to 255."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def contrast(colour: str, behind: str) -> float:
    """Contrast ratio of two colours “#RRGGBB”, from 1 to 21 (WCAG 2.2, relative luminance)."""
    low, high = sorted(_luminance(c) for c in (colour, behind))
    return (high + 0.05) / (low + 0.05)


def readable(colour: str, behind: str, least: float) -> str:
    """`colour`, mixed with as much black (on a light page) or white (on a dark one) as gives it a
    contrast of `least` with what is `behind`; as it is where it has that.
    """
    end = 0 if _luminance(behind) > 0.18 else 255
    for percent in range(101):
        mixed = (round(c + (end - c) * percent / 100) for c in rgb(colour))
        found = "#" + "".join(f"{c:02X}" for c in mixed)
        if contrast(found, behind) >= least:
            return found
    return found


def _luminance(colour: str) -> float:
    """Relative luminance of a colour, from 0 to 1."""
    parts = [c / 255 for c in rgb(colour)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def category_colours(k: int) -> list[str]:
    """`k` colours, in the order of `Column.codes`; each further eight are paler, and the labels on
    the map tell them apart.
    """
    return [
        _lighten(OKABE_ITO[j % len(OKABE_ITO)], 1 - 0.55 ** (j // len(OKABE_ITO))) for j in range(k)
    ]


def _lighten(colour: str, share: float) -> str:
    """`colour` mixed with `share` of a light grey."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(c + (225 - c) * share):02X}" for c in parts)
