"""Text tables as words: encoding, separator, header and lines. What the words mean is decided in
`types`.

Blocks are cut up by pyarrow. Wherever it stumbles, Python's csv module reads the file again, slower
and to the letter; both see the same table (a test holds them against one another), and only the
second can say which line is wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from core import limits
from core.data.readers import odd_rows
from core.data.readers.files import Member
from core.errors import UserError

MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "None"]
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
START = 1 << 16  # letters in which the separator is looked for
TITLES = 20  # lines that may stand above a header
TAIL = 1 << 13  # bytes at the end of a file in which notes below the table are looked for
# a sentence, not an id
NOTE = re.compile(
    r"(?i)(?=.*[^\W\d_])(?:.*\S\s+\S|total|sums?|summe|source|quelle|notes?|remark|legend|\*"
    r"|end of|n\s*=\s*\d)"
)


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


def split_up(member: Member, most: int | None = None) -> Words:
    """The words of a text table; of its first `most` bytes, if given. UserError, one sentence with
    the line, for what is no table.
    """
    name = member.name
    data, encoding, cut = _utf8(member.load() if most is None else member.open(most), name, most)
    if re.search(rb"\S", data) is None:
        raise UserError(f"{name} is empty.")
    start = _stream(data).read(limits.CELL)
    separator, above = laid_out(start, name, member.separator)
    heads = list(islice(_records(data, separator, name), above + 1))
    if not heads:
        raise UserError(f"{name} is empty.")
    at, header = heads[-1][0], [c.strip() for c in heads[-1][1]]
    first = _first_rows(start, separator, name, above + 1)
    named_rows = _names_rows(header, first)
    header = ["", *header] if named_rows else header
    if len(header) > limits.COLUMNS:
        raise UserError(
            f"{name} has {len(header):,} columns; at most {limits.COLUMNS:,} are taken."
        )
    bare = _no_header(header) or (not above and _is_a_row(header, start, separator, name))
    skip = 0 if bare else above + 1
    # units, or what the columns mean
    under = [] if bare else first[: odd_rows.below_header(header, first)]
    skip += len(under)
    upper, heading = heads[-2][1] if above else [], header
    header, two_lines = (header, "") if bare else odd_rows.names_of(header, under, upper)
    body, below = (data, []) if cut else without_notes(data, separator, len(header))
    table = (
        None
        if separator == " " or cut
        else _quick(body, _end(body, separator, skip) if skip else 0, len(header), separator)
    )
    if table is None:
        table = _careful(body, separator, name, len(header), skip, cut)
    double = None if bare else next((c for c, k in Counter(header).items() if c and k > 1), None)
    if double is not None and _number(double):
        raise UserError(
            f"{name}, line {at} says “{double}” twice where names of columns are expected; put a"
            " line of names on top."
        )
    if double is not None:
        raise UserError(f"{name} has two columns called “{double}”; rename one.")
    names = [(not bare and c) or _unnamed(j + 1, header) for j, c in enumerate(header)]

    more, summed = (
        odd_rows.again(table, [] if bare else [heading, *under]),
        np.zeros(len(table), bool),
    )
    if not cut and not bare:
        summed = odd_rows.sums_up(table)
    kept = np.flatnonzero(~(more | summed))

    def line(i: int) -> int:
        again = _utf8(member.load(), name)[0]
        return next(islice(_records(again, separator, name), int(kept[i]) + skip, None))[0]

    rules = (
        [f"{name}: letters read as {encoding}; look whether umlauts and accents are right"]
        if encoding == "Latin-1"
        else []
    )
    if named_rows:
        rules.append(
            f"{name}: the header has a name less than the rows have values, so the first column is"
            " one of row names"
        )
    rules += [f"{name}: {two_lines}"] if two_lines else []
    if two_lines and under:
        under = under[1:]
    rules += [_left_out(name, "above the header", [r for _, r in heads[:-1]])] if above else []
    rules += [_left_out(name, "below the table", below)] if below else []
    rules += [_left_out(name, "below the header (units or explanations)", under)] if under else []
    if more.any():
        rules.append(
            f"{name}: the header stands {int(more.sum()) + 1} times in it, as where tables were put"
            " together; all but the first are left out"
        )
    if summed.any():
        lines = [
            [str(v) for v in row.values()] for row in table.filter(pa.array(summed)).to_pylist()
        ]
        rules.append(_left_out(name, "at the end (sums or means of the rows above)", lines))
    if len(kept) < len(table):
        table = table.take(pa.array(kept))
    return Words(
        table.rename_columns(names), "no header" if bare else separator, line, rules, not cut
    )


def _utf8(data: bytes, name: str, most: int | None = None) -> tuple[bytes, str, bool]:
    """The text as UTF-8 without a mark in front, the name of the encoding it had, and whether it
    was cut at `most` bytes.
    """
    cut = most is not None and len(data) >= most
    kinds = (
        [("utf-16", "UTF-16")]
        if data[:2] in (b"\xff\xfe", b"\xfe\xff")
        else [("utf-8", "UTF-8"), ("latin-1", "Latin-1")]
    )
    for code, words in kinds:
        try:
            if code == "utf-8":
                data = data[3:] if data[:3] == codecs.BOM_UTF8 else data
                for _ in _decoded(data, code, cut):
                    pass
                kept = data.decode(errors="ignore").encode() if cut else data
            else:
                kept = b"".join(part.encode() for part in _decoded(data, code, cut))
        except UnicodeDecodeError:
            continue
        if b"\0" in kept:
            raise UserError(f"{name} holds binary zeros; it is no text table.")
        return kept, words, cut
    raise UserError(f"{name} is no text file that can be read.")


def _decoded(data: bytes, encoding: str, cut: bool) -> Iterator[str]:
    """In parts, so that a large file never stands in memory as Python text."""
    decoder = codecs.getincrementaldecoder(encoding)()
    for i in range(0, len(data), 1 << 24):
        yield decoder.decode(data[i : i + (1 << 24)])
    if not cut:
        yield decoder.decode(b"", True)


def _stream(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")


def _records(data: bytes | str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """(line, values) of each record that is not blank. UserError for a value that is too long."""
    csv.field_size_limit(limits.CELL)
    source = io.StringIO(data, newline="") if isinstance(data, str) else _stream(data)
    reader = csv.reader(source, delimiter=separator, skipinitialspace=separator == " ")
    line = 1
    try:
        for record in reader:
            if any(map(str.strip, record)):
                yield line, record[:-1] if separator == " " and record[-1] == "" else record
            line = reader.line_num + 1
    except csv.Error as e:
        if "field limit" in str(e):
            raise UserError(
                f"{name}, line {line} holds a value of more than {limits.CELL:,} letters; at most"
                " that many are taken (a quotation mark that is never closed looks like this,"
                " too)."
            ) from None
        raise UserError(f"{name}, line {line} cannot be read as a row of a table ({e}).") from None


def _first_rows(start: str, separator: str, name: str, skip: int) -> list[list[str]]:
    """The 200 rows after the first `skip`; none where they cannot be cut up: whoever reads the
    whole says so, with the line.
    """
    begin = start if len(start) <= START else start[:START].rpartition("\n")[0]
    try:
        return [r for _, r in islice(_records(begin, separator, name), skip, skip + 200)]
    except UserError:
        return []


def _names_rows(header: list[str], rows: list[list[str]]) -> bool:
    """Whether each row has just one value more than the header has names, as R writes tables."""
    if len(header) < 2 or any(map(_number, header)):
        return False
    return len(rows) > 1 and all(
        len(r) == len(header) + 1 and r[-1].strip() and r[0].strip() for r in rows
    )


def _left_out(name: str, where: str, records: list[list[str]]) -> str:
    said = [" ".join(w.strip() for w in r if w.strip())[:40] for r in records]
    lines = f"the {len(said)} lines {where} are" if len(said) > 1 else f"the line {where} is"
    return (
        f"{name}: {lines} left out:"
        f" {', '.join(f'“{w}”' for w in said[:3])}{' …' if len(said) > 3 else ''}"
    )


def _end(data: bytes, separator: str, many: int) -> int:
    """Where the first `many` records that are not blank end, in bytes."""
    reader = csv.reader(_stream(data), delimiter=separator)
    for _ in range(many):
        while not any(map(str.strip, next(reader))):
            pass
    ends = re.finditer(rb"\r\n|\r|\n", data)
    last = next(islice(ends, reader.line_num - 1, None), None)
    return len(data) if last is None else last.end()


def _quick(data: bytes, at: int, width: int, separator: str) -> pa.Table | None:
    """The records from byte `at` on, or None when they are not `width` values each throughout, or
    anything else is odd.
    """
    names = [str(j) for j in range(width)]
    if at >= len(data):
        return None
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(pa.py_buffer(data).slice(at)),
            arrow_csv.ReadOptions(column_names=names, block_size=BLOCK),
            arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in data),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    blank = None
    for column in table.columns:
        if (pc.max(pc.binary_length(column)).as_py() or 0) > limits.CELL:
            return None
    for column in table.columns:
        empty = pc.equal(pc.binary_length(stripped(column)), 0)
        blank = empty if blank is None else pc.and_(blank, empty)
        if not pc.any(blank).as_py():
            return table
    return table.filter(pc.invert(blank))


def stripped(words: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without the spaces around, as Python's `str.strip` sees spaces."""
    return pc.utf8_trim(words, SPACES)


def _careful(data: bytes, separator: str, name: str, width: int, skip: int, cut: bool) -> pa.Table:
    """The same by Python's csv module. UserError names the first line of another width. `cut`: the
    last record may be torn and is left out.
    """
    schema = pa.schema([(str(j), pa.string()) for j in range(width)])
    pieces: list[pa.Table] = []
    held: list[list[str]] = []

    def settle() -> None:
        columns = zip(*held) if held else [()] * width
        pieces.append(pa.table([pa.array(c, pa.string()) for c in columns], schema=schema))
        held.clear()

    records = islice(_records(data, separator, name), skip, None)
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


def _separator(start: str, name: str) -> str:
    """The separator that cuts the first lines into most columns, the same number in each; else the
    first line's most frequent one.
    """
    first = (start.lstrip().splitlines() or [""])[0]
    begin = (
        start
        if len(start) <= START
        else start[:START].rpartition("\n")[0] or start.rpartition("\n")[0] or start
    )
    even = {}
    for mark in ",;\t|":
        widths = (
            {len(r) for _, r in islice(_records(begin, mark, name), 20)} if mark in first else {1}
        )
        even[mark] = widths.pop() if len(widths) == 1 else 1
    if max(even.values()) > 1:
        return max(even, key=lambda m: even[m])
    if not any(mark in first for mark in even):
        spaced = [r for _, r in islice(_records(begin, " ", name), 20)]
        if len(spaced) > 2 and len(spaced[0]) == len(spaced[1]) - 1:  # row names, as R writes them
            spaced[0] = ["", *spaced[0]]
        if (
            len({len(r) for r in spaced}) == 1
            and len(spaced[0]) > 1
            and any(map(_number, spaced[-1]))
        ):
            return " "
    return max(",;\t|", key=first.count)


def laid_out(start: str, name: str, known: str) -> tuple[str, int]:
    """The separator, and how many records stand above the header: lines of a title hold fewer
    values than the table below them, and the header is the first line of as many names, none of
    them a number.

    `known`: the separator, where it is known; else what the first lines say, or where they are a
    title, one that cuts what is below them evenly.
    """
    if noted := _comments(start):
        rest = start[noted[1] :]
        separator, above = laid_out(rest, name, known)
        heads = list(islice(_records(rest[:START], separator, name), above + 1))
        if heads and len(heads[-1][1]) > 1 and not any(map(_number, heads[-1][1])):
            return separator, above + noted[0]
    separator = known or _separator(start, name)
    begin, torn = (start, False) if len(start) <= START else (start[:START], True)
    for mark in (separator, *(m for m in ",;\t|" if m != separator and not known)):
        records = [r for _, r in islice(_records(begin, mark, name), TITLES + 40)]
        if torn and len(records) < TITLES + 40:
            records = records[:-1]
        if above := _titles(records):
            return mark, above
        if mark == separator and len({len(r) for r in records}) == 1 and len(records[0]) > 1:
            break  # a table from its first line on
    return separator, 0


def _comments(start: str) -> tuple[int, int] | None:
    """How many lines at the start are comments (#), and where they end; None where there are none,
    or they hold quotes.
    """
    found = re.match(r"(?:[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n))+", start)
    if found is None or "#" not in found[0] or '"' in found[0]:
        return None
    return sum(line.strip() != "" for line in found[0].splitlines()), found.end()


def _titles(records: list[list[str]]) -> int:
    """How many of the first records are a title above the table."""
    if len(records) < 3 or len(records[-1]) < 2:
        return 0
    width = len(records[-1])
    filled = [sum(bool(w.strip()) for w in r) for r in records]
    for at, record in enumerate(records[: TITLES + 1]):
        names = (
            len(record) == width
            and filled[at] >= max(2, width - 1)
            and not any(map(_number, record))
        )
        if not names:
            continue
        above = range(at)
        if _stands_over(records, filled, at):
            continue
        thin = all(
            filled[k] <= width // 2
            or _stands_over(records, filled, k)
            or (len(records[k]) < width and filled[k] <= width - 2)
            for k in above
        )
        single = any(filled[k] == 1 for k in above) and all(filled[k] < width for k in above)
        below = all(len(r) == width for r in records[at:])
        return at if below and (thin or single) else 0
    return 0


def _stands_over(records: list[list[str]], filled: list[int], at: int) -> bool:
    """Whether a line of names has the names proper below it, as where cells are merged: it has
    gaps, the next line has fewer and no number, and most columns below hold numbers.
    """
    width, rest = len(records[at]), records[at + 2 :]
    if len(rest) < 2 or not 0 < filled[at] < filled[at + 1] or len(records[at + 1]) != width:
        return False
    if any(map(_number, [*records[at], *records[at + 1]])):
        return False
    numbers = sum(
        all(len(r) > j and (_number(r[j]) or r[j] in MISSING) for r in rest) for j in range(width)
    )
    return numbers >= width / 2


def without_notes(data: bytes, separator: str, width: int) -> tuple[bytes, list[list[str]]]:
    """The table without notes below it (“Source: ...”), and these: lines of one value, which are
    words, at the end.
    """
    tail = data[-TAIL:]
    if width < 2 or separator == " ":
        return data, []
    lines = tail.splitlines(keepends=True)[1:]  # the first may be torn
    gone, below = 0, []
    for line in reversed(lines):
        # the end of a value of several lines
        if b'"' in line and (not line.startswith(b'"') or line.count(b'"') % 2):
            break
        try:
            record = next(csv.reader([line.decode("utf-8", "replace")], delimiter=separator), [])
        except csv.Error:  # a value too long: the reader of the whole says so, with its line
            break
        there = [w for w in record if w.strip()]
        note = (
            len(there) == 1
            and bool(record[0].strip())
            and (len(record) < width or width > 2)
            and NOTE.match(there[0].strip())
        )
        if there and not note:
            break
        gone += len(line)
        below += [record] if there else []
    return (data[: len(data) - gone], below[::-1]) if below else (data, [])


def _unnamed(j: int, header: list[str]) -> str:
    name = f"column {j}"
    return name if name not in header else f"{name} (no name)"


def _number(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word.strip().replace(",", "."))))
    except ValueError:
        return False


def _is_a_row(first: list[str], start: str, separator: str, name: str) -> bool:
    """Whether the first line is a row among words: its numbers stand in columns of numbers, and
    each of its words, or one of like letters and digits, stands below it.
    """
    if not any(map(_number, first)) or len(first) < 2:
        return False
    begin = start[:START]
    below = [r for _, r in islice(_records(begin, separator, name), 1, 500)]
    below = [r for r in (below[:-1] if len(start) > START else below) if len(r) == len(first)]
    if len(below) < 5:
        return False
    repeated = False
    for word, column in zip(first, zip(*below)):
        there = [w.strip() for w in column if w.strip() not in MISSING]
        if _number(word):
            if not there or not all(map(_number, there)):
                return False
        elif word not in MISSING:
            likes = {re.sub(r"\d", "9", w) for w in there}
            if word not in there and not (
                re.search(r"\d", word) and re.sub(r"\d", "9", word) in likes
            ):
                return False
            repeated = repeated or word in there
    return repeated


def _no_header(first: list[str]) -> bool:
    """The first line holds numbers only, and they do not count up by one as made-up column names
    do.
    """
    there = [w for w in first if w not in MISSING]
    if not there or not all(map(_number, there)):
        return False
    counted = all(re.fullmatch(r"\d+", w) for w in there) and all(
        int(b) - int(a) == 1 for a, b in pairwise(there)
    )
    return not (counted and (len(there) > 1 or there == ["0"]))
