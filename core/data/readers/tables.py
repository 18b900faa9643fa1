"""Tables: CSV (any usual separator and encoding) and Parquet, types inferred and reported; with a text column they become a text dataset.

Several files of the same columns are one table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.types import is_numeric_dtype

from core import limits
from core.data.dataset import Dataset
from core.data.readers.members import Asked, Member
from core.data.readers.types import kind, meaning, sentences, settled
from core.data.readers.words import split_up
from core.data.roles import dataset_roles, differs, no_inputs, stored
from core.data.scaling import precise
from core.errors import UserError

SUFFIXES = (".csv", ".tsv", ".tab", ".data", ".txt")
FEW = 1000  # rows of a Parquet table that are looked at before import
CATEGORIES = 20  # a text column with at most this many different words becomes one-hot features


def read(members: list[Member], asked: Asked) -> Dataset:
    """A table (numeric columns and one-hot categories) or, with a text column, a text dataset."""
    from core.data.readers import find_roles

    frame, where, rules = whole(members, asked.report)
    name = members[0].name if len(members) == 1 else f"the {len(members)} files"
    if len(frame) == 0:
        raise UserError(f"{name} has a header but no rows.")
    if len(frame) == 1:
        raise UserError(f"{name} holds 1 row; at least 2 are needed to learn anything.")
    text = None if asked.text == "none" and "none" not in frame else asked.text
    if text is not None and text not in frame:
        raise UserError(f"{name} has no column “{text}” (it has: {', '.join(map(str, frame.columns[:12]))}).")
    given = {"domain": str(frame.columns[-1])} if len(members) > 1 else {}
    guesses = find_roles(frame, given, asked, inputs=True)
    roles = given | dataset_roles(guesses)
    rules += differs(asked.looked, guesses)
    column = text or (None if asked.text == "none" else _text_column(frame, roles))
    if column is not None:
        empty = np.flatnonzero(frame[column].isna())
        if len(empty):
            raise UserError(f"{where(int(empty[0]))}, column “{column}” is empty; every row needs its text.")
        rules.append(f"text taken from column “{column}”")
        kept = [g for g in guesses if g.role not in ("input", "left out") and g.column != column]
        card = {"rules": rules, "types": _types(frame), "roles": stored(kept)}
        return Dataset("", "text", frame, None, None, {**roles, "text": column}, card=card)
    values, features = encoded(frame, roles, no_inputs(guesses))
    if not features:
        raise UserError(f"{name} has no column of numbers or categories to learn from.")
    used = {f.split("=")[0] for f in features} | set(features)
    left = [str(c) for c in frame.columns if c not in roles.values() and str(c) not in used]
    refused = next((g.column for g in guesses if g.asked and g.role == "input" and g.column in left), None)
    if refused is not None:
        many = frame[refused].nunique()
        raise UserError(f"Column “{refused}” cannot be an input: it holds {many:,} different words; at most {CATEGORIES} can be categories.")
    rules.append(f"{len(features)} input columns")
    told = [g for g in guesses if g.column in left and g.tells]
    left = [c for c in left if c not in {g.column for g in told}]
    rules += [f"“{g.column}” is left out: {g.why}" for g in told[:12]]
    if left:
        rules.append(f"left out (names, constants or free text): {', '.join(left[:8])}{' …' if len(left) > 8 else ''}")
    card = {"rules": rules, "types": _types(frame), "roles": stored(guesses)}
    return Dataset("", "table", frame, values, None, roles, features, card=card)


@dataclass(frozen=True)
class Raw:
    """A file's columns as they stand in it: words (text files) or values (Parquet), how they were cut up, and the line (Parquet: row) of a row."""

    name: str
    columns: list[str]
    table: pa.Table | pd.DataFrame
    how: str  # the separator, "no header" or "parquet"
    line: Callable[[int], int]
    rules: list[str]
    whole: bool = True

    def __len__(self) -> int:
        return len(self.table)


def whole(members: list[Member], report: Callable[[int, int], None] = lambda done, total: None) -> tuple[pd.DataFrame, Callable[[int], str], list[str]]:
    """All files as one typed table, "file, line" of a row for messages, and the rules in words.

    Several files must have the same columns (in any order); a last column says which file a row is from.
    """
    read = []
    for k, m in enumerate(members):
        read.append(_raw(m))
        report(k + 1, len(members) + 1)
    rules = [rule for r in read for rule in r.rules]
    rules += [f"{r.name}: the first line holds numbers only, so it is a row; columns are named column 1, column 2, …"
              for r in read if r.how == "no header"]  # fmt: skip
    frame, where, more = _joined(read)
    if len(members) > 1:
        column = "domain" if "domain" not in frame else "from file"
        stems = [m.stem for m in members]
        words = stems if len(set(stems)) == len(stems) else [m.name for m in members]
        frame[column] = np.repeat(np.array(words, dtype=object), [len(r) for r in read])
        rules.append(f"{len(members)} tables of the same columns read as one; “{column}” says which file a row is from")
    report(len(members) + 1, len(members) + 1)
    return frame, where, rules + more


def _joined(read: list[Raw]) -> tuple[pd.DataFrame, Callable[[int], str], list[str]]:
    """What `read` holds as one typed table, "file, line" of a row, and in words what was taken as missing and which commas were decimal."""
    usual = Counter(frozenset(r.columns) for r in read).most_common(1)[0][0]
    like = next(r for r in read if frozenset(r.columns) == usual)
    for r in read:
        if r.how == "no header" != like.how:
            raise UserError(
                f"{r.name} begins with numbers where {like.name} begins with names of columns; put those on top "
                "or leave it out."
            )
        lacks, more = ([c for c in a if c not in b] for a, b in ((like.columns, r.columns), (r.columns, like.columns)))
        if lacks or more:
            parts = [
                f"{words} {', '.join(c[:6])}{' …' if len(c) > 6 else ''}"
                for words, c in (("lacks", lacks), ("adds", more))
                if c
            ]
            raise UserError(f"{r.name} has other columns than {like.name} (it {' and '.join(parts)}); "
                            "only tables of the same columns are read together.")  # fmt: skip
    n = sum(map(len, read))
    if n > limits.ROWS:
        raise UserError(f"{read[0].name} holds {n:,} rows; at most {limits.ROWS:,} are taken.")
    ends = np.cumsum([len(r) for r in read])

    def where(i: int) -> str:
        k = int(np.searchsorted(ends, i, side="right"))
        r = read[k]
        return f"{r.name}, {'row' if r.how == 'parquet' else 'line'} {r.line(i - int(ends[k]) + len(r))}"

    comma = any(r.how == ";" for r in read)
    out: dict[str, pd.Series] = {}
    none: Counter[str] = Counter()
    points = []
    for column in like.columns:
        pieces: list[Any] = [r.table[column] for r in read]
        if isinstance(pieces[0], pd.Series):
            found = settled(column, pieces[0] if len(pieces) == 1 else pd.concat(pieces, ignore_index=True), where)
        else:
            found = meaning(column, pa.chunked_array([chunk for p in pieces for chunk in p.chunks], pa.string()), where, comma)
        out[column], none = found.values, none + found.missing
        points += [column] if found.comma else []
    rules = [f"taken as missing: {', '.join(f'“{w}” ({k:,})' for w, k in none.most_common())}"] if none else []
    if points:
        rules.append(f"a comma is a decimal point in: {', '.join(points[:8])}{' …' if len(points) > 8 else ''}")
    return pd.DataFrame(out, copy=False), where, rules


def glance(members: list[Member], asked: Asked | None = None) -> dict[str, Any]:
    """First lines before import, from the first file's first bytes only: `columns`, `head` (5 rows), `types` (what each column seems to be, by the rows
    looked at), `looked` (how many rows that were) and `whole` (whether these are all there are); `guesses` and `classes` as in `preview`."""
    from core.data.readers import find_roles

    raw = _raw(members[0], limits.PREVIEW)
    frame, _, rules = _joined([raw])
    given = {}
    if len(members) > 1:
        frame["domain" if "domain" not in frame else "from file"] = members[0].stem
        given = {"domain": str(frame.columns[-1])}
    guesses = find_roles(frame, given, asked or Asked(), inputs=True)
    return {
        "guesses": [asdict(g) | {"words": g.in_words} for g in guesses], "classes": few_words(frame),
        "columns": [str(c) for c in frame.columns], "head": frame.head(5), "types": {str(c): kind(frame[c]) for c in frame.columns}, "looked": len(frame),
        "whole": raw.whole and len(members) == 1, "rules": [*raw.rules, *rules],
    }  # fmt: skip


def few_words(frame: pd.DataFrame) -> dict[str, list[str]]:
    """The different words of each column that has two to twenty, as classes are called."""
    found = {}
    for column in frame.columns:
        if 2 <= frame[column].iloc[:1000].nunique() <= CATEGORIES and 2 <= frame[column].nunique() <= CATEGORIES:
            few = pd.DataFrame({"label": frame[column].drop_duplicates()})
            found[str(column)] = Dataset("", "table", few, roles={"label": "label"}).classes
    return found


def frame_of(member: Member) -> pd.DataFrame:
    """The table in a CSV or Parquet file, columns typed. UserError naming the line or column that is wrong."""
    return whole([member])[0]


def _raw(member: Member, most: int | None = None) -> Raw:
    """A file as it stands; of a text file only the first `most` bytes, of Parquet only the first rows, if asked."""
    if member.head[:4] != b"PAR1":
        words = split_up(member, most)
        return Raw(member.name, words.table.column_names, words.table, words.how, words.line, words.rules, words.whole)
    frame, all_there = _parquet(member, most is not None)
    named = frame.index.name is not None and frame.index.name not in frame.columns
    frame = frame.reset_index(drop=not named)
    frame.columns = [str(c) for c in frame.columns]
    for c in frame.select_dtypes("object").columns:
        there = frame[c].dropna()
        if len(there) and isinstance(there.iloc[0], (list, dict, tuple, np.ndarray, bytes)):
            raise UserError(
                f"{member.name}, column “{c}” holds {type(there.iloc[0]).__name__}s; only numbers and words are read."
            )
    return Raw(member.name, list(frame.columns), frame, "parquet", lambda i: i, [], all_there)


def _parquet(member: Member, few: bool) -> tuple[pd.DataFrame, bool]:
    """The table (its first thousand rows: `few`) and whether that is all of it. UserError for what is no whole Parquet file, and for too many rows."""
    try:
        source = pq.ParquetFile(pa.BufferReader(member.load()))
        rows, width = source.metadata.num_rows, source.metadata.num_columns
        if rows > limits.ROWS:
            raise UserError(f"{member.name} holds {rows:,} rows; at most {limits.ROWS:,} are taken.")
        if width > limits.COLUMNS:
            raise UserError(f"{member.name} has {width:,} columns; at most {limits.COLUMNS:,} are taken.")
        if few and rows > FEW:
            batch = next(source.iter_batches(FEW))
            return pa.Table.from_batches([batch]).to_pandas(), False
        return source.read().to_pandas(split_blocks=True, self_destruct=True), True
    except UserError:
        raise
    except Exception as e:
        raise UserError(f"{member.name} cannot be read as Parquet ({type(e).__name__}); it may be cut off.") from None


def encoded(
    frame: pd.DataFrame, roles: dict[str, str], left_out: Collection[str] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Inputs [n,d] and their names: numbers as they are, categories as "column=word"; roles, constants, names and the
    columns named in `left_out` left out.

    float32, or float64 when a column of numbers needs it (see `core.data.scaling.precise`).
    """
    parts: list[tuple[str, Callable[[], np.ndarray]]] = []  # names, and what makes each: all columns never stand beside one another twice
    of: list[str] = []  # the column each is of, "" for categories
    for column in frame.columns:
        if column in roles.values() or column in left_out:
            continue
        numeric = is_numeric_dtype(frame[column])
        more = _numbers(column, frame[column]) if numeric else _categories(column, frame[column])
        parts += more
        of += [str(column) if numeric else ""] * len(more)
    double = any(name == column and precise(make()) for (name, make), column in zip(parts, of))
    out = np.empty((len(frame), len(parts)), np.float64 if double else np.float32)
    for j, (_, make) in enumerate(parts):
        out[:, j] = make()
    return out, tuple(name for name, _ in parts)


def _numbers(column: str, series: pd.Series) -> list[tuple[str, Callable[[], np.ndarray]]]:
    values = series.to_numpy(np.float64, na_value=np.nan)
    there = values[~np.isnan(values)]
    if not len(there) or there.min() == there.max():
        return []
    named = str(column).lower() in ("id", "index", "row", "number") or str(column).lower().endswith("_id")
    if named and len(there) == len(values) > 20 and bool((values == values.round()).all()) and series.nunique() == len(values):
        return []
    return [(str(column), lambda: series.to_numpy(np.float64, na_value=np.nan))]


def _categories(column: str, series: pd.Series) -> list[tuple[str, Callable[[], np.ndarray]]]:
    codes, words = pd.factorize(series)
    if not 2 <= len(words) <= CATEGORIES:
        return []
    names = [str(w) for w in words]
    return [
        (f"{column}={word}", lambda k=k: np.where(codes < 0, np.nan, codes == k))  # type: ignore[misc]
        for word, k in sorted(zip(names, range(len(names))))
    ]


def beside(table: pd.DataFrame, sheet: Member) -> pd.DataFrame | None:
    """`table` with the columns of a sheet, joined on the sheet's column that names every file; None when there is
    no such column."""
    frame = frame_of(sheet)
    names = [PurePosixPath(f).name for f in table["file"]]
    stems = [n[:-7] if n.lower().endswith(".nii.gz") else PurePosixPath(n).stem for n in names]
    for column in frame.columns:
        keys = frame[column].astype(str).map(lambda v: PurePosixPath(str(v)).name)
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
        plain = column in roles.values() or is_numeric_dtype(series) or not series.notna().all()
        if not plain and sentences(pa.chunked_array([pa.array(series.astype(str), pa.large_string())])):
            return str(column)
    return None


def _types(frame: pd.DataFrame) -> dict[str, str]:
    return {str(c): kind(frame[c]) for c in frame.columns[:200]}
