"""Words of a column as what they mean: numbers, dates, or words; and what to call each kind of
column on screen.

Columns are looked at first, each by itself (`inspect_column`), then understood (`infer_meaning`),
since what 4.100 means may be told by the columns beside it. The quick way casts whole columns by
pyarrow; where that fails each different word is looked at once (`number_words`). Names of patients
and labels stay as they were written unless every one of them is a number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

from core.data.column_facts import DATE, find_ends
from core.data.number_words import (
    KEPT_ROWS,
    Marks,
    Note,
    Written,
    notes_of,
    numbers,
    written,
)
from core.data.readers.csv_text import LARGEST, strip_words
from core.data.readers.missing_words import ALWAYS, AMONG_NUMBERS, PERHAPS
from core.data.readers.outer_letters import Outer, find_words, read_outer_letters
from core.data.role_word_lists import HINTS, IDS
from core.data.role_words import is_exact, is_group, is_patient, tokens
from core.errors import UserError

BLANK = "; leave the cell blank if the value is not known, or write a number below 3.4e38"
MARKS = pa.array([*ALWAYS, *PERHAPS, *AMONG_NUMBERS])
SOME = 1000  # different words that tell a column of words before all are looked at
LONG = 64  # letters of the longest number
EXACT = 2**53  # above, a float64 cannot tell whole numbers apart
FEW = 20  # different words that are classes rather than names
# digits that are names
CALLED = {
    "code",
    "icd",
    "zip",
    "zipcode",
    "plz",
    "postcode",
    "phone",
    "plate",
    "well",
    "barcode",
    "guid",
    "pid",
}
CODED = r"\A\d{1,4}[eE]\d{1,3}\z"  # 1E1, as plates and samples are called
DAY = re.compile(r"date|datum|day|visit|birth|dob|admi|discharge|time|tag\b", re.I)
Where = Callable[[int], str]  # "file, line 12" of a row, for messages


@dataclass(frozen=True)
class Meaning:
    """A column's values; the words that were taken as missing and how often each (blank cells not
    counted); how numbers were written; and what has to be told of it.
    """

    values: pd.Series
    missing: Counter[str] = field(default_factory=Counter)
    comma: bool = False  # a comma is a decimal point
    thousands: str = ""  # marks that stand for thousands
    unit: str = ""
    dates: bool = False  # whole numbers such as 20200131 that are dates
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Looked:
    """A column of words on its way: `words` without spaces around, `bare` without marks of missing
    values, its numbers where pyarrow could cast them, else how its different words are written
    (None: words).
    """

    column: str
    strict: bool  # names and labels: numbers only where each value is one
    words: pa.ChunkedArray
    bare: pa.ChunkedArray
    marked: pa.ChunkedArray
    cast: pa.ChunkedArray | None = None
    coded: pa.DictionaryArray | None = None
    written: Written | None = None


def classify_name(column: str) -> str:
    """Give "name" for a column called like ids or codes, "label" like a label, "" for any other."""
    parts = tokens(column)
    if is_exact(column) or (parts and parts[-1] in HINTS["label"]):
        return "label"
    called = is_patient(column) or is_group(column) or (parts and parts[-1] in CALLED | IDS)
    return "name" if called else ""


def inspect_column(column: str, words: pa.ChunkedArray, as_words: bool = False) -> Looked:
    """Return what a column of words may mean. `as_words`: it names patients, sites or classes,
    whatever it is called.
    """
    role = classify_name(column)
    outer = read_outer_letters(words)
    if outer.spaces and (stripped := strip_words(words)) is not words:
        words, outer = stripped, read_outer_letters(stripped)
    marked = find_words(words, outer, MARKS)
    bare = (
        pc.if_else(marked, pa.scalar(None, pa.string()), words) if pc.any(marked).as_py() else words
    )
    seen = Looked(column, as_words or bool(role), words, bare, marked)
    if bare.null_count == len(bare):
        return seen
    if (unquoted := _unquoted(bare)) is not bare:
        bare, outer = unquoted, read_outer_letters(unquoted)
    cast = _cast(bare, outer, role == "name")
    if cast is not None:
        return Looked(column, seen.strict, words, bare, marked, cast)
    if role == "name":
        return seen
    coded = bare.combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    different = coded.dictionary
    if not _perhaps(different.slice(0, SOME)) or not _perhaps(different):
        return seen
    return Looked(column, seen.strict, words, bare, marked, None, coded, written(different))


def infer_meaning(seen: Looked, where: Where, marks: Marks) -> Meaning:
    """Return what the words of a column mean.

    Numbers are int64, or float64 with NaN; codes with leading zeros stay words. UserError names
    line and column of values that are not finite.
    """
    found = _understood(seen, marks)
    if found is None:
        return _words(seen)
    asked = next((note for note in found.notes if note.kind == "undecided"), None)
    if asked is not None:
        raise UserError(
            f"{where(asked.rows[0])}, column “{seen.column}”: “{next(iter(asked.words))}” may have"
            " a decimal comma or a mark for thousands; write numbers with a point and without"
            " marks."
        )
    beyond = _beyond(found.values)
    if beyond is not None:
        said = seen.bare[beyond].as_py()
        raise UserError(
            f"{where(beyond)}, column “{seen.column}”: “{said}” is not a finite number{BLANK}."
        )
    missing = Counter() if seen.bare is seen.words else _counts(seen.words.filter(seen.marked))
    missing.pop("", None)
    days = None if seen.strict else parse_whole_number_dates(found.values, seen.column)
    if days is not None:
        return Meaning(days, missing, dates=True)
    return Meaning(
        found.values, missing, found.comma, found.thousands, found.unit, False, found.notes
    )


def _understood(seen: Looked, marks: Marks) -> Meaning | None:
    """Return the column as numbers, or None where it is words."""
    if seen.cast is not None and not _points_split(seen, marks):
        doubt = _asks(seen, marks)
        return Meaning(_exact(seen.cast), notes=[doubt] if doubt else [])
    coded, how = seen.coded, seen.written
    if seen.cast is not None:
        coded = seen.bare.combine_chunks().dictionary_encode()
        coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
        how = written(coded.dictionary)
    if coded is None or how is None:
        return None
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(codes[codes >= 0], minlength=len(coded.dictionary))
    read = numbers(how, counts, marks)
    if read is None or (seen.strict and (read.word.any() or (how.bound != "").any() or read.unit)):
        return None
    none = (codes < 0).any()
    values = np.append(read.values.astype(float), np.nan)[codes] if none else read.values[codes]
    notes = notes_of(seen.column, read, how, coded.dictionary.to_pylist(), codes, counts)
    return Meaning(
        pd.Series(values), Counter(), read.comma, read.thousands, read.unit, False, notes
    )


def _points_split(seen: Looked, marks: Marks) -> bool:
    """Whether the points of a column that pyarrow took for decimals may mark thousands: all of them
    stand before three digits, and other columns have decimal commas (or the separator makes that
    likely).
    """
    assert seen.cast is not None
    if not pa.types.is_floating(seen.cast.type) or seen.strict:
        return False
    if marks.point or not (marks.comma or marks.separator == ";"):
        return False
    return has_groups_of_three(seen)


def _asks(seen: Looked, marks: Marks) -> Note | None:
    """Return a doubt about points before three digits in a tab- or bar-separated file, where
    nothing else tells.
    """
    assert seen.cast is not None
    if (
        not pa.types.is_floating(seen.cast.type)
        or marks.point
        or marks.comma
        or marks.separator not in ("\t", "|")
    ):
        return None
    if seen.strict or not has_groups_of_three(seen):
        return None
    rows = np.flatnonzero(pc.fill_null(pc.match_substring(seen.bare, "."), False).to_numpy())
    words = dict(_counts(seen.bare.slice(0, SOME)).most_common(3))
    return Note("decimal or thousands", seen.column, words, rows[:KEPT_ROWS].tolist(), len(rows))


def has_groups_of_three(seen: Looked) -> bool:
    """Whether each number is a whole one or one with a point before its last three digits
    (4.100).
    """
    return all(_three(part) for part in (seen.bare.slice(0, SOME), seen.bare))


def _three(words: pa.ChunkedArray) -> bool:
    return bool(
        pc.all(pc.match_substring_regex(words, r"\A[-+]?([1-9]\d{0,2}\.\d{3}|\d+)\z")).as_py()
    )


def _words(seen: Looked) -> Meaning:
    """Return the column as words. A mark of missing values that is as frequent as the classes it
    stands among is one of them.
    """
    plain, none, kept = seen.words, Counter[str](), Counter[str]()
    if pc.any(seen.marked).as_py():
        found = _counts(plain.filter(seen.marked))
        classes: Counter[str] = Counter()
        if pc.count_distinct(plain).as_py() <= FEW + len(found):
            marks = (*ALWAYS, *PERHAPS)
            classes = Counter({w: k for w, k in _counts(plain).items() if w not in marks})
        none = Counter({w: k for w, k in found.items() if w in ALWAYS or w in PERHAPS})
        many = len(plain) - none.get("", 0)
        kept = Counter(
            {w: k for w, k in none.items() if w in PERHAPS and _is_class(w, k, classes, many)}
        )
        none -= kept
    words = plain
    if none:
        gone = pc.is_in(words, value_set=pa.array(list(none), pa.string()))
        words = pc.if_else(gone, pa.scalar(None, pa.string()), words)
    words = _unquoted(words) if words.null_count < len(words) else words
    notes = []
    if kept:
        rows = np.flatnonzero(
            np.asarray(pc.is_in(words, value_set=pa.array(list(kept), pa.string())))
        )
        notes.append(
            Note("class marks", seen.column, dict(kept), rows[:KEPT_ROWS].tolist(), len(rows))
        )
    return Meaning(_plain(words), Counter({w: k for w, k in none.items() if w}), notes=notes)


def _is_class(mark: str, count: int, classes: dict[str, int], rows: int) -> bool:
    """Whether a mark such as None, NA or - is a class: it stands among few classes and is half as
    frequent as the rarest of them (“None”: a twentieth of the rows will do); beside one class
    alone, in a fifth of the rows.
    """
    if not classes or len(classes) > FEW:
        return False
    if len(classes) == 1:
        return count >= rows / 5
    return count >= min(classes.values()) / 2 or (mark.lower() == "none" and count >= rows / 20)


def _counts(words: pa.ChunkedArray) -> Counter[str]:
    return (
        Counter({v["values"]: v["counts"] for v in pc.value_counts(words).to_pylist()})
        if len(words)
        else Counter()
    )


def parse_whole_number_dates(values: pd.Series, column: str) -> pd.Series | None:
    """Whole numbers such as 20200131 (or 202001311230, 20200131123000) as ISO dates, when each of
    them is one; else None. Three different ones are asked for, fewer where the column is called
    like a day.
    """
    if not is_numeric_dtype(values) or is_bool_dtype(values):
        return None
    if not find_ends(values)[1] >= 19000101:  # nan neither
        return None
    there = values.dropna()
    # “for ever”, as some registers write it
    real = there[~there.isin([99991231, 999912310000, 99991231000000])]
    low, high = (float(real.min()), float(real.max())) if len(real) else (0.0, 0.0)
    digits = next(
        (d for d in (8, 12, 14) if 1900 * 10 ** (d - 4) <= low and high < 2101 * 10 ** (d - 4)),
        None,
    )
    if digits is None or not bool((there == there.round()).all()):
        return None
    different = pd.unique(real)
    if len(different) < 3 and not DAY.search(column):
        return None
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[digits]
    found = pd.to_datetime(
        pd.Series([f"{int(v)}" for v in different]), format=form, errors="coerce"
    )
    if found.isna().any():
        return None
    said = found.dt.strftime("%Y-%m-%d" if digits == 8 else "%Y-%m-%dT%H:%M:%S")
    days = dict(zip(different.tolist(), said))
    return values.map(lambda v: days.get(v, "9999-12-31"), na_action="ignore").astype("str")


def infer_typed_column(column: str, values: pd.Series, where: Where) -> Meaning:
    """Return a column that came with a type (of Parquet); whole numbers may be dates."""
    beyond = _beyond(values) if pd.api.types.is_float_dtype(values) else None
    if beyond is not None:
        raise UserError(
            f"{where(beyond)}, column “{column}”: “{values.iloc[beyond]}” is not a finite"
            f" number{BLANK}."
        )
    days = (
        parse_whole_number_dates(values, column)
        if not classify_name(column) and is_numeric_dtype(values)
        else None
    )
    return Meaning(values) if days is None else Meaning(days, dates=True)


def describe_type(values: pd.Series) -> str:
    """Return what to call a column on screen: numbers, yes/no, dates, text, words (5 different), or
    empty.
    """
    if not values.iloc[:SOME].notna().any() and values.isna().all():
        return "empty"
    if is_bool_dtype(values):
        return "yes/no"
    if is_numeric_dtype(values):
        return "numbers"
    if is_datetime64_any_dtype(values):
        return "dates"
    words = pa.chunked_array([pa.array(values.dropna().astype(str), pa.large_string())])
    if all(pc.all(pc.match_substring_regex(w, DATE)).as_py() for w in (words[:SOME], words)):
        return "dates"
    if are_sentences(words):
        return "text"
    return f"words ({pc.count_distinct(words).as_py():,} different)"


def are_sentences(words: pa.ChunkedArray) -> bool:
    """On average over 40 letters and 5 words, and mostly different; no lists of numbers."""
    numbers = r"\A[\[({\s]*-?[\d.][-+\d.eE,;\s]*[\])}\s]*\z"
    return (
        pc.mean(pc.utf8_length(words)).as_py() > 40
        and pc.mean(pc.match_substring_regex(words, numbers)).as_py() < 0.5
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


def _perhaps(different: pa.Array) -> bool:
    """Whether some of these different words begin and end as numbers do: a tenth of them at
    least.
    """
    short = different.filter(pc.less_equal(pc.utf8_length(different), LONG))
    if not len(short):
        return False
    like = pc.match_substring_regex(
        short, r"\A[^\pL]{0,4}\d[^\pL]*[^\pL\d]?\s*\S{0,16}(\s*10\s*(\^|\*\*).{1,6})?\z"
    )
    return pc.sum(like).as_py() * 10 >= len(different)


def _cast(words: pa.ChunkedArray, outer: Outer, name: bool) -> pa.ChunkedArray | None:
    """As numbers, or None when a word is none (or is one that pyarrow reads otherwise, such as +5),
    or when they are codes: 007, 0x1F, 1E1. `outer`: the letters of `words`, and maybe of marks of
    missing values besides. `name`: ids, which different words must not make one.
    """
    for to in (pa.int64(), pa.uint64(), pa.float64()):
        try:
            # a cast that fails goes through all words first, at 17 times the cost of one that does
            # not: a few words tell nearly always
            pc.cast(words.slice(0, SOME), to)
            found = pc.cast(words, to)
        except pa.ArrowInvalid:
            continue
        if outer.zeros:
            return None
        if to == pa.float64() and not _is_amount(words, outer, found, name):
            return None
        too_large = to != pa.float64() and words.null_count and _largest(found) > EXACT
        return None if too_large and name else found
    return None


def _is_amount(words: pa.ChunkedArray, outer: Outer, found: pa.ChunkedArray, name: bool) -> bool:
    if outer.plus or (not outer.numbers and pc.any(pc.is_nan(found)).as_py()):
        return False
    if _largest(found) > 1e19 and _any(words, r"\A-?\d{20,}\z"):
        return False
    if name and (
        _any(words, "[eE]") or pc.count_distinct(words).as_py() != pc.count_distinct(found).as_py()
    ):
        return False
    return not all(
        pc.all(pc.match_substring_regex(w, CODED)).as_py() for w in (words.slice(0, SOME), words)
    )


def _largest(found: pa.ChunkedArray) -> float:
    """Return the largest number without its sign; of at least one number."""
    ends = pc.min_max(found).as_py()
    return max(-ends["min"], ends["max"])


def _exact(found: pa.ChunkedArray) -> pd.Series:
    """As pandas' numbers; whole ones that a float cannot hold stay whole where some are missing."""
    if found.null_count and pa.types.is_integer(found.type) and _largest(found) > EXACT:
        whole = pd.Int64Dtype() if found.type == pa.int64() else pd.UInt64Dtype()
        return found.to_pandas(types_mapper=lambda _: whole)
    return found.to_pandas()


def _beyond(numbers: pd.Series) -> int | None:
    """Where the first value stands that float32 cannot hold."""
    if not pd.api.types.is_float_dtype(numbers):
        return None
    values = numbers.to_numpy(float, na_value=np.nan)
    low, high = find_ends(pd.Series(values, copy=False))
    if not max(-low, high) > LARGEST:
        return None
    with np.errstate(invalid="ignore"):
        return int((np.abs(values) > LARGEST).argmax())
