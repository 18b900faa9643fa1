"""Tables of one folder that are the parts of one: train.csv and test.csv."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from core.data.readers.files import cut_suffix
from core.data.splits import MORE_WORDS, WORDS

if TYPE_CHECKING:
    from core.data.readers.joined_tables import Raw

# "va" may be a place, and "ts" anything
PARTS = WORDS | {word: part for word, part in MORE_WORDS.items() if len(word) > 3}


def find_parts(names: Sequence[str]) -> list[tuple[str, str]]:
    """Of each file, by its path: train, val or test, and the rest of its name. Empty unless just
    one word of each name is such a word, and there is a train part and another one.
    """
    found = [_part(name) for name in names]
    told = [one for one in found if one is not None]
    parts = {part for part, _ in told}
    return told if len(told) == len(found) and "train" in parts and len(parts) > 1 else []


def is_train(name: str) -> bool:
    """Whether a file is called the train part of a table."""
    found = _part(name)
    return found is not None and found[0] == "train"


def _part(name: str) -> tuple[str, str] | None:
    """Return the part in the name of a file, and the rest of the name; None unless there is just
    one.
    """
    folder = name.rpartition("/")[0]
    words = [w for w in re.split(r"[\W_]+", f"{folder} {cut_suffix(name)}") if w]
    at = [i for i, word in enumerate(words) if word.lower() in PARTS]
    if len(at) != 1:
        return None
    rest = " ".join(word for i, word in enumerate(words) if i != at[0])
    return PARTS[words[at[0]].lower()], rest


def join_unlabelled(read: list[Raw]) -> tuple[list[Raw], str]:
    """Tables that are parts of one, where some lack one column that every train table has: the
    label, which is not known for their rows. Gives all with that column, and its name; what was
    given, and "", where that is not how they differ.
    """
    parts = find_parts([raw.name for raw in read])
    trained = [set(raw.columns) for raw, (part, _) in zip(read, parts) if part == "train"]
    if not parts or any(raw.how == "no header" for raw in read):
        return read, ""
    usual = trained[0]
    lacking = [raw for raw in read if set(raw.columns) != usual]
    lacks = {column for raw in lacking for column in usual - set(raw.columns)}
    more = [raw for raw in lacking if set(raw.columns) - usual]
    if len(lacks) != 1 or more or any(columns != usual for columns in trained):
        return read, ""
    label = lacks.pop()
    return [_unlabelled(raw, label) if raw in lacking else raw for raw in read], label


def _unlabelled(raw: Raw, label: str) -> Raw:
    """Return the table with a column `label` that is empty."""
    empty: pa.ChunkedArray | pd.Series
    if any(isinstance(values, pd.Series) for values in raw.columns.values()):
        empty = pd.Series([None] * raw.rows, dtype=object)
    else:
        empty = pa.chunked_array([pa.array([""] * raw.rows, pa.string())])
    rule = (
        f"{raw.name} lacks “{label}”, which the training table has: its {raw.rows:,} rows are cases"
        " without a label"
    )
    return replace(raw, columns={**raw.columns, label: empty}, rules=[*raw.rules, rule])
