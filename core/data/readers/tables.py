"""Tables: CSV (any usual separator and encoding) and Parquet, types inferred and reported; with a text column they become a text dataset."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers.members import Member
from core.errors import UserError

MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "None"]
CATEGORIES = 20  # a text column with at most this many different words becomes one-hot features


def read(members: list[Member], label: str, text: str | None, masks: Path | None) -> Dataset:
    """A table (numeric columns and one-hot categories) or, with a text column, a text dataset."""
    frame = frame_of(members[0])
    name = members[0].name
    if len(frame) == 0:
        raise UserError(f"{name} has a header but no rows.")
    if len(frame) == 1:
        raise UserError(f"{name} holds 1 row; at least 2 are needed to learn anything.")
    if text is not None and text not in frame:
        raise UserError(f"{name} has no column “{text}” (it has: {', '.join(map(str, frame.columns[:12]))}).")
    column = text or _text_column(frame, label)
    if column is not None:
        if frame[column].isna().any():
            raise UserError(f"{name}, column “{column}”: line {int(np.flatnonzero(frame[column].isna())[0]) + 2} is empty; every row needs its text.")
        return Dataset("", "text", frame, None, None, {"text": column}, card={"rules": [f"text taken from column “{column}”"]})
    from core.data.readers import _roles

    roles = _roles(frame, {}, label, None, None)
    values, features = encoded(frame, roles)
    if not features:
        raise UserError(f"{name} has no column of numbers or categories to learn from.")
    left = [str(c) for c in frame.columns if c not in roles.values() and not any(f == str(c) or f.startswith(f"{c}=") for f in features)]
    rules = [f"{len(features)} input columns"] + ([f"left out (names, constants or free text): {', '.join(left[:8])}"] if left else [])
    return Dataset("", "table", frame, values, None, {}, features, card={"rules": rules, "types": _types(frame)})


def frame_of(member: Member) -> pd.DataFrame:
    """The table in a CSV or Parquet file, columns typed. UserError naming the line or column that is wrong."""
    data = member.load()
    if data[:4] == b"PAR1":
        try:
            frame = pd.read_parquet(io.BytesIO(data))
        except Exception as e:
            raise UserError(f"{member.name} cannot be read as Parquet ({type(e).__name__}); it may be cut off.") from None
        frame = frame.reset_index(drop=True)
        frame.columns = [str(c) for c in frame.columns]
        return frame
    return typed(_words(_decoded(data, member.name), member.name), member.name)


def _decoded(data: bytes, name: str) -> str:
    for encoding in (["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "latin-1"]):
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


def _words(content: str, name: str) -> pd.DataFrame:
    if not content.strip():
        raise UserError(f"{name} is empty.")
    first = content.splitlines()[0]
    separator = max(",;\t|", key=first.count)
    try:
        lines = [line for line in csv.reader(io.StringIO(content), delimiter=separator) if line]
    except csv.Error as e:
        raise UserError(f"{name} cannot be read as a table ({e}).") from None
    header = [c.strip() for c in lines[0]]
    if len(header) > limits.COLUMNS:
        raise UserError(f"{name} has {len(header):,} columns; at most {limits.COLUMNS:,} are taken.")
    for i, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            raise UserError(f"{name}, line {i} has {len(line)} values where the header has {len(header)}; mend that line.")
    double = next((c for c in header if c and header.count(c) > 1), None)
    if double is not None:
        raise UserError(f"{name} has two columns called “{double}”; rename one.")
    header = [c or f"column {j + 1}" for j, c in enumerate(header)]
    return pd.DataFrame(lines[1:], columns=header, dtype=object)


def typed(words: pd.DataFrame, name: str) -> pd.DataFrame:
    """Columns whose every value is a number become numbers; codes with leading zeros stay words; infinite values raise UserError."""
    out: dict[str, Any] = {}
    for column in words.columns:
        values = words[column].str.strip()
        missing = values.isin(MISSING)
        there = values[~missing]
        numbers = pd.to_numeric(there, errors="coerce")
        if len(there) and numbers.isna().mean() < 1 and numbers.isna().any():
            with_point = pd.to_numeric(there.str.replace(",", ".", regex=False), errors="coerce")
            numbers = with_point if with_point.notna().all() else numbers
        codes = bool((there.str.len() > 1).any() and there.str.match(r"^0\d").any())
        if len(there) and numbers.notna().all() and not codes:
            if np.isinf(numbers).any():
                line = int(numbers.index[np.isinf(numbers)][0]) + 2
                raise UserError(f"{name}, line {line}, column “{column}”: “{values[line - 2]}” is not a finite number.")
            out[column] = numbers.reindex(words.index)
        else:
            out[column] = values.mask(missing, None)
    return pd.DataFrame(out)


def encoded(frame: pd.DataFrame, roles: dict[str, str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """float32 [n,d] inputs and their names: numbers as they are, categories as "column=word"; roles, constants and names left out."""
    parts, names = [], []
    for column in frame.columns:
        if column in roles.values():
            continue
        series = frame[column]
        if pd.api.types.is_numeric_dtype(series):
            integers = series.notna().all() and (series == series.round()).all() and series.nunique() == len(series) and len(series) > 20
            named = str(column).lower() in ("id", "index", "row", "number") or str(column).lower().endswith("_id")
            if series.nunique() <= 1 or (integers and named):
                continue
            parts.append(series.to_numpy(np.float32)[:, None])
            names.append(str(column))
        elif 2 <= series.nunique() <= CATEGORIES:
            for word in sorted(series.dropna().astype(str).unique()):
                parts.append(np.where(series.isna(), np.nan, series.astype(str) == word).astype(np.float32)[:, None])
                names.append(f"{column}={word}")
    return (np.concatenate(parts, 1) if parts else np.zeros((len(frame), 0), np.float32)), tuple(names)


def _text_column(frame: pd.DataFrame, label: str) -> str | None:
    """A column of sentences (on average over 40 characters, mostly different), where there is one."""
    for column in frame.columns:
        series = frame[column]
        if column != label and not pd.api.types.is_numeric_dtype(series):
            words = series.dropna().astype(str)
            if len(words) and words.str.len().mean() > 40 and words.nunique() > len(words) / 2:
                return str(column)
    return None


def _types(frame: pd.DataFrame) -> dict[str, str]:
    return {str(c): "numbers" if pd.api.types.is_numeric_dtype(frame[c]) else f"words ({frame[c].nunique()} different)" for c in frame.columns[:200]}
