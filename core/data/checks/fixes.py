"""What the tool can fix by itself: a new assignment of rows to parts."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from core.data.dataset import SPLITS, Dataset


def assign_whole_groups(data: Dataset) -> dict[str, np.ndarray]:
    """Part -> row ids to move there so that every patient (or group) lies in one part: the one with
    most of its rows, train where two have as many.
    """
    groups = data.groups
    if groups is None:
        return {}
    at: dict[object, list[int]] = defaultdict(list)
    for i, g in enumerate(groups):
        if g is not None:
            at[g].append(i)
    moves: dict[str, list[int]] = defaultdict(list)
    for places in at.values():
        counts = {s: int((data.splits[places] == s).sum()) for s in SPLITS}
        if sum(k > 0 for k in counts.values()) > 1:
            best = max(SPLITS, key=lambda s: counts[s])
            moves[best] += [i for i in places if data.splits[i] != best]
    return {part: data.rows[places] for part, places in moves.items()}
