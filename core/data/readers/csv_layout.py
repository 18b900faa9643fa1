"""Where the table lies in a text file: separator, titles above it, header, notes below it."""

from __future__ import annotations

import csv
import re
from itertools import islice, pairwise

import numpy as np

from core.data.readers.csv_records import START, read_records
from core.errors import UserError

MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "None"]
TITLES = 20  # lines that may stand above a header
TAIL = 1 << 13  # bytes at the end of a file in which notes below the table are looked for
# a sentence, not an id
NOTE = re.compile(
    r"(?i)(?=.*[^\W\d_])(?:.*\S\s+\S|total|sums?|summe|source|quelle|notes?|remark|legend|\*"
    r"|end of|n\s*=\s*\d)"
)


def read_first_rows(start: str, separator: str, name: str, skip: int) -> list[list[str]]:
    """Return the 200 rows after the first `skip`; none where they cannot be cut up: whoever reads
    the whole says so, with the line.
    """
    begin = start if len(start) <= START else start[:START].rpartition("\n")[0]
    try:
        return [r for _, r in islice(read_records(begin, separator, name), skip, skip + 200)]
    except UserError:
        return []


def has_row_names(header: list[str], rows: list[list[str]]) -> bool:
    """Whether each row has just one value more than the header has names, as R writes tables."""
    if len(header) < 2 or any(map(is_number, header)):
        return False
    return len(rows) > 1 and all(
        len(r) == len(header) + 1 and r[-1].strip() and r[0].strip() for r in rows
    )


def _separator(start: str, name: str) -> str:
    """Return the separator that cuts the first lines into most columns, the same number in each;
    else the first line's most frequent one.
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
            {len(r) for _, r in islice(read_records(begin, mark, name), 20)}
            if mark in first
            else {1}
        )
        even[mark] = widths.pop() if len(widths) == 1 else 1
    if max(even.values()) > 1:
        return max(even, key=lambda m: even[m])
    if not any(mark in first for mark in even):
        spaced = [r for _, r in islice(read_records(begin, " ", name), 20)]
        if len(spaced) > 2 and len(spaced[0]) == len(spaced[1]) - 1:  # row names, as R writes them
            spaced[0] = ["", *spaced[0]]
        if (
            len({len(r) for r in spaced}) == 1
            and len(spaced[0]) > 1
            and any(map(is_number, spaced[-1]))
        ):
            return " "
    return max(",;\t|", key=first.count)


def find_layout(start: str, name: str, known: str) -> tuple[str, int]:
    """Return the separator, and how many records stand above the header: lines of a title hold
    fewer values than the table below them, and the header is the first line of as many names, none
    of them a number.

    `known`: the separator, where it is known; else what the first lines say, or where they are a
    title, one that cuts what is below them evenly.
    """
    if noted := _comments(start):
        rest = start[noted[1] :]
        separator, above = find_layout(rest, name, known)
        heads = list(islice(read_records(rest[:START], separator, name), above + 1))
        if heads and len(heads[-1][1]) > 1 and not any(map(is_number, heads[-1][1])):
            return separator, above + noted[0]
    separator = known or _separator(start, name)
    begin, torn = (start, False) if len(start) <= START else (start[:START], True)
    for mark in (separator, *(m for m in ",;\t|" if m != separator and not known)):
        records = [r for _, r in islice(read_records(begin, mark, name), TITLES + 40)]
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
            and not any(map(is_number, record))
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
    if any(map(is_number, [*records[at], *records[at + 1]])):
        return False
    numbers = sum(
        all(len(r) > j and (is_number(r[j]) or r[j] in MISSING) for r in rest) for j in range(width)
    )
    return numbers >= width / 2


def drop_notes(data: bytes, separator: str, width: int) -> tuple[bytes, list[list[str]]]:
    """Return the table without notes below it (“Source: ...”), and these: lines of one value, which
    are words, at the end.
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


def name_unnamed_column(j: int, header: list[str]) -> str:
    """Return a name for column `j` (counted from 1), which has none and shares it with no other."""
    name = f"column {j}"
    return name if name not in header else f"{name} (no name)"


def is_number(word: str) -> bool:
    """Whether a word is a finite number, its decimal mark a point or a comma."""
    try:
        return bool(np.isfinite(float(word.strip().replace(",", "."))))
    except ValueError:
        return False


def is_data_row(first: list[str], start: str, separator: str, name: str) -> bool:
    """Whether the first line is a row among words: its numbers stand in columns of numbers, and
    each of its words, or one of like letters and digits, stands below it.
    """
    if not any(map(is_number, first)) or len(first) < 2:
        return False
    begin = start[:START]
    below = [r for _, r in islice(read_records(begin, separator, name), 1, 500)]
    below = [r for r in (below[:-1] if len(start) > START else below) if len(r) == len(first)]
    if len(below) < 5:
        return False
    repeated = False
    for word, column in zip(first, zip(*below)):
        there = [w.strip() for w in column if w.strip() not in MISSING]
        if is_number(word):
            if not there or not all(map(is_number, there)):
                return False
        elif word not in MISSING:
            likes = {re.sub(r"\d", "9", w) for w in there}
            if word not in there and not (
                re.search(r"\d", word) and re.sub(r"\d", "9", word) in likes
            ):
                return False
            repeated = repeated or word in there
    return repeated


def has_no_header(first: list[str]) -> bool:
    """Return the first line holds numbers only, and they do not count up by one as made-up column
    names do.
    """
    there = [w for w in first if w not in MISSING]
    if not there or not all(map(is_number, there)):
        return False
    counted = all(re.fullmatch(r"\d+", w) for w in there) and all(
        int(b) - int(a) == 1 for a, b in pairwise(there)
    )
    return not (counted and (len(there) > 1 or there == ["0"]))
