"""The groups of genomes, which a column names, and a coarser column of these groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.data.labels import column_as_words
from core.errors import UserError

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def name_groups(data: Dataset, by: str) -> np.ndarray:
    """Object [n]: the group of each row as words, by the column `by` or, without one, the label; ""
    where it is not known. UserError when there is no such column.
    """
    column = by or data.roles.get("label", "")
    if not column:
        raise UserError(
            "This data has no label column, so say which column names the group of each genome:"
            " “by”, for example country."
        )
    return column_as_words(data, column, "by")


def choose_groups(words: np.ndarray, least: int) -> tuple[list[str], list[str]]:
    """(names of the groups that at least `least` of the training genomes are of, the others with
    their sizes). UserError for fewer than three.
    """
    names, size = np.unique(words.astype(str), return_counts=True)
    kept = [str(n) for n, s in zip(names, size) if n and s >= least]
    if len(kept) < 3:
        raise UserError(
            f"Only {len(kept)} groups have at least {least} training genomes; a"
            " network needs three (lower “least”, or choose another column in “by”)."
        )
    return kept, [f"{n} ({s})" for n, s in zip(names, size) if n and s < least]


def find_partition(
    data: Dataset, column: str, y: np.ndarray, classes: int
) -> tuple[str, np.ndarray] | None:
    """(column, code int64 [classes]) of a coarser column: the most frequent value there of the rows
    of each class y int64 [n]; None without a column. UserError when there is no such column.
    """
    if not column:
        return None
    values = column_as_words(data, column, "within")
    most = [
        max(set(values[y == j]), key=list(values[y == j]).count) if (y == j).any() else ""
        for j in range(classes)
    ]
    return column, np.unique(most, return_inverse=True)[1]
