"""From cells to tables: settings picked by a scorer, and what each contestant reached with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.methods.protocols._names import TARGET

Cell = dict[str, Any]


def pick(cells: list[Cell], scorer: str) -> Cell | None:
    """Return the cell that `scorer` values most, the first of equals; None where it could value
    none. The upper bound has one setting and no value.
    """
    valued = [c for c in cells if c["scores"].get(scorer) is not None]
    if not valued:
        return cells[0] if len(cells) == 1 and cells[0]["contestant"] == TARGET else None
    return max(valued, key=lambda c: c["scores"][scorer])


def by_place(cells: list[Cell]) -> dict[str, dict[int, list[Cell]]]:
    """Task -> split -> its cells, in the order they were run."""
    found: dict[str, dict[int, list[Cell]]] = {}
    for c in cells:
        found.setdefault(c["task"], {}).setdefault(c["split"], []).append(c)
    return found


def score_contestants(
    cells: list[Cell], names: list[str], scorer: str, measure: str
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(tasks [t], value [m,t,s], seconds [m,t]): each contestant with the settings `scorer` picks,
    for each split; NaN = failed.
    """
    places = by_place(cells)
    splits = max(len(s) for s in places.values())
    value = np.full((len(names), len(places), splits), np.nan)
    seconds = np.zeros((len(names), len(places)))
    for j, own in enumerate(places.values()):
        for k, here in own.items():
            for i, name in enumerate(names):
                mine = [c for c in here if c["contestant"] == name]
                best = pick(mine, scorer)
                seconds[i, j] += sum(c["seconds"] for c in mine)
                if best is not None and best[measure] is not None:
                    value[i, j, k] = best[measure]
    return list(places), value, seconds


def choose_by(cells: list[Cell], scorer: str, measure: str) -> tuple[list[list[Cell]], np.ndarray]:
    """Return what `scorer` picks among all contestants and settings but the upper bound: cells by
    task and split, and their mean value by task [t].
    """
    picked = [
        [
            c
            for here in own.values()
            if (c := pick([c for c in here if c["contestant"] != TARGET], scorer)) is not None
        ]
        for own in by_place(cells).values()
    ]
    return picked, np.array(
        [
            np.mean([c[measure] for c in p if c[measure] is not None]) if p else np.nan
            for p in picked
        ]
    )
