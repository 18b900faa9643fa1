"""Text tables as words: encoding, separator, header and lines; and which columns of words are numbers."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

from core import limits
from core.errors import UserError

MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "None"]
THOUSANDS = r"[-+]?[1-9]\d{0,2}(,\d{3})+"
LARGEST = float(np.finfo(np.float32).max)


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
    """The separator that cuts the first lines into most columns, the same number in each; else the first line's
    most frequent one."""
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


def split_up(data: bytes, name: str) -> tuple[pd.DataFrame, str]:
    """The words of a text table, indexed by line, and its separator, or "no header" when the first line is a row
    already."""
    content = _decoded(data, name)
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
        raise UserError(
            f"{name}, line {wrong[0]} has {wrong[1]} value{'s' * (wrong[1] != 1)} where the first line has "
            f"{len(header)}; mend that line."
        )
    double = None if bare else next((c for c in header if c and header.count(c) > 1), None)
    if double is not None and _number(double):
        raise UserError(
            f"{name}, line 1 says “{double}” twice where names of columns are expected; put a line of names on top."
        )
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
    counted = all(re.fullmatch(r"\d+", w) for w in there) and all(int(b) - int(a) == 1 for a, b in pairwise(there))
    return not (counted and (len(there) > 1 or there == ["0"]))


def typed(words: pd.DataFrame, where: Callable[[int], str], comma: bool = False) -> pd.DataFrame:
    """Columns whose every value is a number become numbers; codes with leading zeros stay words.

    `comma`: a comma is a decimal point. UserError names line and column of infinite values, and of “1,234” where it
    could be either.
    """
    out: dict[str, Any] = {}
    for column in words.columns:
        values = words[column]
        if values.dtype == object and infer_dtype(values, skipna=True) in ("string", "empty"):
            values = pd.Series([v.strip() if isinstance(v, str) else None for v in values], values.index, dtype=object)
            missing = values.isin(MISSING) | values.isna()
            there = values[~missing]
            if len(there) and there.iloc[0][0] == "'" and there.str.fullmatch(r"'[^']*'").all():
                there = values[~missing] = there.str[1:-1]
            numbers = pd.to_numeric(there, errors="coerce")
            if numbers.isna().any():
                point = pd.to_numeric(there.str.replace(",", ".", regex=False), errors="coerce")
                thousand = pd.to_numeric(there.str.replace(",", "", regex=False), errors="coerce")
                odd = there[there.str.contains(",", regex=False)]
                if not comma and len(odd) and thousand.notna().all() and odd.str.fullmatch(THOUSANDS).all():
                    raise UserError(
                        f"{where(int(odd.index[0]))}, column “{column}”: “{odd.iloc[0]}” may have a decimal comma or "
                        "a mark for thousands; write numbers with a point and without marks."
                    )
                numbers = point if point.notna().all() else numbers
            codes = any(w[0] == "0" and w[1:2].isdigit() for w in there if w)
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
