"""Every string that comes from a user or a file passes through here before it reaches the
screen.
"""

from __future__ import annotations

import math
import re
import time
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING

from core import glossary
from core.words import percent as percent
from core.words import size as size

if TYPE_CHECKING:
    from core.artifacts import Metric

_MEANT = re.compile(r"(?<=://)|(?<=\bwww)(?=\.)|(?=@)|(?<=:)(?=[a-z+-])", re.I)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&^=])")


def plain(value: object, limit: int = 60) -> str:
    """`value` as one visible line of at most `limit` characters, control and bidirectional
    characters removed. For places that show text as it is.
    """
    words = "".join(
        c if c.isprintable() and unicodedata.category(c) != "Cf" else " " for c in str(value)
    )
    words = " ".join(words.split())
    return words if len(words) <= limit else words[: limit - 1] + "…"


def label(value: object, limit: int = 60) -> str:
    """As `plain`, with every markdown character escaped: for labels, captions, headings, messages.

    Trap: addresses (http://, www., @) become links, and :words: icons and emoji, in spite of
    escapes; an invisible word joiner (U+2060) within prevents that.
    """
    return _MARKDOWN.sub(r"\\\1", _MEANT.sub("\u2060", plain(value, limit)))


def explain(words: str) -> str:
    """`words` of markdown, names in it escaped, in which the first place of each term of
    `core.glossary` tells its meaning on hover and on focus. Not for labels, where links are not
    drawn.
    """
    return glossary.mark(words, lambda written, term: f"[{written}](#term-{term.id})")


def chart(value: object, limit: int = 60) -> str:
    """As `plain`, for Plotly text, which formats pseudo-HTML: angle brackets become their
    look-alikes.
    """
    return plain(value, limit).replace("<", "‹").replace(">", "›")


PARTS = {"train": "training", "val": "validation", "test": "test"}


def part(name: str) -> str:
    """A part of the data in words."""
    return PARTS.get(name, plain(name))


def number(value: float | None, digits: int = 2) -> str:
    """A number for reading: two significant decimals, "not defined" for None and NaN, thousands
    separated.
    """
    if value is None or value != value:
        return "not defined"
    if abs(value) >= 1000 or (abs(value) > 1 and float(value).is_integer()):
        return f"{value:,.0f}"
    return f"{value:.{digits}f}" if abs(value) >= 0.01 or value == 0 else f"{value:.{digits}g}"


def interval(
    value: float | None, low: float | None, high: float | None, n: int = 0, kind: str = "interval"
) -> str:
    """As "0.92 (0.89-0.95), n = 468"; "0.92 (range 0.89-0.95)" for what is no 95 % interval but
    another of `KINDS`.
    """
    words = number(value)
    if value is not None and low is not None and high is not None and low == low:
        before, after = {
            "range": ("range ", ""),
            "bound": ("bounds ", ""),
            "change": ("before to after ", ""),
            "": ("", ", kind not recorded"),
        }.get(kind, ("", ""))
        words += f" ({before}{number(low)}–{number(high)}{after})"
    return words + (f", n = {n:,}" if n else "")


def measured(m: Metric, n: bool = False) -> str:
    """A metric's value with what lies about it, and with the number of cases where `n`."""
    return interval(m.value, m.low, m.high, m.n if n else 0, m.kind)


def counted(n: int, one: str) -> str:
    """ "1 file", "2,311 files", "2 guesses"."""
    more = "es" if one.endswith(("s", "x", "ch", "sh")) else "s"
    return f"{n:,} {one}{'' if n == 1 else more}"


def moment(written: str) -> str:
    """A moment written as in ISO 8601, as a person writes it, to the minute: "2026-11-29 12:06
    UTC"; as it is where it is none.
    """
    try:
        then = datetime.fromisoformat(written)
    except ValueError:
        return written
    return f"{then:%Y-%m-%d %H:%M}" + (f" {then.tzname()}" if then.tzinfo else "")


def figures(value: float, digits: int = 3) -> str:
    """A score or distance to `digits` significant digits, zeros at the end as well, so that those
    below each other have the same: "0.0120", "2.45", "1,230".
    """
    if not math.isfinite(value):
        return number(None)
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def ago(then: float) -> str:
    """How long ago `then` was, in seconds since the epoch: "just now", "5 min ago", "2 h ago"."""
    passed = max(0.0, time.time() - then)
    if passed < 60:
        return "just now"
    if passed < 5400:
        return f"{passed / 60:.0f} min ago"
    return f"{passed / 3600:.0f} h ago"


def duration(seconds: float | None) -> str:
    """ "about 2 min"; "a moment" below five seconds; "" when unknown."""
    if seconds is None:
        return ""
    if seconds < 5:
        return "a moment"
    if seconds < 90:
        return f"about {round(seconds / 5) * 5:.0f} s"
    if seconds < 5400:
        return f"about {round(seconds / 60):.0f} min"
    return f"about {seconds / 3600:.1f} h"
