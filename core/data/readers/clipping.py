"""Samples that stand at the end of what a recorder can store: there its amplifier was driven to its
limit, and peaks are cut off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.data.readers.recording import Array

FEWEST_LEVELS = 200  # of a file's numbers; switches and positions stand at their ends by right
SHARE = 0.01  # of a window's samples, from which it is told
COLUMN = "clipped"  # of the windows while they are gathered: the largest share of a channel


def find_clipping_limits(
    low: float, high: float, levels: float, unit: str
) -> tuple[float, float] | None:
    """Below and above which values (physical, at the ends `low` and `high` of the file's numbers,
    `levels` apart) a sample stands at an end. None where that is no sign of clipping: few levels,
    and shares of a whole, which may be 100 %.
    """
    if levels < FEWEST_LEVELS or unit == "%":
        return None
    half = abs(high - low) / levels / 2
    return min(low, high) + half, max(low, high) - half


def measure_clipped_shares(values: Array, ends: tuple[float, float] | None, edges: Array) -> Array:
    """float32 [n]: the share of clipped samples between each two of `edges` [n+1], positions among
    `values` [many]. Clipped are those at an end, as the sample before or after them: a file scaled
    to its own range has single ones there.
    """
    if ends is None or len(edges) < 2:
        return np.zeros(max(0, len(edges) - 1), np.float32)
    at_end = (values <= ends[0]) | (values >= ends[1])
    row = at_end[1:] & at_end[:-1] & (values[1:] == values[:-1])
    at_end[:] = False
    at_end[1:] |= row
    at_end[:-1] |= row
    count = np.concatenate([[0], np.cumsum(at_end)])
    inside = np.interp(edges, np.arange(len(count)), count)
    return (np.diff(inside) / np.maximum(np.diff(edges), 1)).astype(np.float32)


def drop_clipping_column(
    table: pd.DataFrame, channels: dict[str, float]
) -> tuple[pd.DataFrame, Any]:
    """Return the table without COLUMN, and the card's entry on clipped windows: their rows, and the
    share of each channel's samples that are clipped; {} where there is no such window.
    """
    rows = np.flatnonzero(table[COLUMN].to_numpy() >= SHARE)
    told = {name: round(share, 4) for name, share in channels.items() if share > 0}
    entry = {"clipped": {"rows": rows.tolist(), "channels": told}} if len(rows) else {}
    return table.drop(columns=COLUMN), entry
