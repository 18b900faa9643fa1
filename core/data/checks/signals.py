"""What the files of signals say of themselves: samples that are not those the header was written
for, and amplifiers that were driven to their limit.
"""

from __future__ import annotations

import numpy as np

from core.data.checks.finding import Finding
from core.data.dataset import Dataset
from core.limits import FINDING_ROWS as SHOWN
from core.words import some_of


def signal_findings(data: Dataset) -> list[Finding]:
    """All of them, from the card: no sample is read."""
    return [*_find_broken(data), *_find_clipped(data)]


def _find_broken(data: Dataset) -> list[Finding]:
    """Return records whose samples do not add up to the checksum in their header."""
    told = data.card.get("broken signals", {})
    if told.get("column") not in data.frame:
        return []
    names = data.frame[told["column"]].astype(str).to_numpy()
    there = set(names)
    broken = {name: signals for name, signals in told["of"].items() if name in there}
    rows = data.rows[np.isin(names, list(broken))]
    if not len(rows):
        return []
    said = some_of([f"{name} ({', '.join(signals[:4])})" for name, signals in broken.items()], 5)
    words = (
        f"The samples do not add up to the checksum in the header: {said}. A file was damaged or"
        " changed after it was written; fetch it again."
    )
    title = "Signals that are not as they were written"
    return [Finding("broken signals", "look", title, words, rows[:SHOWN].tolist(), len(rows))]


def _find_clipped(data: Dataset) -> list[Finding]:
    """Windows with samples at the end of what the recorder can store."""
    told = data.card.get("clipped", {})
    rows = data.rows[np.isin(data.rows, told.get("rows", []))]
    if not len(rows):
        return []
    said = some_of([f"{channel} {share:.1%}" for channel, share in told["channels"].items()], 5)
    windows = "1 window has" if len(rows) == 1 else f"{len(rows):,} windows have"
    words = (
        f"{windows} many samples at the largest or least value the file can hold ({said} of all"
        " samples): the amplifier was driven to its limit there, and peaks are cut off."
    )
    return [Finding("clipped", "look", "Clipped signals", words, rows[:SHOWN].tolist(), len(rows))]
