"""Words for sentences on screen and in refusals."""

from __future__ import annotations

from collections.abc import Sequence


def some_of(words: Sequence[str], most: int) -> str:
    """Return the first `most` of `words`, and how many more there are: "a, b and 4 more"."""
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest:,} more" if rest > 0 else "")
