"""Two sets of cases, A and B, that a person keeps to compare them: of the open dataset, for as long
as the page is open.
"""

from __future__ import annotations

import numpy as np

from app import state

NAMES = ("A", "B")


def kept() -> dict[str, np.ndarray]:
    """The sets of the open dataset: name -> sorted int64 row ids, without cases hidden since. Those
    that are empty are left out.
    """
    data = state.dataset()
    found = {}
    for name in NAMES:
        of, rows = state.value(f"set-{name}") or ("", None)
        if data is not None and rows is not None and of == data.name:
            rows = rows[np.isin(rows, data.rows)]
            if len(rows):
                found[name] = rows
    return found


def keep(name: str, rows: np.ndarray) -> None:
    """Keep `rows` as A or B in place of what it was; an empty set forgets it."""
    state.set_value(f"set-{name}", (state.dataset_name(), np.unique(np.asarray(rows, np.int64))))


def swap() -> None:
    """A becomes B, and B becomes A."""
    a, b = (state.value(f"set-{name}") for name in NAMES)
    state.set_value("set-A", b)
    state.set_value("set-B", a)
