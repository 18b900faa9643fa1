"""Tables: CSV (any usual separator and encoding) and Parquet, types inferred and reported; with a
text column they become a text dataset.

Several files of the same columns are one table.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import is_numeric_dtype

from core import limits
from core.data.compound_words import FEW as CATEGORIES
from core.data.dataset import Dataset
from core.data.readers import packed_tables
from core.data.readers.asked_roles import find_roles
from core.data.readers.column_types import (
    are_sentences,
    describe_type,
)
from core.data.readers.file_parts import is_train, join_unlabelled
from core.data.readers.files import Asked, Member, cut_suffix
from core.data.readers.joined_tables import (
    Raw,
    Whole,
    join_columns,
    join_tables,
    name_files,
    read_frame,
    read_raw_table,
)
from core.data.readers.related_tables import join_related_tables
from core.data.readers.table_inputs import encode_table, make_precision_entry
from core.data.readers.table_times import note_uneven_times
from core.data.role_guess import (
    Guess,
    dataset_roles,
    describe_role_changes,
    excluded_columns,
    guesses_to_card,
)
from core.data.visit_ids import patients_in_ids
from core.errors import UserError
from core.io.threads import in_threads
from core.words import some_of

SUFFIXES = (".csv", ".tsv", ".tab", ".data", ".txt")
SHEETS = (".csv", ".tsv", *packed_tables.SUFFIXES)  # tables beside pictures
RELATED = 12  # tables of which the first lines of all are looked at before import
WHO = "patient"  # the column made of ids of visits
HEAD_ROWS = 10  # lines of a table that are shown before the import


def read(members: list[Member], asked: Asked) -> Dataset:
    """Return a table (numeric columns and one-hot categories) or, with a text column, a text
    dataset.
    """
    found = join_tables(members, asked.report, list_named_columns(asked))
    frame, where, rules = found.frame, found.where, found.rules
    name = members[0].name if len(members) == 1 else f"the {len(members)} files"
    if len(frame) == 0:
        raise UserError(f"{name} has a header but no rows.")
    if len(frame) == 1:
        raise UserError(f"{name} holds 1 row; at least 2 are needed to learn anything.")
    text = None if asked.text == "none" and "none" not in frame else asked.text
    if text is not None and text not in frame:
        raise UserError(
            f"{name} has no column “{text}” (it has:"
            f" {some_of([str(c)[:40] for c in frame.columns], 12)})."
        )
    given = _wanted(found.given, asked)
    guesses = _with_patients(frame, given, asked)
    roles = given | dataset_roles(guesses)
    rules += describe_role_changes(asked.looked, guesses)
    aside = {c for c, role in asked.roles.items() if role == "left out"}
    column = text or (None if asked.text == "none" else _text_column(frame, roles, aside))
    if column is not None:
        empty = np.flatnonzero(frame[column].isna())
        if len(empty):
            raise UserError(
                f"{where(int(empty[0]))}, column “{column}” is empty; every row needs its text."
            )
        rules.append(f"text taken from column “{column}”")
        kept = [g for g in guesses if g.role not in ("input", "left out") and g.column != column]
        card = {**_card(found), "roles": guesses_to_card(kept)}
        return Dataset("", "text", frame, None, None, {**roles, "text": column}, card=card)
    values, features = encode_table(frame, roles, excluded_columns(guesses))
    if not features:
        raise UserError(f"{name} has no column of numbers or categories to learn from.")
    used = {f.split("=")[0] for f in features} | set(features)
    left = [str(c) for c in frame.columns if c not in roles.values() and str(c) not in used]
    refused = next(
        (g.column for g in guesses if g.asked and g.role == "input" and g.column in left), None
    )
    if refused is not None:
        many = frame[refused].nunique()
        raise UserError(
            f"Column “{refused}” cannot be an input: it holds {many:,} different words; at most"
            f" {CATEGORIES} can be categories."
        )
    rules.append(f"{len(features)} input column{'s' * (len(features) != 1)}")
    told = [g for g in guesses if g.column in left and g.tells]
    left = [c for c in left if c not in {g.column for g in told}]
    rules += [f"“{g.column}” is left out: {g.why}" for g in told[:12]]
    if left:
        rules.append(
            "left out (names, constants or free text):"
            f" {', '.join(left[:8])}{' …' if len(left) > 8 else ''}"
        )
    uneven = note_uneven_times(frame) if found.files == 1 and "label" not in roles else None
    if uneven is not None:
        found.notes.append(uneven)
        rules.append(
            f"the times in “{uneven.column}” rise as in a recording, but not evenly: each row is"
            " read as a case of its own"
        )
    card = {**_card(found), "roles": guesses_to_card(guesses), **make_precision_entry(values)}
    return Dataset("", "table", frame, values, None, roles, features, card=card)


def _wanted(given: dict[str, str], asked: Asked) -> dict[str, str]:
    """Return the roles that the files decide, but for a label nobody wants from a column."""
    wanted = asked.label == "auto"
    return {role: column for role, column in given.items() if role != "label" or wanted}


def _with_patients(frame: pd.DataFrame, given: dict[str, str], asked: Asked) -> list[Guess]:
    """Return what each column is; where none tells the patients, but ids of visits do (P01_1,
    P01_2), `frame` gets a column “patient” of their beginnings.
    """
    made = patients_in_ids(frame) if WHO not in frame and not asked.group else None
    if made is not None and WHO in asked.roles:
        frame[WHO] = made[1]
    guesses = find_roles(frame, given, asked, inputs=True)
    if made is None or WHO in frame or any(g.role == "patient" for g in guesses):
        return guesses
    column, frame[WHO] = made
    many = frame[WHO].nunique()
    why = (
        f"the beginnings of the ids in “{column}”: {many:,} values, {len(frame) / many:.3g} rows"
        " each"
    )
    guesses = find_roles(frame, {**given, "group": WHO}, asked, inputs=True)
    return [replace(g, sure=0.7, why=why) if g.column == WHO else g for g in guesses]


def list_named_columns(asked: Asked) -> set[str]:
    """Columns that a person said name patients, sites, classes or parts: never read as numbers but
    where each value is one.
    """
    given = {
        c for c, role in asked.roles.items() if role in ("outcome", "patient", "site", "split")
    }
    return given | {c for c in (asked.label, asked.group, asked.domain) if c}


def _card(found: Whole) -> dict[str, Any]:
    return {
        "rules": found.rules,
        "types": _types(found.frame),
        **({"notes": [asdict(n) for n in found.notes]} if found.notes else {}),
    }


def preview_tables(
    members: list[Member], asked: Asked | None = None, inputs: bool = True
) -> dict[str, Any]:
    """First lines before import, from the first file's first bytes only: `columns`, `head` (10
    rows), `types` (what each column seems to be, by the rows looked at), `looked` (how many rows
    that were) and `whole` (whether these are all there are); `guesses` and `classes` as in
    `preview`. `inputs`: whether the columns are what is learned from.
    """
    few, label = join_unlabelled(_first_lines(members))
    joined = join_related_tables(few, torn=True)
    # of the parts of one table, one that has labels
    raw = next(r for r in joined if not label or is_train(r.name))
    found = join_columns([raw], list_named_columns(asked or Asked()))
    frame = found.frame
    given = {"label": label} if label else {}
    names = [r.name for r in joined] if len(few) > 1 else [m.name for m in members]
    given |= name_files(frame, names, [len(frame) if n == raw.name else 0 for n in names])[0]
    given = _wanted(given, asked or Asked())
    guesses = (
        _with_patients(frame, given, asked or Asked())
        if inputs
        else find_roles(frame, given, asked or Asked())
    )
    return {
        "guesses": [asdict(g) | {"words": g.in_words} for g in guesses],
        "classes": list_classes(frame),
        "columns": [str(c) for c in frame.columns],
        "head": frame.head(HEAD_ROWS),
        "types": {str(c): describe_type(frame[c]) for c in frame.columns},
        "looked": len(frame),
        "whole": all(r.whole for r in few) and len(joined) == len(members) - len(few) + 1,
        "rules": [*raw.rules, *found.rules],
    }


def _first_lines(members: list[Member]) -> list[Raw]:
    """Return the first lines of the first file; of all of a few files, where some have other
    columns.
    """
    first = read_raw_table(members[0], limits.PREVIEW)
    more = [read_raw_table(m, limits.PREVIEW) for m in members[1:] if len(members) <= RELATED]
    alike = all(set(r.columns) == set(first.columns) for r in more)
    return [first] if alike else [first, *more]


def list_classes(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the different words of each column that has two to twenty, as classes are called."""
    found = {}
    for column in frame.columns:
        if (
            2 <= frame[column].iloc[:1000].nunique() <= CATEGORIES
            and 2 <= frame[column].nunique() <= CATEGORIES
        ):
            few = pd.DataFrame({"label": frame[column].drop_duplicates()})
            found[str(column)] = Dataset("", "table", few, roles={"label": "label"}).classes
    return found


def join_sheet(table: pd.DataFrame, sheet: Member) -> pd.DataFrame | None:
    """`table` with the columns of a sheet, joined on the sheet's column that names every file (by
    its path, as much of it as both give, or its name, with or without suffix); None when there is
    no such column. UserError where it names one twice.
    """
    frame = read_frame(sheet)
    double = None
    for column in frame.columns:
        said = frame[column].astype(str).fillna("").str.replace("\\", "/").str.removeprefix("./")
        depth = min(_depth(said), _depth(table["file"]))
        ways = product(range(depth, 0, -1), (False, True))
        for short in [partial(_called, depth=d, bare=bare) for d, bare in ways]:
            use = table["file"].map(short)
            if use.nunique() < table["file"].nunique():
                continue  # names that several files have
            keys = said.map(short)
            if not set(use) <= set(keys):
                continue
            again = keys[keys.duplicated() & keys.isin(use)]
            if len(again):
                double = double or (column, again.iloc[0])
                continue
            more = (
                frame.set_index(keys)
                .loc[use.tolist()]
                .drop(columns=[column])
                .reset_index(drop=True)
            )
            return pd.concat([table, more[[c for c in more.columns if c not in table]]], axis=1)
    if double is not None:
        raise UserError(f"{sheet.name}, column “{double[0]}”: {double[1]} is there twice.")
    return None


def _depth(paths: pd.Series) -> int:
    return 1 + int(paths.str.count("/").max()) if len(paths) else 1


def _called(path: str, depth: int, bare: bool) -> str:
    """Return the last `depth` parts of a path; `bare`: without suffix."""
    parts = path.split("/")[-depth:]
    if bare:
        parts[-1] = cut_suffix(path)
    return "/".join(parts)


def _text_column(frame: pd.DataFrame, roles: dict[str, str], aside: set[str]) -> str | None:
    """Return a full column of sentences (on average over 40 characters and 5 words, mostly
    different), where there is one; not one that a person said is to be left out (`aside`).
    """
    for column in frame.columns:
        series = frame[column]
        if column in aside:
            continue
        plain = column in roles.values() or is_numeric_dtype(series) or not series.notna().all()
        if not plain and are_sentences(
            pa.chunked_array([pa.array(series.astype(str), pa.large_string())])
        ):
            return str(column)
    return None


def _types(frame: pd.DataFrame) -> dict[str, str]:
    shown = frame.columns[:200]
    types = in_threads(lambda column: describe_type(frame[column]), shown)
    return dict(zip(map(str, shown), types))
