"""Text tables as words: encoding, separator, header and lines. What the words mean is decided in
`column_types`.

Blocks are cut up by pyarrow. Wherever it stumbles, Python's csv module reads the file again, slower
and to the letter; both see the same table (a test holds them against one another), and only the
second can say which line is wrong.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from core import limits
from core.data.readers import odd_rows
from core.data.readers.csv_layout import (
    drop_notes,
    find_layout,
    has_no_header,
    has_row_names,
    is_data_row,
    is_number,
    name_unnamed_column,
    read_first_rows,
)
from core.data.readers.csv_records import decode_text, open_text_stream, read_records
from core.data.readers.files import Member
from core.errors import UserError

SPACES = "".join(
    map(
        chr,
        (
            *range(9, 14),
            *range(28, 33),
            0x85,
            0xA0,
            0x1680,
            *range(0x2000, 0x200B),
            0x2028,
            0x2029,
            0x202F,
            0x205F,
            0x3000,
        ),
    )
)
LARGEST = float(np.finfo(np.float32).max)
BLOCK = 8 << 20  # bytes that are cut up at a time
PIECE = 1 << 16  # values that the careful reader holds as Python words at a time
# a class and pairs of number and value, on two lines
SPARSE = re.compile(r"(?:[-+]?\d[\d.]*(?:[ \t]+\d+:[-+]?\d[\d.eE+-]*)+[ \t]*(?:\r?\n|\Z)){2}")


@dataclass(frozen=True)
class Words:
    """A table as words: string columns, no nulls; blank lines, titles above and notes below left
    out.

    how: the separator, or "no header" when the first line is a row already. rules: what was
    decided, in words. line(i): the line of row i in the file (reads it again; for messages).
    """

    table: pa.Table
    how: str
    line: Callable[[int], int]
    rules: list[str] = field(default_factory=list)
    whole: bool = True  # False: only the first lines were asked for, and there are more


@dataclass(frozen=True)
class Head:
    """What stands above the rows of a text table. heading: the line of names as it stands there,
    with "" before it where rows have names of their own; names: those of the columns, of this line
    or of two (`two_lines` says how, in words). line: of the header in the file. titles and under:
    the records above and below it that are no rows. bare: the first line is a row already.
    """

    separator: str
    heading: list[str]
    names: list[str]
    two_lines: str
    line: int
    titles: list[list[str]]
    under: list[list[str]]
    bare: bool
    row_names: bool

    @property
    def skip(self) -> int:
        """How many records stand before the first row."""
        return 0 if self.bare else len(self.titles) + 1 + len(self.under)


def read_words(member: Member, most: int | None = None) -> Words:
    """Return the words of a text table; of its first `most` bytes, if given. UserError, one
    sentence with the line, for what is no table.
    """
    name = member.name
    data, encoding, cut = decode_text(
        member.load() if most is None else member.open(most), name, most
    )
    head = _head(data, name, member.separator)
    width = len(head.names)
    body, below = (data, []) if cut else drop_notes(data, head.separator, width)
    table = None
    if head.separator != " " and not cut:
        begin = _end(body, head.separator, head.skip) if head.skip else 0
        table = _quick(body, begin, width, head.separator)
    if table is None:
        table = _careful(body, head.separator, name, width, head.skip, cut)
    names = _column_names(head, name)
    repeated = odd_rows.find_repeated_rows(table, [] if head.bare else [head.heading, *head.under])
    sums = np.zeros(len(table), bool) if cut or head.bare else odd_rows.find_summary_rows(table)
    kept = np.flatnonzero(~(repeated | sums))

    def line(i: int) -> int:
        again = decode_text(member.load(), name)[0]
        records = read_records(again, head.separator, name)
        return next(islice(records, int(kept[i]) + head.skip, None))[0]

    rules = _rules_of_head(head, name, encoding, below)
    if repeated.any():
        rules.append(
            f"{name}: the header stands {int(repeated.sum()) + 1} times in it, as where tables were"
            " put together; all but the first are left out"
        )
    if sums.any():
        rows = table.filter(pa.array(sums)).to_pylist()
        lines = [[str(v) for v in row.values()] for row in rows]
        rules.append(_left_out(name, "at the end (sums or means of the rows above)", lines))
    if len(kept) < len(table):
        table = table.take(pa.array(kept))
    how = "no header" if head.bare else head.separator
    return Words(table.rename_columns(names), how, line, rules, not cut)


def _head(data: bytes, name: str, separator: str) -> Head:
    """Return what stands above the rows of `data` (UTF-8). `separator`: "" where it is to be found.
    UserError for an empty file and for too many columns.
    """
    if re.search(rb"\S", data) is None:
        raise UserError(f"{name} is empty.")
    start = open_text_stream(data).read(limits.CELL)
    if SPARSE.match(start):
        raise UserError(
            f"{name} is written as LIBSVM does (number:value); save it as CSV, a column for each"
            " number."
        )
    separator, above = find_layout(start, name, separator)
    heads = list(islice(read_records(data, separator, name), above + 1))
    if not heads:
        raise UserError(f"{name} is empty.")
    line, values = heads[-1]
    heading = [value.strip() for value in values]
    first = read_first_rows(start, separator, name, above + 1)
    row_names = has_row_names(heading, first)
    if row_names:
        heading = ["", *heading]
    if len(heading) > limits.COLUMNS:
        raise UserError(
            f"{name} has {len(heading):,} columns; at most {limits.COLUMNS:,} are taken."
        )
    titles = [record for _, record in heads[:-1]]
    if has_no_header(heading) or (not above and is_data_row(heading, start, separator, name)):
        return Head(separator, heading, heading, "", line, titles, [], True, row_names)
    # units, or what the columns mean
    under = first[: odd_rows.count_rows_below_header(heading, first)]
    names, two_lines = odd_rows.merge_header_rows(heading, under, titles[-1] if titles else [])
    return Head(separator, heading, names, two_lines, line, titles, under, False, row_names)


def _column_names(head: Head, name: str) -> list[str]:
    """Return a name for each column. UserError for two columns of one name."""
    if head.bare:
        return [name_unnamed_column(j + 1, head.names) for j in range(len(head.names))]
    double = next((c for c, k in Counter(head.names).items() if c and k > 1), None)
    if double is not None and is_number(double):
        raise UserError(
            f"{name}, line {head.line} says “{double}” twice where names of columns are expected;"
            " put a line of names on top."
        )
    if double is not None:
        raise UserError(f"{name} has two columns called “{double}”; rename one.")
    return [c or name_unnamed_column(j + 1, head.names) for j, c in enumerate(head.names)]


def _rules_of_head(head: Head, name: str, encoding: str, below: list[list[str]]) -> list[str]:
    """Return what was decided about letters, header, and lines around the table, in words."""
    rules = []
    if encoding in ("Latin-1", "Windows-1252"):
        rules.append(
            f"{name}: letters read as {encoding}; look whether umlauts and accents are right"
        )
    if head.row_names:
        rules.append(
            f"{name}: the header has a name less than the rows have values, so the first column is"
            " one of row names"
        )
    if head.two_lines:
        rules.append(f"{name}: {head.two_lines}")
    for where, lines in (
        ("above the header", head.titles),
        ("below the table", below),
        (
            "below the header (units or explanations)",
            head.under[1:] if head.two_lines else head.under,
        ),
    ):
        if lines:
            rules.append(_left_out(name, where, lines))
    return rules


def _left_out(name: str, where: str, records: list[list[str]]) -> str:
    said = [" ".join(w.strip() for w in r if w.strip())[:40] for r in records]
    lines = f"the {len(said)} lines {where} are" if len(said) > 1 else f"the line {where} is"
    return (
        f"{name}: {lines} left out:"
        f" {', '.join(f'“{w}”' for w in said[:3])}{' …' if len(said) > 3 else ''}"
    )


def _end(data: bytes, separator: str, many: int) -> int:
    """Where the first `many` records that are not blank end, in bytes."""
    reader = csv.reader(open_text_stream(data), delimiter=separator)
    for _ in range(many):
        while not any(map(str.strip, next(reader))):
            pass
    ends = re.finditer(rb"\r\n|\r|\n", data)
    last = next(islice(ends, reader.line_num - 1, None), None)
    return len(data) if last is None else last.end()


def _quick(data: bytes, at: int, width: int, separator: str) -> pa.Table | None:
    """Return the records from byte `at` on, or None when they are not `width` values each
    throughout, or anything else is odd.
    """
    if at >= len(data):
        return None
    table = _cut_up(data, at, width, separator, False)
    # looking for line ends within quotation marks takes a third of the whole, and keeps all threads
    # but one from their work; a row a line means that there are none
    if b'"' in data and (table is None or len(table) != _count_lines(data, at)):
        table = _cut_up(data, at, width, separator, True)
    if table is None:
        return None
    blank = None
    for column in table.columns:
        if (pc.max(pc.binary_length(column)).as_py() or 0) > limits.CELL:
            return None
    for column in table.columns:
        empty = pc.equal(pc.binary_length(strip_words(column)), 0)
        blank = empty if blank is None else pc.and_(blank, empty)
        if not pc.any(blank).as_py():
            return table
    return table.filter(pc.invert(blank))


def _cut_up(
    data: bytes, at: int, width: int, separator: str, lines_in_values: bool
) -> pa.Table | None:
    """Return the values from byte `at` of UTF-8 on as words, or None when pyarrow cannot. Without
    `lines_in_values` it may begin a block in the midst of a value.
    """
    names = [str(j) for j in range(width)]
    try:
        return arrow_csv.read_csv(
            pa.BufferReader(pa.py_buffer(data).slice(at)),
            arrow_csv.ReadOptions(column_names=names, block_size=BLOCK),
            arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=lines_in_values),
            arrow_csv.ConvertOptions(
                check_utf8=False,  # `decode_text` has done so
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _count_lines(data: bytes, at: int) -> int:
    """Return how many lines there are from byte `at` on; -1 where some end with a carriage return
    alone.
    """
    if b"\r" in data and data.count(b"\r", at) != data.count(b"\r\n", at):
        return -1
    return data.count(b"\n", at) + (not data.endswith(b"\n"))


def strip_words(words: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without the spaces around, as Python's `str.strip` sees spaces; the same array, not a copy,
    where there are none.
    """
    bare = pc.utf8_trim(words, SPACES)
    return words if _letters(bare) == _letters(words) else bare


def _letters(words: pa.ChunkedArray) -> int:
    """Return how many bytes all words have."""
    return int(pc.sum(pc.binary_length(words)).as_py() or 0)


def _careful(data: bytes, separator: str, name: str, width: int, skip: int, cut: bool) -> pa.Table:
    """Return the same by Python's csv module. UserError names the first line of another width.
    `cut`: the last record may be torn and is left out.
    """
    schema = pa.schema([(str(j), pa.string()) for j in range(width)])
    pieces: list[pa.Table] = []
    held: list[list[str]] = []

    def settle() -> None:
        columns = zip(*held) if held else [()] * width
        pieces.append(pa.table([pa.array(c, pa.string()) for c in columns], schema=schema))
        held.clear()

    records = islice(read_records(data, separator, name), skip, None)
    n = 0
    late: tuple[int, list[str]] | None = None
    for line, record in records:
        if cut:  # one behind, so that the last never arrives
            late, (line, record) = (line, record), late or (0, [])
            if not line:
                continue
        if len(record) != width:
            raise UserError(
                f"{name}, line {line} has {len(record)} value{'s' * (len(record) != 1)} where the"
                f" {'first line' if skip < 2 else 'header'} has {width}; fix that line."
            )
        held.append(record)
        n += 1
        if n > limits.ROWS:
            raise UserError(
                f"{name} holds more than {limits.ROWS:,} rows; at most {limits.ROWS:,} are taken."
            )
        if len(held) * width >= PIECE:
            settle()
    settle()
    return pa.concat_tables(pieces)
