"""Tables: CSV (any usual separator and encoding) and Parquet, types inferred and reported; with a
text column they become a text dataset.

Several files of the same columns are one table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.types import is_numeric_dtype

from core import limits
from core.data.compound_words import FEW as CATEGORIES
from core.data.compound_words import Parts, parted
from core.data.dataset import Dataset
from core.data.number_words import Marks, Note, combined
from core.data.readers import packed_tables, parquet
from core.data.readers.asked_roles import find_roles
from core.data.readers.column_types import (
    Looked,
    Meaning,
    in_threes,
    kind,
    looked_at,
    meaning,
    sentences,
    settled,
)
from core.data.readers.csv_text import split_up
from core.data.readers.files import Asked, Member
from core.data.readers.odd_rows import SUMMARY
from core.data.readers.related_tables import related
from core.data.role_guess import Guess, dataset_roles, differs, no_inputs, stored
from core.data.scaling import precise
from core.data.visit_ids import patients_in_ids
from core.errors import UserError
from core.words import some_of

SUFFIXES = (".csv", ".tsv", ".tab", ".data", ".txt")
SHEETS = (".csv", ".tsv", *packed_tables.SUFFIXES)  # tables beside pictures
FILES = 200  # tables whose first lines are looked at to tell which have names of columns
RELATED = 12  # tables of which the first lines of all are looked at before import
WHO = "patient"  # the column made of ids of visits


def read(members: list[Member], asked: Asked) -> Dataset:
    """A table (numeric columns and one-hot categories) or, with a text column, a text dataset."""
    found = whole(members, asked.report, named_in(asked))
    frame, where, rules = found.frame, found.where, found.rules
    name = members[0].name if len(members) == 1 else f"the {len(members)} files"
    if len(frame) == 0:
        raise UserError(f"{name} has a header but no rows.")
    if len(frame) == 1:
        raise UserError(f"{name} holds 1 row; at least 2 are needed to learn anything.")
    text = None if asked.text == "none" and "none" not in frame else asked.text
    if text is not None and text not in frame:
        raise UserError(
            f"{name} has no column “{text}” (it has:"
            f" {some_of([str(c)[:40] for c in frame.columns], 12)})."
        )
    given = {"domain": str(frame.columns[-1])} if found.files > 1 else {}
    guesses = _with_patients(frame, given, asked)
    roles = given | dataset_roles(guesses)
    rules += differs(asked.looked, guesses)
    column = text or (None if asked.text == "none" else _text_column(frame, roles))
    if column is not None:
        empty = np.flatnonzero(frame[column].isna())
        if len(empty):
            raise UserError(
                f"{where(int(empty[0]))}, column “{column}” is empty; every row needs its text."
            )
        rules.append(f"text taken from column “{column}”")
        kept = [g for g in guesses if g.role not in ("input", "left out") and g.column != column]
        card = {**_card(found), "roles": stored(kept)}
        return Dataset("", "text", frame, None, None, {**roles, "text": column}, card=card)
    values, features = encoded(frame, roles, no_inputs(guesses))
    if not features:
        raise UserError(f"{name} has no column of numbers or categories to learn from.")
    used = {f.split("=")[0] for f in features} | set(features)
    left = [str(c) for c in frame.columns if c not in roles.values() and str(c) not in used]
    refused = next(
        (g.column for g in guesses if g.asked and g.role == "input" and g.column in left), None
    )
    if refused is not None:
        many = frame[refused].nunique()
        raise UserError(
            f"Column “{refused}” cannot be an input: it holds {many:,} different words; at most"
            f" {CATEGORIES} can be categories."
        )
    rules.append(f"{len(features)} input column{'s' * (len(features) != 1)}")
    told = [g for g in guesses if g.column in left and g.tells]
    left = [c for c in left if c not in {g.column for g in told}]
    rules += [f"“{g.column}” is left out: {g.why}" for g in told[:12]]
    if left:
        rules.append(
            "left out (names, constants or free text):"
            f" {', '.join(left[:8])}{' …' if len(left) > 8 else ''}"
        )
    card = {**_card(found), "roles": stored(guesses), **precise_entry(values)}
    return Dataset("", "table", frame, values, None, roles, features, card=card)


def _with_patients(frame: pd.DataFrame, given: dict[str, str], asked: Asked) -> list[Guess]:
    """What each column is; where none tells the patients, but ids of visits do (P01_1, P01_2),
    `frame` gets a column “patient” of their beginnings.
    """
    made = patients_in_ids(frame) if WHO not in frame and not asked.group else None
    if made is not None and WHO in asked.roles:
        frame[WHO] = made[1]
    guesses = find_roles(frame, given, asked, inputs=True)
    if made is None or WHO in frame or any(g.role == "patient" for g in guesses):
        return guesses
    column, frame[WHO] = made
    many = frame[WHO].nunique()
    why = (
        f"the beginnings of the ids in “{column}”: {many:,} values, {len(frame) / many:.3g} rows"
        " each"
    )
    guesses = find_roles(frame, {**given, "group": WHO}, asked, inputs=True)
    return [replace(g, sure=0.7, why=why) if g.column == WHO else g for g in guesses]


def named_in(asked: Asked) -> set[str]:
    """Columns that a person said name patients, sites, classes or parts: never read as numbers but
    where each value is one.
    """
    given = {
        c for c, role in asked.roles.items() if role in ("outcome", "patient", "site", "split")
    }
    return given | {c for c in (asked.label, asked.group, asked.domain) if c}


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
    words; what has to be told of columns; whether the first line was a row (`bare`); and how many
    files of the same columns there are (tables joined to them not counted).
    """

    frame: pd.DataFrame
    where: Callable[[int], str]
    rules: list[str]
    notes: list[Note]
    bare: bool
    files: int = 1


def whole(
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
        read.append(_raw(m))
        report(k + 1, len(members) + 1)
    read = related(read)
    found = _joined(read, as_words, clocks)
    frame, rules = found.frame, [rule for r in read for rule in r.rules]
    rules += [
        f"{r.name}: the first line holds values and no names, so it is a row; columns are named"
        " column 1, column 2, …"
        for r in read
        if r.how == "no header"
    ]
    if len(read) > 1:
        column = "domain" if "domain" not in frame else "from file"
        names = {r.name for r in read}
        stems = [m.stem for m in members if m.name in names]
        words = stems if len(set(stems)) == len(stems) else [r.name for r in read]
        frame[column] = np.repeat(np.array(words, dtype=object), [r.rows for r in read])
        rules.append(
            f"{len(read)} tables of the same columns read as one; “{column}” says which file a"
            " row is from"
        )
    report(len(members) + 1, len(members) + 1)
    return replace(found, rules=rules + found.rules)


def _joined(read: list[Raw], as_words: Collection[str] = (), clocks: bool = True) -> Whole:
    """What `read` holds as one typed table, "file, line" of a row, and in words how values were
    read.
    """
    like = _alike(read)
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

    seen: dict[str, Looked | pd.Series] = {}
    for column in like.columns:
        pieces = [r.columns[column] for r in read]
        if any(isinstance(p, pd.Series) for p in pieces):
            seen[column] = _values(pieces)
        else:
            words = pa.chunked_array([chunk for p in pieces for chunk in p.chunks], pa.string())
            seen[column] = looked_at(column, words, column in as_words)
    separator = ";" if any(r.how == ";" for r in read) else like.how
    proved = combined(
        [s.written for s in seen.values() if isinstance(s, Looked) and s.written], separator
    )
    marks = Marks(proved.point or any(map(_decimal, seen.values())), proved.comma, separator)
    out: dict[str, Meaning] = {}
    more: list[str] = []
    for column in like.columns:
        one = seen.pop(column)
        parts = _parts(one, like.columns) if clocks and isinstance(one, Looked) else None
        if parts is not None:
            out |= {name: Meaning(values) for name, values in parts.columns.items()}
            next(iter(out[name] for name in parts.columns)).notes.extend(parts.notes)
            more.append(parts.rule)
            continue
        out[column] = (
            meaning(one, where, marks) if isinstance(one, Looked) else settled(column, one, where)
        )
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


def without_bare(members: list[Member]) -> tuple[list[Member], list[Member]]:
    """Text tables with names of columns, and those without that lie in another folder or are called
    as one of the others (the same data before it was given names): these are left aside. All are
    kept where none or all have names.
    """
    if len(members) > FILES:
        return members, []
    bare = [
        m
        for m in members
        if m.head[:4] != b"PAR1" and split_up(m, limits.PREVIEW).how == "no header"
    ]
    named = [m for m in members if m not in bare]
    places, called = {m.parts[:-1] for m in named}, {m.parts[-1] for m in named}
    apart = all(m.parts[:-1] not in places or m.parts[-1] in called for m in bare)
    return (named, bare) if named and bare and apart else (members, [])


def _parts(seen: Looked, taken: Collection[str]) -> Parts | None:
    """The numbers in a column whose cells hold times or several numbers (see
    `compound_words.parted`).
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
    return parted(seen.column, coded, tuple(taken))


def _alike(read: list[Raw]) -> Raw:
    """The file whose columns most have. UserError when another has other ones."""
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
    """The pieces of a column of several files, at least one of which came with a type, as one."""
    parts = [p if isinstance(p, pd.Series) else p.to_pandas() for p in pieces]
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def _decimal(seen: Looked | pd.Series) -> bool:
    """Whether a column that was cast at once proves that points are decimal marks: it has others
    than 4.100.
    """
    if isinstance(seen, pd.Series) or seen.cast is None or not pa.types.is_floating(seen.cast.type):
        return False
    return not in_threes(seen)


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


def _card(found: Whole) -> dict[str, Any]:
    return {
        "rules": found.rules,
        "types": _types(found.frame),
        **({"notes": [asdict(n) for n in found.notes]} if found.notes else {}),
    }


def glance(
    members: list[Member], asked: Asked | None = None, inputs: bool = True
) -> dict[str, Any]:
    """First lines before import, from the first file's first bytes only: `columns`, `head` (5
    rows), `types` (what each column seems to be, by the rows looked at), `looked` (how many rows
    that were) and `whole` (whether these are all there are); `guesses` and `classes` as in
    `preview`. `inputs`: whether the columns are what is learned from.
    """
    few = _first_lines(members)
    joined = related(few, torn=True)
    raw = joined[0]
    found = _joined([raw], named_in(asked or Asked()))
    frame = found.frame
    given = {}
    if len(members) - len(few) + len(joined) > 1:
        stem = next(m.stem for m in members if m.name == raw.name)
        frame["domain" if "domain" not in frame else "from file"] = stem
        given = {"domain": str(frame.columns[-1])}
    guesses = (
        _with_patients(frame, given, asked or Asked())
        if inputs
        else find_roles(frame, given, asked or Asked())
    )
    return {
        "guesses": [asdict(g) | {"words": g.in_words} for g in guesses],
        "classes": few_words(frame),
        "columns": [str(c) for c in frame.columns],
        "head": frame.head(5),
        "types": {str(c): kind(frame[c]) for c in frame.columns},
        "looked": len(frame),
        "whole": all(r.whole for r in few) and len(joined) == len(members) - len(few) + 1,
        "rules": [*raw.rules, *found.rules],
    }


def _first_lines(members: list[Member]) -> list[Raw]:
    """The first lines of the first file; of all of a few files, where some have other columns."""
    first = _raw(members[0], limits.PREVIEW)
    more = [_raw(m, limits.PREVIEW) for m in members[1:] if len(members) <= RELATED]
    alike = all(set(r.columns) == set(first.columns) for r in more)
    return [first] if alike else [first, *more]


def few_words(frame: pd.DataFrame) -> dict[str, list[str]]:
    """The different words of each column that has two to twenty, as classes are called."""
    found = {}
    for column in frame.columns:
        if (
            2 <= frame[column].iloc[:1000].nunique() <= CATEGORIES
            and 2 <= frame[column].nunique() <= CATEGORIES
        ):
            few = pd.DataFrame({"label": frame[column].drop_duplicates()})
            found[str(column)] = Dataset("", "table", few, roles={"label": "label"}).classes
    return found


def frame_of(member: Member) -> pd.DataFrame:
    """The table in a CSV or Parquet file, columns typed. UserError naming the line or column that
    is wrong.
    """
    return whole([member]).frame


def _raw(member: Member, most: int | None = None) -> Raw:
    """A file as it stands; of a text file only the first `most` bytes, of Parquet only the first
    rows, if asked.
    """
    if member.head[:4] != b"PAR1":
        words = split_up(member, most)
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
    table, all_there = parquet.opened(member, most is not None)
    columns, rules = parquet.columns(table, member.name)
    return Raw(member.name, columns, "parquet", len(table), lambda i: i, rules, all_there)


def _totals(columns: dict[str, pa.ChunkedArray]) -> list[Note]:
    """A note on the last row where it begins like a row of totals."""
    for column, words in list(columns.items())[:2]:
        last = words[-1].as_py().strip() if len(words) > 1 else ""
        if SUMMARY.fullmatch(last):
            return [Note("total", column, {last: 1}, [len(words) - 1], 1)]
    return []


def encoded(
    frame: pd.DataFrame, roles: dict[str, str], left_out: Collection[str] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Inputs [n,d] and their names: numbers as they are, categories as "column=word"; roles,
    constants, names and the columns named in `left_out` left out.

    float32, or float64 when a column of numbers needs it (see `core.data.scaling.precise`).
    """
    # names, and what makes each: all columns never stand beside one another twice
    parts: list[tuple[str, Callable[[], np.ndarray]]] = []
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


def precise_entry(values: np.ndarray) -> dict[str, bool]:
    """What a table's card says of inputs that `encoded` keeps as float64: that models subtract
    their offset first.
    """
    return {"precise": True} if values.dtype == np.float64 else {}


def _numbers(column: str, series: pd.Series) -> list[tuple[str, Callable[[], np.ndarray]]]:
    values = series.to_numpy(np.float64, na_value=np.nan)
    there = values[~np.isnan(values)]
    if not len(there) or there.min() == there.max():
        return []
    named = str(column).lower() in ("id", "index", "row", "number") or str(column).lower().endswith(
        "_id"
    )
    if (
        named
        and len(there) == len(values) > 20
        and bool((values == values.round()).all())
        and series.nunique() == len(values)
    ):
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
    """`table` with the columns of a sheet, joined on the sheet's column that names every file; None
    when there is no such column.
    """
    frame = frame_of(sheet)
    names = [PurePosixPath(f).name for f in table["file"]]
    stems = [n[:-7] if n.lower().endswith(".nii.gz") else PurePosixPath(n).stem for n in names]
    for column in frame.columns:
        keys = frame[column].astype(str).map(lambda v: PurePosixPath(str(v)).name)
        use = next((u for u in (names, stems) if set(u) <= set(keys)), None)
        if use is not None:
            double = keys[keys.duplicated() & keys.isin(use)]
            if len(double):
                raise UserError(
                    f"{sheet.name}, column “{column}”: {double.iloc[0]} is there twice."
                )
            more = frame.set_index(keys).loc[use].drop(columns=[column]).reset_index(drop=True)
            return pd.concat([table, more[[c for c in more.columns if c not in table]]], axis=1)
    return None


def _text_column(frame: pd.DataFrame, roles: dict[str, str]) -> str | None:
    """A full column of sentences (on average over 40 characters and 5 words, mostly different),
    where there is one.
    """
    for column in frame.columns:
        series = frame[column]
        plain = column in roles.values() or is_numeric_dtype(series) or not series.notna().all()
        if not plain and sentences(
            pa.chunked_array([pa.array(series.astype(str), pa.large_string())])
        ):
            return str(column)
    return None


def _types(frame: pd.DataFrame) -> dict[str, str]:
    return {str(c): kind(frame[c]) for c in frame.columns[:200]}
