"""Parquet tables: each column as words or values, by its type."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core import limits
from core.data.readers.column_types import EXACT
from core.data.readers.files import Member
from core.errors import UserError

FEW = 1000  # rows that are looked at before import
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
Column: TypeAlias = pa.ChunkedArray | pd.Series


def open_table(member: Member, few: bool) -> tuple[pa.Table, bool]:
    """Return the table (its first thousand rows: `few`) and whether that is all of it. UserError
    for what is no whole Parquet file, and for too many rows.
    """
    try:
        source = pq.ParquetFile(pa.BufferReader(member.load()))
        rows, width = source.metadata.num_rows, source.metadata.num_columns
        if rows > limits.ROWS:
            raise UserError(
                f"{member.name} holds {rows:,} rows; at most {limits.ROWS:,} are taken."
            )
        if width > limits.COLUMNS:
            raise UserError(
                f"{member.name} has {width:,} columns; at most {limits.COLUMNS:,} are taken."
            )
        if few and rows > FEW:
            return pa.Table.from_batches([next(source.iter_batches(FEW))]), False
        return source.read(), True
    except UserError:
        raise
    except Exception as e:
        raise UserError(
            f"{member.name} cannot be read as Parquet ({type(e).__name__}); it may be cut off."
        ) from None


def read_columns(table: pa.Table, name: str) -> tuple[dict[str, Column], list[str]]:
    """Each column by its name: words for columns of words, else values; and what was decided, in
    words.

    Decimals become numbers, durations seconds, days and times of day words. UserError for two
    columns of one name, and for lists, records and bytes.
    """
    double = next((c for c, k in Counter(table.column_names).items() if k > 1), None)
    if double is not None:
        raise UserError(f"{name} has two columns called “{double}”; rename one.")
    found: dict[str, Column] = {}
    seconds = []
    for column in _order(table):
        values = _plain(table[column])
        if pa.types.is_duration(values.type):
            seconds.append(column)
        found[column] = _read(values, column, name)
    return found, [f"durations in seconds: {', '.join(seconds[:8])}"] if seconds else []


def _order(table: pa.Table) -> list[str]:
    """Return the columns, an index of pandas' that has a name first; one without a name is left
    out.
    """
    kept = _index_columns((table.schema.metadata or {}).get(b"pandas", b"{}"))
    index = [c for c in kept if isinstance(c, str) and c in table.column_names]
    rest = [c for c in table.column_names if c not in index]
    return [*(c for c in index if not c.startswith("__index_level_")), *rest]


def _index_columns(notes: bytes) -> list[Any]:
    """Return what pandas noted of its index; nothing where the note is damaged, since the values do
    not depend on it.
    """
    try:
        found = json.loads(notes)
    except ValueError:  # no JSON, or no text at all
        return []
    kept = found.get("index_columns") if isinstance(found, dict) else None
    return kept if isinstance(kept, list) else []


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without dictionaries and runs."""
    if pa.types.is_dictionary(values.type):
        return pc.cast(values, values.type.value_type)
    if pa.types.is_run_end_encoded(values.type):
        return pc.run_end_decode(values)
    return values


def _read(values: pa.ChunkedArray, column: str, name: str) -> Column:
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pc.fill_null(pc.cast(values, pa.string()), "")
    if pa.types.is_decimal(kind):
        return _decimal(values)
    if pa.types.is_duration(kind):
        numbers = pc.cast(pc.cast(values, pa.int64()), pa.float64())
        return pc.multiply(numbers, SECONDS[kind.unit]).to_pandas()
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return pc.cast(values, pa.string()).to_pandas()
    if pa.types.is_boolean(kind):
        return (
            values.to_pandas()
            if not values.null_count
            else values.to_pandas(types_mapper=lambda _: pd.BooleanDtype())
        )
    if pa.types.is_integer(kind) and values.null_count and _largest(values) > EXACT:
        whole = pd.UInt64Dtype() if kind == pa.uint64() else pd.Int64Dtype()
        return values.to_pandas(types_mapper=lambda _: whole)
    if (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_null(kind)
    ):
        return values.to_pandas()
    what = (
        "lists"
        if pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        else None
    )
    what = what or (
        "records"
        if pa.types.is_struct(kind) or pa.types.is_map(kind)
        else "bytes or something else"
    )
    raise UserError(
        f"{name}, column “{column}” holds {what}; only numbers and words are read. Leave the column"
        " out, or write each of its values as a column."
    )


def _largest(values: pa.ChunkedArray) -> int:
    ends = pc.min_max(values).as_py()
    return max(abs(ends["min"] or 0), abs(ends["max"] or 0))


def _decimal(values: pa.ChunkedArray) -> Column:
    """Decimals as floats; whole ones as whole numbers, or as words where those could not hold them
    (long ids).
    """
    if values.type.scale > 0 or values.null_count == len(values):
        return pc.cast(values, pa.float64()).to_pandas()
    if _largest(values) > EXACT:
        return pc.fill_null(pc.cast(values, pa.string()), "")
    return pc.cast(values, pa.int64()).to_pandas()
