"""Words of a column as what they mean: numbers, where every one of them is a number; and what to call each kind of column on screen.

The quick way casts whole columns by pyarrow; a column where that fails is looked at word by word, each different word once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import infer_dtype, is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

from core.data.readers.words import LARGEST, MISSING, stripped
from core.errors import UserError

THOUSANDS = r"[-+]?[1-9]\d{0,2}(,\d{3})+"
SOME = 1000  # different words that tell a column of words before all are looked at
DATE = (
    r"\A(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4})"
    r"([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[-+]\d{2}:?\d{2})?)?\z"
)
Where = Callable[[int], str]  # "file, line 12" of a row, for messages


@dataclass(frozen=True)
class Meaning:
    """A column's values; the words that were taken as missing and how often each (blank cells not counted); whether its commas were decimal points."""

    values: pd.Series
    missing: Counter[str]
    comma: bool = False


def meaning(column: str, words: pa.ChunkedArray, where: Where, comma: bool = False) -> Meaning:
    """What the words of a column mean.

    Numbers are int64, or float64 with NaN; codes with leading zeros stay words. `comma`: a comma is a decimal point. UserError names line and column of
    values that are not finite, and of “1,234” where it could be either.
    """
    words = stripped(words)
    missing = pc.is_in(words, value_set=pa.array(MISSING))
    none: Counter[str] = Counter()
    if pc.any(missing).as_py():
        counts = pc.value_counts(words.filter(missing))
        none.update({v["values"]: v["counts"] for v in counts.to_pylist() if v["values"]})
        words = pc.if_else(missing, pa.scalar(None, pa.string()), words)
    if words.null_count == len(words):
        return Meaning(_plain(words), none)
    words = _unquoted(words)
    numbers, points = _cast(words), False
    if numbers is None:
        numbers, points = _looked_up(column, words, where, comma)
    elif _any(words, r"\A0[0-9]|\A-?0[xX]"):  # a code; pyarrow takes 0x1F for a number
        numbers = None
    if numbers is None:
        return Meaning(_plain(words), none)
    beyond = _beyond(numbers)
    if beyond is not None:
        raise UserError(f"{where(beyond)}, column “{column}”: “{words[beyond].as_py()}” is not a finite number.")
    return Meaning(numbers, none, points)


def settled(column: str, values: pd.Series, where: Where) -> Meaning:
    """A column that came with a type; only words held as plain objects are looked at for what they mean."""
    if values.dtype == object and infer_dtype(values, skipna=True) in ("string", "empty"):
        there = values.notna()
        words = pa.chunked_array([pa.array(values.where(there, ""), pa.string())])
        return meaning(column, words, where)
    beyond = _beyond(values) if pd.api.types.is_float_dtype(values) else None
    if beyond is not None:
        raise UserError(f"{where(beyond)}, column “{column}”: “{values.iloc[beyond]}” is not a finite number.")
    return Meaning(values, Counter())


def kind(values: pd.Series) -> str:
    """What to call a column on screen: numbers, yes/no, dates, text, words (5 different), or empty."""
    if values.isna().all():
        return "empty"
    if is_bool_dtype(values):
        return "yes/no"
    if is_numeric_dtype(values):
        return "numbers"
    if is_datetime64_any_dtype(values):
        return "dates"
    words = pa.chunked_array([pa.array(values.dropna().astype(str), pa.large_string())])
    if pc.all(pc.match_substring_regex(words, DATE)).as_py():
        return "dates"
    if sentences(words):
        return "text"
    return f"words ({pc.count_distinct(words).as_py():,} different)"


def sentences(words: pa.ChunkedArray) -> bool:
    """On average over 40 letters and 5 words, and mostly different."""
    return (
        pc.mean(pc.utf8_length(words)).as_py() > 40
        and pc.mean(pc.count_substring(words, " ")).as_py() > 4
        and pc.count_distinct(words).as_py() > len(words) / 2
    )


def _plain(words: pa.ChunkedArray) -> pd.Series:
    """As pandas' words, in one piece: pandas goes through many small pieces one value at a time."""
    return pa.chunked_array([words.cast(pa.large_string()).combine_chunks()]).to_pandas()


def _unquoted(words: pa.ChunkedArray) -> pa.ChunkedArray:
    """'7' without its marks, where every word has them."""
    first = words[pc.index(pc.is_valid(words), True).as_py()].as_py()
    if first[0] != "'" or not pc.all(pc.match_substring_regex(words, r"\A'[^']*'\z")).as_py():
        return words
    return pc.utf8_slice_codeunits(words, 1, -1)


def _any(words: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(words, pattern)).as_py())


def _cast(words: pa.ChunkedArray) -> pd.Series | None:
    """As numbers, or None when a word is none (or is one that pyarrow reads otherwise, such as +5)."""
    for to in (pa.int64(), pa.uint64(), pa.float64()):
        try:
            numbers = pc.cast(words, to)
        except pa.ArrowInvalid:
            continue
        if to == pa.float64() and (pc.any(pc.is_nan(numbers)).as_py() or pc.any(pc.starts_with(words, "+")).as_py()):
            return None
        return numbers.to_pandas()
    return None


def _looked_up(column: str, words: pa.ChunkedArray, where: Where, comma: bool) -> tuple[pd.Series | None, bool]:
    """As numbers with a plus, a decimal comma and the like (None for words), and whether commas were decimal. Each different word is looked at once."""
    coded = words.combine_chunks().dictionary_encode() if len(words.chunks) else pa.array([], pa.string()).dictionary_encode()
    different = pd.Series(coded.dictionary.to_pandas().to_numpy(dtype=object), dtype=object)
    if (_read(different[:SOME]) == "words") or _read(different) == "words":
        return None, False
    points = False
    numbers = pd.to_numeric(different, errors="coerce")
    if numbers.isna().any():
        point = pd.to_numeric(different.str.replace(",", ".", regex=False), errors="coerce")
        thousand = pd.to_numeric(different.str.replace(",", "", regex=False), errors="coerce")
        odd = different[different.str.contains(",", regex=False)]
        if not comma and len(odd) and thousand.notna().all() and odd.str.fullmatch(THOUSANDS).all():
            at = pc.index(words, odd.iloc[0]).as_py()
            raise UserError(
                f"{where(at)}, column “{column}”: “{odd.iloc[0]}” may have a decimal comma or "
                "a mark for thousands; write numbers with a point and without marks."
            )
        points = bool(point.notna().all())
        numbers = point if points else numbers
    if numbers.isna().any() or any(w[0] == "0" and w[1:2].isdigit() for w in different if w):
        return None, False
    codes = coded.indices.to_numpy(zero_copy_only=False)  # float with NaN where a word is missing
    if coded.null_count:
        values = numbers.to_numpy(float)
        return pd.Series(np.where(np.isnan(codes), np.nan, values[np.nan_to_num(codes).astype(np.int64)])), points
    return pd.Series(numbers.to_numpy()[codes]), points


def _read(different: pd.Series) -> str:
    """ "words" when one of these is no number however its commas are read."""
    plain = pd.to_numeric(different, errors="coerce")
    left = different[plain.isna()]
    for mark in (".", ""):
        left = left[pd.to_numeric(left.str.replace(",", mark, regex=False), errors="coerce").isna()]
    return "words" if len(left) else "numbers"


def _beyond(numbers: pd.Series) -> int | None:
    """Where the first value stands that float32 cannot hold."""
    if not pd.api.types.is_float_dtype(numbers):
        return None
    values = numbers.to_numpy(float, na_value=np.nan)
    with np.errstate(invalid="ignore"):
        over = np.abs(values) > LARGEST
    return int(over.argmax()) if over.any() else None
