"""Other data as a trained model would see it: what must agree, what is brought into line, and what
is only told.

A model is applied to data it has not learned from. Columns are matched by name, values are
scaled by the range the model learned with, and every row counts as a test row.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from core.artifacts import Model
from core.data.dataset import Dataset
from core.errors import UserError

SHOWN = 6  # names listed in a sentence
WIDTHS = 4.0  # factor up to which the value ranges of two sets of pictures may differ
COMPARED = 1 << 30  # bytes of samples up to which the very same cases are sought


def as_the_model_sees(own: Dataset, other: Dataset, model: Model) -> tuple[Dataset, list[str]]:
    """`other` with the columns and the value range of `own`, the data `model` learned from.

    Every row is in the part "test": none was learned from. Where the training cases were all of
    one class, that class is the normal one also here. Gives the view and, in words, what was
    brought into line.

    Raises
    ------
    UserError
        One sentence: modality, shape, channels, units, columns or value range differ.
    """
    other, notes = match(own, other)
    split = other.roles.get("split", "split")
    table = other.table.assign(**{split: "test"})
    roles = {**other.roles, "split": split}
    card = dict(other.card)
    normal = own.normal or only_class(own)
    if "normal" not in card and normal in other.classes:
        card |= {"normal": normal, "normal guessed": own.card.get("normal guessed", "")}
    if model.classes and other.classes and not set(model.classes) & set(other.classes):
        notes.append(
            f"None of its classes ({_listed(other.classes)}) has the name of one the model knows "
            f"({_listed(model.classes)}), so predictions cannot be counted as right or wrong."
        )
    return replace(other, table=table, roles=roles, card=card), notes


def only_class(own: Dataset) -> str:
    """Return the one class all training cases of `own` are of; "" where there are several or
    none.
    """
    learned = np.unique(own.part("train").labels)
    learned = learned[learned >= 0]
    return own.classes[int(learned[0])] if len(learned) == 1 else ""


def match(own: Dataset, other: Dataset) -> tuple[Dataset, list[str]]:
    """`other` with the input columns and the value range of `own`, and what is to be told of it.

    UserError, one sentence, where they differ in what a model cannot bridge.
    """
    if other.modality != own.modality:
        raise UserError(
            f"“{other.name}” holds {other.modality} data; "
            f"this model learned from {own.modality} data."
        )
    if own.modality == "table":
        return _match_columns(own, other)
    if own.samples is None:
        return other, []
    _compare_shapes(own, other)
    _compare_facts(own, other)
    notes = _compare_ranges(own, other)
    return replace(other, input_range=own.input_range), notes


def find_shared(own: Dataset, other: Dataset) -> list[str]:
    """In words, what `other` has in common with the data the model learned from.

    Patients of the same id, and cases that are the same to the last bit; figures on them look
    better than on new cases. Cost: reads both once, up to `COMPARED` bytes each.
    """
    found = []
    if own.groups is not None and other.groups is not None:
        both = {g for g in own.groups if g is not None} & {g for g in other.groups if g is not None}
        if both:
            found.append(
                f"{len(both)} patient{'s' * (len(both) != 1)} of “{other.name}”"
                f" {'are' if len(both) != 1 else 'is'} also in “{own.name}”, which the model"
                " learned from: figures on them are not those of new patients."
            )
    seen = _digests(own)
    if seen is None:
        return found
    digests = _digests(other)
    same = 0 if digests is None else sum(d in set(seen) for d in digests)
    if same:
        found.append(
            f"{same:,} of {len(other):,} cases are the very same as cases of “{own.name}”, "
            "which the model learned from: they are not new to it."
        )
    return found


def _digests(data: Dataset) -> list[bytes] | None:
    """One digest a row of the stored samples or texts; None where that is too much to read."""
    if data.samples is None:
        return [hashlib.blake2b(t.encode(), digest_size=16).digest() for t in data.texts]
    size = int(np.prod(data.shape)) * data.samples.dtype.itemsize
    if len(data) * size > COMPARED:
        return None
    found: list[bytes] = []
    for i in range(0, len(data), 256):
        raw = np.ascontiguousarray(data.raw(np.arange(i, min(i + 256, len(data)))))
        found += [hashlib.blake2b(row.data, digest_size=16).digest() for row in raw]
    return found


# -- tables -------------------------------------------------------------------------------------
def _match_columns(own: Dataset, other: Dataset) -> tuple[Dataset, list[str]]:
    """`other` with the input columns of `own`, in its order. UserError where one is not there."""
    if own.features == other.features:
        return other, []
    at = {name: j for j, name in enumerate(other.features)}
    whole = replace(other, at=None)
    stored = whole.raw()
    columns, lacking, notes = [], [], []
    for name in own.features:
        values = stored[:, at[name]] if name in at else _column_of(own, whole.table, name)
        if values is None:
            lacking.append(name)
        else:
            columns.append(values)
    if lacking:
        raise UserError(
            f"“{other.name}” has no column {_listed(lacking)}, which the model learned from "
            f"({len(lacking)} of its {len(own.features)} inputs); add it under that name."
        )
    notes += _tell_words(own, other)
    unused = [
        f for f in other.features if f not in own.features and f.split("=")[0] not in own.table
    ]
    if unused:
        notes.append(f"Not used, since the model has not seen them: {_listed(unused)}.")
    samples = np.stack(columns, 1).astype(stored.dtype)
    return replace(other, samples=samples, features=own.features), notes


def _column_of(own: Dataset, table: pd.DataFrame, name: str) -> np.ndarray | None:
    """Return an input the other data has as a plain column only; None where it does not have it.

    A column that is constant there is no input of its own, and a category that does not occur
    has none.
    """
    column, equals, word = name.partition("=")
    if name in table and name in own.table:
        return pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if equals and column in table and column in own.table:
        values = table[column]
        return np.where(values.isna(), np.nan, values.astype(str) == word)
    return None


def _tell_words(own: Dataset, other: Dataset) -> list[str]:
    """Sentences about words of categories that the model has not met."""
    known: dict[str, set[str]] = {}
    for name in own.features:
        column, equals, word = name.partition("=")
        if equals and column in own.table and column in other.table:
            known.setdefault(column, set()).add(word)
    sentences = []
    for column, words in known.items():
        new = sorted({str(v) for v in other.frame[column].dropna().unique()} - words)
        if new:
            sentences.append(
                f"Column “{column}” holds words the model has not met ({_listed(new)}); "
                "for it they are none of the known ones."
            )
    return sentences


# -- pictures, scans, signals --------------------------------------------------------------------
def _compare_shapes(own: Dataset, other: Dataset) -> None:
    if tuple(own.shape) == tuple(other.shape):
        return
    if own.shape[0] != other.shape[0]:
        raise UserError(
            f"“{other.name}” has {_counted(other.shape[0], 'channel')}; "
            f"this model learned from {_counted(own.shape[0], 'channel')}."
        )
    sizes = (" × ".join(map(str, d.shape[1:])) for d in (other, own))
    raise UserError(
        f"Cases of “{other.name}” are {next(sizes)} in size; this model learned from cases of "
        f"{next(sizes)}. Bring both in at one size."
    )


def _compare_facts(own: Dataset, other: Dataset) -> None:
    """UserError where the cards name other units, channels, rates or kinds of scans."""
    for key, what in (
        ("unit", "values in"),
        ("units", "channels in"),
        ("channels", "the channels"),
        ("rate_hz", "samples a second:"),
    ):
        mine, theirs = own.card.get(key) or "", other.card.get(key) or ""
        if mine != theirs:
            raise UserError(
                f"“{other.name}” holds {what} {_said(theirs)}; "
                f"this model learned from {_said(mine)}."
            )
    if "scan type" in own.table and "scan type" in other.table:
        mine, theirs = ({*map(str, d.frame["scan type"].dropna())} for d in (own, other))
        if mine and theirs and not mine & theirs:
            raise UserError(
                f"“{other.name}” holds {_listed(sorted(theirs))} scans; "
                f"this model learned from {_listed(sorted(mine))} scans."
            )


def _compare_ranges(own: Dataset, other: Dataset) -> list[str]:
    """Return what is to be told of the value ranges. UserError where they are not of one scale."""
    (low, high), (low2, high2) = own.input_range, other.input_range
    if (low, high) == (low2, high2) or own.modality not in ("image", "volume"):
        return []
    ratio = (high2 - low2) / max(high - low, 1e-12)
    ranges = f"{low2:g} to {high2:g}", f"{low:g} to {high:g}"
    if not own.card.get("unit") and (
        not 1 / WIDTHS <= ratio <= WIDTHS or low2 >= high or high2 <= low
    ):
        raise UserError(
            f"“{other.name}” holds grey values of {ranges[0]}; this model learned from "
            f"{ranges[1]}. Bring both to one scale."
        )
    return [
        f"Its grey values reach from {ranges[0]}; for the model they are scaled as those it "
        f"learned from, {ranges[1]}, and cut there."
    ]


def _said(value: Any) -> str:
    if isinstance(value, list):
        return _listed(value)
    return str(value) if value else "no stated unit"


def _counted(n: int, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}"


def _listed(words: Any) -> str:
    words = [f"“{w}”" for w in words]
    return ", ".join(words[:SHOWN]) + (" …" if len(words) > SHOWN else "")
