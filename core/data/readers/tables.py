"""Tables: CSV (any usual separator and encoding) and Parquet, types inferred and reported; with a text column they become
a text dataset. Several files of the same columns are one table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers.members import Asked, Member
from core.errors import UserError

SUFFIXES = (".csv", ".tsv", ".tab", ".data", ".txt")
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "None"]
CATEGORIES = 20  # a text column with at most this many different words becomes one-hot features
THOUSANDS = r"[-+]?[1-9]\d{0,2}(,\d{3})+"
LARGEST = float(np.finfo(np.float32).max)


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
    first = list(read[0][1].columns)
    for m, frame, _ in read[1:]:
        lacks, more = ([c for c in a if c not in b] for a, b in ((first, frame.columns), (frame.columns, first)))
        if lacks or more:
            parts = [f"{words} {', '.join(c[:6])}{' …' if len(c) > 6 else ''}" for words, c in (("lacks", lacks), ("adds", more)) if c]
            raise UserError(f"{m.name} has other columns than {read[0][0].name} (it {' and '.join(parts)}); "
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
    """Columns as they stand in the file, indexed by line (Parquet: row), and how: the separator, "no header" or "parquet"."""
    data = member.load()
    if data[:4] != b"PAR1":
        return _words(_decoded(data, member.name), member.name)
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except Exception as e:
        raise UserError(f"{member.name} cannot be read as Parquet ({type(e).__name__}); it may be cut off.") from None
    named = frame.index.name is not None and frame.index.name not in frame.columns
    frame = frame.reset_index(drop=not named)
    frame.columns = [str(c) for c in frame.columns]
    for c in frame.columns[frame.dtypes == object]:
        there = frame[c].dropna()
        if len(there) and isinstance(there.iloc[0], (list, dict, tuple, np.ndarray, bytes)):
            raise UserError(f"{member.name}, column “{c}” holds {type(there.iloc[0]).__name__}s; only numbers and words are read.")
    return frame, "parquet"


def _decoded(data: bytes, name: str) -> str:
    for encoding in ["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "latin-1"]:
        try:
            words = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise UserError(f"{name} is no text file that can be read.")
    if "\0" in words:
        raise UserError(f"{name} holds binary zeros; it is no text table.")
    return words


def _records(content: str, separator: str, name: str, most: int | None = None) -> list[tuple[int, list[str]]]:
    """(line, values) of each record that is not blank, at most `most` of them."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, skipinitialspace=separator == " ")
    out: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for record in reader:
            if any(map(str.strip, record)):
                out.append((line, record[:-1] if separator == " " and record[-1] == "" else record))
                if len(out) == most:
                    break
            line = reader.line_num + 1
    except csv.Error as e:
        raise UserError(f"{name}, line {line} cannot be read as a row of a table ({e}).") from None
    return out


def _separator(content: str, name: str) -> str:
    """The separator that cuts the first lines into most columns, the same number in each; else the first line's most frequent one."""
    first, start = content.lstrip().splitlines()[0], content[: 1 << 16]
    even = {}
    for mark in ",;\t|":
        widths = {len(r) for _, r in _records(start, mark, name, 20)} if mark in first else {1}
        even[mark] = widths.pop() if len(widths) == 1 else 1
    if max(even.values()) > 1:
        return max(even, key=lambda m: even[m])
    if not any(mark in first for mark in even):
        spaced = [r for _, r in _records(start, " ", name, 20)]
        if len({len(r) for r in spaced}) == 1 and len(spaced[0]) > 1 and any(map(_number, spaced[-1])):
            return " "
    return max(",;\t|", key=first.count)


def _words(content: str, name: str) -> tuple[pd.DataFrame, str]:
    if not content.strip():
        raise UserError(f"{name} is empty.")
    separator = _separator(content, name)
    lines = _records(content, separator, name)
    header = [c.strip() for c in lines[0][1]]
    if len(header) > limits.COLUMNS:
        raise UserError(f"{name} has {len(header):,} columns; at most {limits.COLUMNS:,} are taken.")
    bare = _no_header(header)
    rows = lines if bare else lines[1:]
    wrong = next(((i, len(r)) for i, r in rows if len(r) != len(header)), None)
    if wrong is not None:
        raise UserError(f"{name}, line {wrong[0]} has {wrong[1]} value{'s' * (wrong[1] != 1)} where the first line has {len(header)}; mend that line.")
    double = None if bare else next((c for c in header if c and header.count(c) > 1), None)
    if double is not None and _number(double):
        raise UserError(f"{name}, line 1 says “{double}” twice where names of columns are expected; put a line of names on top.")
    if double is not None:
        raise UserError(f"{name} has two columns called “{double}”; rename one.")
    names = [(not bare and c) or f"column {j + 1}" for j, c in enumerate(header)]
    frame = pd.DataFrame([r for _, r in rows], columns=names, index=[i for i, _ in rows], dtype=object)
    return frame, "no header" if bare else separator


def _number(word: str) -> bool:
    try:
        return np.isfinite(float(word.strip().replace(",", ".")))
    except ValueError:
        return False


def _no_header(first: list[str]) -> bool:
    """The first line holds numbers only, and they do not count up by one as made-up column names do."""
    there = [w for w in first if w not in MISSING]
    if not there or not all(map(_number, there)):
        return False
    counted = all(re.fullmatch(r"\d+", w) for w in there) and all(int(b) - int(a) == 1 for a, b in zip(there, there[1:]))
    return not (counted and (len(there) > 1 or there == ["0"]))


def typed(words: pd.DataFrame, where: Callable[[int], str], comma: bool = False) -> pd.DataFrame:
    """Columns whose every value is a number become numbers; codes with leading zeros stay words.

    `comma`: a comma is a decimal point. UserError names line and column of infinite values, and of “1,234” where it could be either.
    """
    out: dict[str, Any] = {}
    for column in words.columns:
        values = words[column]
        if values.dtype == object and values.map(lambda v: isinstance(v, str) or v is None).all():
            values = values.str.strip()
            missing = values.isin(MISSING) | values.isna()
            there = values[~missing]
            if len(there) and there.str.fullmatch(r"'[^']*'").all():
                there = values[~missing] = there.str[1:-1]
            numbers = pd.to_numeric(there, errors="coerce")
            if numbers.isna().any():
                point = pd.to_numeric(there.str.replace(",", ".", regex=False), errors="coerce")
                thousand = pd.to_numeric(there.str.replace(",", "", regex=False), errors="coerce")
                odd = there[there.str.contains(",", regex=False)]
                if not comma and len(odd) and thousand.notna().all() and odd.str.fullmatch(THOUSANDS).all():
                    raise UserError(f"{where(int(odd.index[0]))}, column “{column}”: “{odd.iloc[0]}” may have a decimal comma or a "
                                    "mark for thousands; write numbers with a point and without marks.")  # fmt: skip
                numbers = point if point.notna().all() else numbers
            codes = bool((there.str.len() > 1).any() and there.str.match(r"^0\d").any())
            if not len(there) or numbers.isna().any() or codes:
                out[column] = values.mask(missing, None)
                continue
            values = numbers.reindex(words.index)
        out[column] = values
        if pd.api.types.is_float_dtype(values):
            beyond = np.flatnonzero(np.abs(values.to_numpy(float, na_value=np.nan)) > LARGEST)
            if len(beyond):
                i = int(beyond[0])
                raise UserError(f"{where(i)}, column “{column}”: “{words[column].iloc[i]}” is not a finite number.")
    return pd.DataFrame(out)


def encoded(frame: pd.DataFrame, roles: dict[str, str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """float32 [n,d] inputs and their names: numbers as they are, categories as "column=word"; roles, constants and names left out."""
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
    """`table` with the columns of a sheet, joined on the sheet's column that names every file; None when there is no such column."""
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
            more = frame.set_index(keys)[lambda f: f.index.isin(use)].loc[use].drop(columns=[column]).reset_index(drop=True)
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
    return {str(c): "numbers" if numeric(frame[c]) else f"words ({frame[c].nunique()} different)" for c in frame.columns[:200]}
