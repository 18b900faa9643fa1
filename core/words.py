"""Words for sentences on screen and in refusals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def some_of(words: Sequence[str], most: int) -> str:
    """Return the first `most` of `words`, and how many more there are: "a, b and 4 more"."""
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def describe_groups(groups: Iterable[Any] | None) -> str:
    """Return how many different patients or groups `groups` of cases tell of: "1,204", "none known"
    where each is missing, "not stated" where there is no such column.
    """
    if groups is None:
        return "not stated"
    return f"{count:,}" if (count := count_groups(groups)) else "none known"


def count_groups(groups: Iterable[Any]) -> int:
    """Return the number of different groups; missing ones (None) are not counted."""
    return len({group for group in groups if group is not None})


def size(many: int) -> str:
    """Return bytes in words: "36 kB", "1.2 MB", "12.5 GB"."""
    if many >= 1e10:
        return f"{many / 1e9:,.1f} GB"
    return f"{many / 1e6:,.1f} MB" if many >= 1e5 else f"{max(1, round(many / 1e3))} kB"


def q_value(q: float) -> str:
    """Return a q-value in words: "q = 0.012", "q < 1e-300" where it is too small to be told from
    0.
    """
    return f"q = {q:.2g}" if q >= 1e-300 else "q < 1e-300"


def percent(share: float, digits: int = 0) -> str:
    """Return a share of 1 in percent: "54 %", "2.5 %"."""
    return f"{100 * share:.{digits}f} %"
