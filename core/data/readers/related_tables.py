"""Tables of one folder that belong together by a shared column: labels in a file of their own,
facts of patients beside their visits, lists that write codes out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from core.data.readers.csv_text import strip_words

if TYPE_CHECKING:
    from core.data.readers.joined_tables import Raw

CODES = 40  # rows of a list that writes codes out
SAID = 6  # codes that are named in the rule


def join_related_tables(read: list[Raw], torn: bool = False) -> list[Raw]:
    """Return the tables of the most rows, with the columns of the others joined to them; as they
    are where all have the same columns, or some table does not belong to them.

    A table belongs to them by the one column whose values it holds once each and which knows every
    value there; what else both hold must agree. One of two columns that only writes codes out
    (1, neoplasms) takes their place. `torn`: only first rows are there, so values may be unknown.
    """
    kinds: dict[frozenset[str], list[Raw]] = defaultdict(list)
    for raw in read:
        kinds[frozenset(raw.columns)].append(raw)
    if len(kinds) < 2 or any(raw.how == "no header" for raw in read):
        return read
    main = max(kinds.values(), key=lambda some: (sum(r.rows for r in some), len(some[0].columns)))
    others = [raw for some in kinds.values() if some is not main for raw in some]
    if len(others) != len(kinds) - 1:
        return read
    for other in sorted(others, key=lambda raw: -len(raw.columns)):  # lists of codes come last
        key = _key(main, other, torn)
        if key is None:
            return read
        main = _with(main, other, key)
    return main


def _key(main: list[Raw], other: Raw, torn: bool) -> str | None:
    """Return the column by which `other` belongs to the rows of `main`, if there is just one."""
    shared = [c for c in main[0].columns if c in other.columns and not c.startswith("column ")]
    fits = [c for c in shared if _knows(main, other, c, torn)]
    if len(fits) != 1:
        return None
    rest = [c for c in shared if c != fits[0]]
    at = [pc.index_in(_words(raw, fits[0]), value_set=_words(other, fits[0])) for raw in main]
    for column in rest:
        for raw, rows in zip(main, at):
            theirs = _words(other, column).take(rows)
            if pc.any(pc.not_equal(theirs, _words(raw, column))).as_py():
                return None
    return fits[0]


def _knows(main: list[Raw], other: Raw, column: str, torn: bool) -> bool:
    """Whether a table holds each value of a column once, and all those of `main`."""
    theirs = _words(other, column)
    if pc.count_distinct(theirs).as_py() < len(theirs) or pc.any(pc.equal(theirs, "")).as_py():
        return False
    for raw in main:
        known = pc.is_in(_words(raw, column), value_set=theirs)
        if not (pc.any(known) if torn else pc.all(known)).as_py():
            return False
    return True


def _with(main: list[Raw], other: Raw, key: str) -> list[Raw]:
    theirs = _words(other, key)
    new = [c for c in other.columns if c not in main[0].columns]
    rows = sum(raw.rows for raw in main)
    written_out = (
        len(other.columns) == 2
        and len(new) == 1
        and other.rows <= min(CODES, rows // 2)
        and pc.count_distinct(_words(other, new[0])).as_py() == other.rows
    )
    out = []
    for raw in main:
        at = pc.index_in(_words(raw, key), value_set=theirs)
        if written_out:
            more = {key: _words(other, new[0]).take(at)}
        else:
            more = {c: _taken(other.columns[c], at) for c in new}
        out.append(replace(raw, columns={**raw.columns, **more}))
    if written_out:
        pairs = list(zip(theirs.to_pylist(), _words(other, new[0]).to_pylist()))
        said = ", ".join(f"{code} = {words}" for code, words in pairs[:SAID])
        rule = (
            f"the codes of “{key}” are written out by {other.name}"
            f" ({said}{' …' if len(pairs) > SAID else ''})"
        )
    else:
        rule = f"{other.name}: its columns are joined by “{key}” ({_listed(new)})"
    out[0] = replace(out[0], rules=[*out[0].rules, *other.rules, rule])
    return out


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SAID]) + (" …" if len(names) > SAID else "")


def _words(raw: Raw, column: str) -> pa.ChunkedArray:
    """Return a column as words without spaces around; whole numbers alike whatever type they came
    with.
    """
    values = raw.columns[column]
    if isinstance(values, pd.Series):
        plain = values.astype("Int64") if pd.api.types.is_integer_dtype(values) else values
        values = pa.chunked_array([pa.array(plain.astype(str), pa.string())])
    return pa.chunked_array([pc.cast(strip_words(values), pa.string()).combine_chunks()])


def _taken(values: pa.ChunkedArray | pd.Series, at: pa.ChunkedArray) -> pa.ChunkedArray | pd.Series:
    if isinstance(values, pd.Series):
        return values.reindex(at.to_pandas()).reset_index(drop=True)
    found = values.combine_chunks().take(at)
    return pc.fill_null(found, "")
