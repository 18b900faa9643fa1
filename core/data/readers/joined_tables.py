"""Several files of the same columns as one table, and in words how their values were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core import limits
from core.data.compound_words import SplitColumn, split_column
from core.data.number_words import Marks, Note, combined
from core.data.readers import parquet
from core.data.readers.column_types import (
    Looked,
    Meaning,
    has_groups_of_three,
    infer_meaning,
    infer_typed_column,
    inspect_column,
)
from core.data.readers.csv_text import read_words
from core.data.readers.file_parts import find_parts, join_unlabelled
from core.data.readers.files import Member, cut_suffix
from core.data.readers.odd_rows import SUMMARY
from core.data.readers.related_tables import join_related_tables
from core.errors import UserError
from core.io.threads import in_threads
from core.words import some_of

FILES = 200  # tables whose first lines are looked at to tell which have names of columns


@dataclass(frozen=True)
class Raw:
    """A file's columns as they stand in it: words (of text files, and of columns of words in
    Parquet) or values, how they were cut up, how many rows there are, and the line (Parquet: row)
    of a row.
    """

    name: str
    columns: dict[str, pa.ChunkedArray | pd.Series]
    how: str  # the separator, "no header" or "parquet"
    rows: int
    line: Callable[[int], int]
    rules: list[str]
    whole: bool = True
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Whole:
    """All files as one typed table; `where(i)`: "file, line" of a row, for messages; the rules in
    words; what has to be told of columns; whether the first line was a row (`bare`); how many files
    of the same columns there are (tables joined to them not counted); and `given`, roles of the
    Dataset that the files decide, with their columns.
    """

    frame: pd.DataFrame
    where: Callable[[int], str]
    rules: list[str]
    notes: list[Note]
    bare: bool
    files: int = 1
    given: dict[str, str] = field(default_factory=dict)


def join_tables(
    members: list[Member],
    report: Callable[[int, int], None] = lambda done, total: None,
    as_words: Collection[str] = (),
    clocks: bool = True,
) -> Whole:
    """All files as one typed table. Several files must have the same columns (in any order); a last
    column says which file a row is from. `as_words`: columns that name patients, sites or classes:
    numbers only where every value is one. `clocks`: whether times (07:30), blood pressures (120/80)
    and the like become numbers.
    """
    read = []
    for k, m in enumerate(members):
        read.append(read_raw_table(m))
        report(k + 1, len(members) + 1)
    read, label = join_unlabelled(read)
    read = join_related_tables(read)
    found = join_columns(read, as_words, clocks)
    frame, rules = found.frame, [rule for r in read for rule in r.rules]
    rules += [
        f"{r.name}: the first line holds values and no names, so it is a row; columns are named"
        " column 1, column 2, …"
        for r in read
        if r.how == "no header"
    ]
    given, more = name_files(frame, [r.name for r in read], [r.rows for r in read])
    if label:
        given["label"] = label
    report(len(members) + 1, len(members) + 1)
    return replace(found, rules=rules + more + found.rules, given=given)


def name_files(
    frame: pd.DataFrame, names: list[str], rows: list[int]
) -> tuple[dict[str, str], list[str]]:
    """Give `frame`, which holds so many `rows` of each file, columns that say which one a row is
    from: the part where the files are called train and test, else, or where their names differ
    besides, the site. Gives the roles of these columns, and the rule in words; nothing for one
    file.
    """
    if len(names) < 2:
        return {}, []
    stems = [cut_suffix(name) for name in names]
    words = stems if len(set(stems)) == len(stems) else names
    parts = find_parts(names)
    given: dict[str, str] = {}
    if parts:
        column = "split" if "split" not in frame else "part of the files"
        frame[column] = np.repeat(np.array([part for part, _ in parts], dtype=object), rows)
        given["split"] = column
        words = [rest for _, rest in parts]
    if len(set(words)) > 1:
        column = "domain" if "domain" not in frame else "from file"
        frame[column] = np.repeat(np.array(words, dtype=object), rows)
        given["domain"] = column
    said = " and ".join(f"“{column}”" for column in given.values())
    says = "say" if len(given) > 1 else "says"
    return given, [
        f"{len(names)} tables of the same columns read as one; {said} {says} which file a row is"
        " from"
    ]


def join_columns(read: list[Raw], as_words: Collection[str] = (), clocks: bool = True) -> Whole:
    """Return what `read` holds as one typed table, "file, line" of a row, and in words how values
    were read. The columns are taken out of `read`, so that words and numbers of all of them never
    stand in memory at once.
    """
    like = _check_columns(read)
    columns = list(like.columns)
    n = sum(r.rows for r in read)
    if n > limits.ROWS:
        raise UserError(f"{read[0].name} holds {n:,} rows; at most {limits.ROWS:,} are taken.")
    ends = np.cumsum([r.rows for r in read])

    def where(i: int) -> str:
        k = int(np.searchsorted(ends, i, side="right"))
        r = read[k]
        return (
            f"{r.name}, {'row' if r.how == 'parquet' else 'line'}"
            f" {r.line(i - int(ends[k]) + r.rows)}"
        )

    def look(column: str) -> Looked | pd.Series:
        pieces = [r.columns.pop(column) for r in read]
        if any(isinstance(p, pd.Series) for p in pieces):
            return _values(pieces)
        words = pa.chunked_array([chunk for p in pieces for chunk in p.chunks], pa.string())
        return inspect_column(column, words, column in as_words)

    seen = dict(zip(columns, in_threads(look, columns)))
    separator = ";" if any(r.how == ";" for r in read) else like.how
    proved = combined(
        [s.written for s in seen.values() if isinstance(s, Looked) and s.written], separator
    )
    marks = Marks(proved.point or any(map(_decimal, seen.values())), proved.comma, separator)

    def understand(column: str) -> Meaning | SplitColumn:
        one = seen.pop(column)
        if not isinstance(one, Looked):
            return infer_typed_column(column, one, where)
        parts = _parts(one, columns) if clocks else None
        return infer_meaning(one, where, marks) if parts is None else parts

    out: dict[str, Meaning] = {}
    more: list[str] = []
    for column, found in zip(columns, in_threads(understand, columns)):
        if isinstance(found, Meaning):
            out[column] = found
            continue
        out |= {name: Meaning(values) for name, values in found.columns.items()}
        next(iter(out[name] for name in found.columns)).notes.extend(found.notes)
        more.append(found.rule)
    begins = [int(end) - r.rows for end, r in zip(ends, read)]
    told = [
        replace(note, rows=[i + begin for i in note.rows])
        for begin, r in zip(begins, read)
        for note in r.notes
    ]
    notes = [*told, *(note for m in out.values() for note in m.notes)]
    frame = pd.DataFrame({c: m.values for c, m in out.items()}, copy=False)
    return Whole(
        frame,
        where,
        [*_rules(out), *more, *map(_rule, notes)],
        notes,
        like.how == "no header",
        len(read),
    )


def drop_headerless(members: list[Member]) -> tuple[list[Member], list[Member]]:
    """Text tables with names of columns, and those without that lie in another folder or are called
    as one of the others (the same data before it was given names): these are left aside. All are
    kept where none or all have names.
    """
    if len(members) > FILES:
        return members, []
    bare = [
        m
        for m in members
        if m.head[:4] != b"PAR1" and read_words(m, limits.PREVIEW).how == "no header"
    ]
    named = [m for m in members if m not in bare]
    places, called = {m.parts[:-1] for m in named}, {m.parts[-1] for m in named}
    apart = all(m.parts[:-1] not in places or m.parts[-1] in called for m in bare)
    return (named, bare) if named and bare and apart else (members, [])


def _parts(seen: Looked, taken: Collection[str]) -> SplitColumn | None:
    """Return the numbers in a column whose cells hold times or several numbers (see
    `compound_words.split_column`).
    """
    if (
        seen.strict
        or seen.cast is not None
        or (seen.written is not None and seen.written.number.mean() > 0.5)
    ):
        return None
    coded = seen.coded
    if coded is None:
        begins = seen.bare.slice(0, 200).drop_null()
        if not len(begins) or pc.mean(pc.match_substring_regex(begins, r"\A\d.*\d")).as_py() < 0.5:
            return None
        coded = seen.bare.combine_chunks().dictionary_encode()
    return split_column(seen.column, coded, tuple(taken))


def _check_columns(read: list[Raw]) -> Raw:
    """Return the file whose columns most have. UserError when another has other ones."""
    usual = Counter(frozenset(r.columns) for r in read).most_common(1)[0][0]
    like = next(r for r in read if frozenset(r.columns) == usual)
    for r in read:
        if r.how == "no header" != like.how:
            raise UserError(
                f"{r.name} begins with numbers where {like.name} begins with names of columns; put"
                " those on top or leave it out."
            )
        lacks, more = (
            [c for c in a if c not in b]
            for a, b in ((like.columns, r.columns), (r.columns, like.columns))
        )
        if lacks or more:
            parts = [
                f"{words} {some_of([n[:40] for n in c], 6)}"
                for words, c in (("lacks", lacks), ("adds", more))
                if c
            ]
            raise UserError(
                f"{r.name} has other columns than {like.name} (it {' and '.join(parts)}); "
                "only tables of the same columns are read together."
            )
    return like


def _values(pieces: list[pa.ChunkedArray | pd.Series]) -> pd.Series:
    """Return the pieces of a column of several files, at least one of which came with a type, as
    one.
    """
    parts = [p if isinstance(p, pd.Series) else p.to_pandas() for p in pieces]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _decimal(seen: Looked | pd.Series) -> bool:
    """Whether a column that was cast at once proves that points are decimal marks: it has others
    than 4.100.
    """
    if isinstance(seen, pd.Series) or seen.cast is None or not pa.types.is_floating(seen.cast.type):
        return False
    return not has_groups_of_three(seen)


def _rules(read: dict[str, Meaning]) -> list[str]:
    """How words became values, one sentence for each way."""
    none: Counter[str] = Counter()
    for m in read.values():
        none += m.missing
    rules = (
        [f"taken as missing: {', '.join(f'“{w}” ({k:,})' for w, k in none.most_common())}"]
        if none
        else []
    )
    for said, which in (
        ("a comma is a decimal point in", [c for c, m in read.items() if m.comma]),
        ("points mark thousands in", [c for c, m in read.items() if "." in m.thousands]),
        ("commas mark thousands in", [c for c, m in read.items() if "," in m.thousands]),
        (
            "spaces and apostrophes mark thousands in",
            [c for c, m in read.items() if " " in m.thousands],
        ),
        ("units taken off", [f"{c} ({m.unit})" for c, m in read.items() if m.unit]),
        ("whole numbers taken as dates", [c for c, m in read.items() if m.dates]),
    ):
        if which:
            rules.append(f"{said}: {', '.join(which[:8])}{' …' if len(which) > 8 else ''}")
    return rules


NOTED = {
    "bounds": "values below or above a limit in “{c}” are taken as the limit: {w}",
    "words": "words among the numbers of “{c}” are taken as missing: {w}",
    "class marks": "{w} in “{c}” is kept as a class of its own, not taken as missing",
    "decimal or thousands": (
        "whether marks in “{c}” are decimal or for thousands could not be told ({w}): look whether"
        " they are right"
    ),
    "two decimal marks": "“{c}” has decimal points and decimal commas; both are read as decimal",
    "units": "some values of “{c}” have a unit and some have none ({w}); all are read as the same",
    "negatives": (
        "values in brackets or with a minus behind them in “{c}” are read as negative: {w}"
    ),
    "flags": "marks behind some values of “{c}” are taken off: {w}",
    "about": "rough values in “{c}” are taken as they stand: {w}",
    "clock": (
        "times of two parts in “{c}” ({w}) are read as hours and minutes; if they are minutes and"
        " seconds, the numbers are seconds"
    ),
    "total": "the last row begins with {w}, as a row of totals does; it is read as a case",
}


def _rule(note: Note) -> str:
    said = ", ".join(f"“{w[:40]}” ({k:,})" for w, k in list(note.words.items())[:5])
    return NOTED[note.kind].format(c=note.column, w=said + (" …" if len(note.words) > 5 else ""))


def read_frame(member: Member) -> pd.DataFrame:
    """Return the table in a CSV or Parquet file, columns typed. UserError naming the line or column
    that is wrong.
    """
    return join_tables([member]).frame


def read_raw_table(member: Member, most: int | None = None) -> Raw:
    """Return a file as it stands; of a text file only the first `most` bytes, of Parquet only the
    first rows, if asked.
    """
    if member.head[:4] != b"PAR1":
        words = read_words(member, most)
        columns = dict(zip(words.table.column_names, words.table.columns))
        rules = [*member.told(), *words.rules]
        return Raw(
            member.name,
            columns,
            words.how,
            len(words.table),
            words.line,
            rules,
            words.whole,
            _totals(columns),
        )
    table, all_there = parquet.open_table(member, most is not None)
    columns, rules = parquet.read_columns(table, member.name)
    return Raw(member.name, columns, "parquet", len(table), lambda i: i, rules, all_there)


def _totals(columns: dict[str, pa.ChunkedArray]) -> list[Note]:
    """Return a note on the last row where it begins like a row of totals."""
    for column, words in list(columns.items())[:2]:
        last = words[-1].as_py().strip() if len(words) > 1 else ""
        if SUMMARY.fullmatch(last):
            return [Note("total", column, {last: 1}, [len(words) - 1], 1)]
    return []
