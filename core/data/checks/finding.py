"""One finding about a dataset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`severity`: ok (looked at and in order), note (to know: nothing is wrong, and something is
    not there or was not looked at), look (to review) or stop (fix this first).

    `rows` are row ids, at most `limits.FINDING_ROWS` of the `total`, the most telling first. `sets`
    part them where they belong together (copies of one another). `fix` names what the tool can do
    about it by itself, "" = nothing; `notes` says something of single rows, such as the label
    suggested.
    """

    kind: str
    severity: Literal["ok", "note", "look", "stop"]
    title: str
    words: str
    rows: list[int] = field(default_factory=list)
    total: int = 0
    sets: list[list[int]] = field(default_factory=list)
    fix: str = ""
    notes: dict[str, str] = field(default_factory=dict)


def cases_have(n: int) -> str:
    """“1 case has”, “3 cases have”."""
    return f"{n:,} case has" if n == 1 else f"{n:,} cases have"


def sampled_words(n: int, total: int) -> str:
    """Says, where not all rows were looked at, how many were."""
    return "" if n == total else f" (looked at {n:,} of {total:,} cases, evenly spread)"
