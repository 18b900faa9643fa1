"""Tables: CSV (any usual separator and encoding) and Parquet, types inferred and reported; with a text column they
become
a text dataset. Several files of the same columns are one table."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers.members import Asked, Member
from core.data.readers.words import split_up, typed
from core.errors import UserError

SUFFIXES = (".csv", ".tsv", ".tab", ".data", ".txt")
CATEGORIES = 20  # a text column with at most this many different words becomes one-hot features


def read(members: list[Member], asked: Asked) -> Dataset:
    """A table (numeric columns and one-hot categories) or, with a text column, a text dataset."""
    from core.data.readers import find_roles

    frame, where, rules = whole(members)
    name = members[0].name if len(members) == 1 else f"the {len(members)} files"
    if len(frame) == 0:
        raise UserError(f"{name} has a header but no rows.")
    if len(frame) == 1:
        raise UserError(f"{name} holds 1 row; at least 2 are needed to learn anything.")
    text = None if asked.text == "none" and "none" not in frame else asked.text
    if text is not None and text not in frame:
        raise UserError(f"{name} has no column “{text}” (it has: {', '.join(map(str, frame.columns[:12]))}).")
    given = {"domain": str(frame.columns[-1])} if len(members) > 1 else {}
    roles = find_roles(frame, given, asked)
    column = text or (None if asked.text == "none" else _text_column(frame, roles))
    if column is not None:
        empty = np.flatnonzero(frame[column].isna())
        if len(empty):
            raise UserError(f"{where(int(empty[0]))}, column “{column}” is empty; every row needs its text.")
        rules.append(f"text taken from column “{column}”")
        return Dataset("", "text", frame, None, None, {**given, "text": column}, card={"rules": rules})
    values, features = encoded(frame, roles)
    if not features:
        raise UserError(f"{name} has no column of numbers or categories to learn from.")
    used = {f.split("=")[0] for f in features} | set(features)
    left = [str(c) for c in frame.columns if c not in roles.values() and str(c) not in used]
    rules.append(f"{len(features)} input columns")
    if left:
        rules.append(f"left out (names, constants or free text): {', '.join(left[:8])}{' …' if len(left) > 8 else ''}")
    return Dataset("", "table", frame, values, None, given, features, card={"rules": rules, "types": _types(frame)})


def whole(members: list[Member]) -> tuple[pd.DataFrame, Callable[[int], str], list[str]]:
    """All files as one typed table, "file, line" of a row for messages, and the rules in words.

    Several files must have the same columns (in any order); a last column says which file a row is from.
    """
    read = [(m, *_columns(m)) for m in members]
    usual = Counter(frozenset(f.columns) for _, f, _ in read).most_common(1)[0][0]
    like, frame, how = next(r for r in read if frozenset(r[1].columns) == usual)
    first = list(frame.columns)
    for m, other, its in read:
        if its == "no header" != how:
            raise UserError(
                f"{m.name} begins with numbers where {like.name} begins with names of columns; put those on top "
                "or leave it out."
            )
        lacks, more = ([c for c in a if c not in b] for a, b in ((first, other.columns), (other.columns, first)))
        if lacks or more:
            parts = [
                f"{words} {', '.join(c[:6])}{' …' if len(c) > 6 else ''}"
                for words, c in (("lacks", lacks), ("adds", more))
                if c
            ]
            raise UserError(f"{m.name} has other columns than {like.name} (it {' and '.join(parts)}); "
                            "only tables of the same columns are read together.")  # fmt: skip
    lines = [(m.name, line) for m, frame, _ in read for line in frame.index]

    def where(i: int) -> str:
        name, line = lines[i]
        return f"{name}, {'row' if at_rows[name] else 'line'} {line}"

    at_rows = {m.name: m.head[:4] == b"PAR1" for m in members}
    frame = pd.concat([f[first] for _, f, _ in read], ignore_index=True)
    if len(frame) > limits.ROWS:
        raise UserError(f"{members[0].name} holds {len(frame):,} rows; at most {limits.ROWS:,} are taken.")
    frame = typed(frame, where, any(how == ";" for _, _, how in read))
    rules = [f"{m.name}: the first line holds numbers only, so it is a row; columns are named column 1, column 2, …"
             for m, _, how in read if how == "no header"]  # fmt: skip
    if len(members) > 1:
        column = "domain" if "domain" not in frame else "from file"
        stems = [m.stem for m in members]
        words = stems if len(set(stems)) == len(stems) else [m.name for m in members]
        frame[column] = np.repeat(np.array(words, dtype=object), [len(f) for _, f, _ in read])
        rules.append(f"{len(members)} tables of the same columns read as one; “{column}” says which file a row is from")
    return frame, where, rules


def frame_of(member: Member) -> pd.DataFrame:
    """The table in a CSV or Parquet file, columns typed. UserError naming the line or column that is wrong."""
    return whole([member])[0]


def _columns(member: Member) -> tuple[pd.DataFrame, str]:
    """Columns as they stand in the file, indexed by line (Parquet: row), and how: the separator, "no header" or
    "parquet"."""
    data = member.load()
    if data[:4] != b"PAR1":
        return split_up(data, member.name)
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except Exception as e:
        raise UserError(f"{member.name} cannot be read as Parquet ({type(e).__name__}); it may be cut off.") from None
    named = frame.index.name is not None and frame.index.name not in frame.columns
    frame = frame.reset_index(drop=not named)
    frame.columns = [str(c) for c in frame.columns]
    for c in frame.select_dtypes("object").columns:
        there = frame[c].dropna()
        if len(there) and isinstance(there.iloc[0], (list, dict, tuple, np.ndarray, bytes)):
            raise UserError(
                f"{member.name}, column “{c}” holds {type(there.iloc[0]).__name__}s; only numbers and words are read."
            )
    return frame, "parquet"


def encoded(frame: pd.DataFrame, roles: dict[str, str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """float32 [n,d] inputs and their names: numbers as they are, categories as "column=word"; roles, constants and
    names left out."""
    parts, names = [], []
    for column in frame.columns:
        if column in roles.values():
            continue
        series = frame[column]
        if pd.api.types.is_numeric_dtype(series):
            values = series.to_numpy(np.float64, na_value=np.nan)
            different = series.nunique()
            integers = different == len(series) > 20 and bool((values == values.round()).all())
            named = str(column).lower() in ("id", "index", "row", "number") or str(column).lower().endswith("_id")
            if different <= 1 or (integers and named):
                continue
            parts.append(values.astype(np.float32)[:, None])
            names.append(str(column))
        elif 2 <= series.nunique() <= CATEGORIES:
            for word in sorted(series.dropna().astype(str).unique()):
                parts.append(np.where(series.isna(), np.nan, series.astype(str) == word).astype(np.float32)[:, None])
                names.append(f"{column}={word}")
    return (np.concatenate(parts, 1) if parts else np.zeros((len(frame), 0), np.float32)), tuple(names)


def beside(table: pd.DataFrame, sheet: Member) -> pd.DataFrame | None:
    """`table` with the columns of a sheet, joined on the sheet's column that names every file; None when there is
    no such column."""
    frame = frame_of(sheet)
    names = [PurePosixPath(f).name for f in table["file"]]
    stems = [n[:-7] if n.lower().endswith(".nii.gz") else PurePosixPath(n).stem for n in names]
    for column in frame.columns:
        keys = frame[column].astype(str).map(lambda v: PurePosixPath(v).name)
        use = next((u for u in (names, stems) if set(u) <= set(keys)), None)
        if use is not None:
            double = keys[keys.duplicated() & keys.isin(use)]
            if len(double):
                raise UserError(f"{sheet.name}, column “{column}”: {double.iloc[0]} is there twice.")
            more = frame.set_index(keys).loc[use].drop(columns=[column]).reset_index(drop=True)
            return pd.concat([table, more[[c for c in more.columns if c not in table]]], axis=1)
    return None


def _text_column(frame: pd.DataFrame, roles: dict[str, str]) -> str | None:
    """A full column of sentences (on average over 40 characters and 5 words, mostly different), where there is one."""
    for column in frame.columns:
        series = frame[column]
        if column not in roles.values() and not pd.api.types.is_numeric_dtype(series) and series.notna().all():
            words = series.astype(str)
            if words.str.len().mean() > 40 and words.str.count(" ").mean() > 4 and words.nunique() > len(words) / 2:
                return str(column)
    return None


def _types(frame: pd.DataFrame) -> dict[str, str]:
    numeric = pd.api.types.is_numeric_dtype
    return {
        str(c): "numbers" if numeric(frame[c]) else f"words ({frame[c].nunique()} different)"
        for c in frame.columns[:200]
    }
