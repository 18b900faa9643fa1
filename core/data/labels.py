"""Labels and other columns as classes: whether they can serve, and which class each row has."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from core import limits
from core.data.dataset import Dataset
from core.errors import UserError


def why_no_classes(data: Dataset, training: bool = True) -> str | None:
    """Why the labels cannot serve as classes to learn or to count by, in one sentence for the user;
    None when they can.

    Classes are at least two, in the training part as well (`training`), at most `limits.CLASSES`,
    and few beside the labelled cases: a column with a different value in every third case is a
    measurement or a name.
    """
    labels = data.every.labels
    # excluding rows may have emptied some
    k = len(data.classes) if data.kept is None else len(np.unique(labels[labels >= 0]))
    if k < 2:
        return f"Needs at least two classes; this data has {k}."
    labelled = int((labels >= 0).sum())
    if k > limits.CLASSES or k > max(20, labelled / 3):
        return (
            f"The label column holds {k:,} different values in {labelled:,} cases: a measurement or"
            " a name rather than a class; choose another label."
        )
    if training:
        seen = np.unique(data.part("train").labels)
        seen = seen[seen >= 0]
        if len(seen) < 2:
            only = f"all of “{data.classes[seen[0]]}”" if len(seen) else "without a label"
            return (
                "Needs at least two classes to learn from; the cases of the training part are"
                f" {only}."
            )
    return None


def labelled_parts(data: Dataset) -> tuple[Dataset, Dataset, list[str]]:
    """Return the training rows of a known class, the validation rows of one of these classes, both
    with codes 0..k-1 as labels, and the k classes' names. UserError where the training rows are all
    of one class.
    """
    train, val = data.part("train"), data.part("val")
    train = train.take(np.flatnonzero(train.labels >= 0))
    codes = np.unique(train.labels)
    if len(codes) < 2:
        raise UserError("The training cases are all of one class; a classifier needs at least two.")
    val = val.take(np.flatnonzero(np.isin(val.labels, codes)))
    place = np.full(len(data.classes), -1)
    place[codes] = np.arange(len(codes))
    train, val = (part.with_labels(place[part.labels]) for part in (train, val))
    return train, val, [data.classes[c] for c in codes]


def codes_among(data: Dataset, classes: list[str]) -> np.ndarray:
    """int64 [n]: the position of each row's label among `classes`, -1 = none of them or unknown."""
    return np.array([*codes_of(data.classes, classes), -1], dtype=np.int64)[data.labels]


def codes_of(words: Iterable[str], classes: list[str]) -> np.ndarray:
    """int64 [n]: the position of each word among `classes`, -1 = none of them."""
    place = {name: i for i, name in enumerate(classes)}
    return np.array([place.get(word, -1) for word in words], dtype=np.int64)


def column_as_words(data: Dataset, column: str, parameter: str) -> np.ndarray:
    """`object [n]`: the values of a column as words, "" where one is missing. UserError, naming the
    parameter that asked for it, when there is no such column.
    """
    if column not in data.table.columns:
        raise no_such_column(data, column, parameter)
    values = data.frame[column].astype(object)
    return values.where(values.notna(), "").astype(str).to_numpy(dtype=object)


def no_such_column(data: Dataset, column: str, parameter: str) -> UserError:
    """Return the error for a parameter that names a column which is not there."""
    return UserError(
        f"“{parameter}” = {column}: there is no such column (there are:"
        f" {', '.join(map(str, data.table.columns[:20]))})."
    )
