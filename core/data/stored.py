"""Samples and tables as they are stored, and samples made as they are read."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.io import arrays, checksums
from core.io.threads import in_threads


def listed_files(folder: Path, called: str) -> dict[str, checksums.Sum]:
    """Return what the manifest of a stored dataset lists, once every file is there. UserError when
    one is not.
    """
    try:
        lines = checksums.read_manifest(folder)
    except (OSError, ValueError):
        raise checksums.damage_error(called, [checksums.NAME]) from None
    described = lines.get("dataset.json")
    if described is None:
        raise checksums.damage_error(called, [checksums.NAME])
    lost = checksums.find_misplaced_files(folder, lines)
    if not lost and checksums.has_changed(folder / "dataset.json", described):
        lost = ["dataset.json"]
    if lost:
        raise checksums.damage_error(called, lost)
    return lines


def has_checksums(folder: Path) -> bool:
    """Whether a stored dataset is of the time since chunks have checksums, and with them always a
    manifest.
    """
    described = folder / "samples.zarr" / "zarr.json"
    return described.exists() and b'"crc32c"' in described.read_bytes()


class StoredTable:
    """The table of a stored dataset: opening reads nothing of it, one column alone costs a fraction
    of the whole, and each is read once.

    `line`: what the manifest says of its file, compared when it is first read (once for each state
    of the file). UserError when it is another.
    """

    def __init__(self, path: Path, line: checksums.Sum | None = None, called: str = "") -> None:
        import pyarrow.parquet as pq

        self.path, self.line, self.called = path, line, called
        self.rows: int = self._tried(lambda: pq.read_metadata(path).num_rows)
        self.columns: dict[str, pd.Series] = {}

    @cached_property
    def table(self) -> pd.DataFrame:
        """The whole table, read once."""
        return self._checked(lambda: pd.read_parquet(self.path))

    def column(self, name: str) -> pd.Series:
        """One column, read once and without the others. UserError for a damaged file."""
        if "table" in self.__dict__:
            return self.table[name]
        if name not in self.columns:
            self.columns[name] = self._checked(lambda: pd.read_parquet(self.path, columns=[name]))[
                name
            ]
        return self.columns[name]

    def _checked(self, read: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        if self.line is not None and checksums.has_changed(self.path, self.line):
            raise checksums.damage_error(self.called, [self.path.name])
        return self._tried(read)

    def _tried(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (ValueError, OSError) as e:
            # the machine's own refusal
            if isinstance(e, OSError) and e.errno not in (None, errno.ENOENT):
                raise
            raise checksums.damage_error(self.called, [self.path.name]) from None

    def __len__(self) -> int:
        return self.rows


def read_rows(array: Any, rows: np.ndarray) -> np.ndarray:
    """Return the entries `rows` of a stored array [n,...], in their order, as numpy."""
    if isinstance(array, (np.ndarray, LazyArray)):
        return array[rows]
    low, high = (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, array.shape[0])
    # orthogonal selection costs more than reading all that lies between, and indexing it
    if len(rows) and len(rows) * 4 > high - low:
        between = np.asarray(array[low:high])
        return between if np.array_equal(rows, np.arange(low, high)) else between[rows - low]
    return array.take(rows)


class LazyArray(arrays.Entries):
    """An array [n,*shape] whose entries are made as they are read, for imports larger than memory:
    it takes slices, positions and one position.

    `make(i)` gives entry i, of exactly `shape` and `dtype`. Reading all of it costs n calls, every
    time. `at_once`: `make` may be called by several threads at a time; without it, one entry is
    made after the other, so that it may keep what it has read last.
    """

    def __init__(
        self,
        n: int,
        shape: tuple[int, ...],
        dtype: Any,
        make: Callable[[int], np.ndarray],
        at_once: bool = False,
    ) -> None:
        self.shape = (n, *shape)
        self.dtype = np.dtype(dtype)
        self.make = make
        self.at_once = at_once

    def __getitem__(self, at: Any) -> np.ndarray:
        positions = np.arange(len(self))[at]
        if positions.ndim == 0:
            return self.make(int(positions))
        out = np.empty((len(positions), *self.shape[1:]), self.dtype)

        def put(k: int) -> None:
            out[k] = self.make(int(positions[k]))

        if self.at_once:
            in_threads(put, range(len(positions)))
        else:
            for k in range(len(positions)):
                put(k)
        return out


def class_word(value: Any) -> str:
    """Return a class as it is shown: whole numbers without a point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def number_first(word: str) -> tuple[int, float, str]:
    """Return a key that sorts numbers by size, and words behind them."""
    try:
        return 0, float(word), word
    except ValueError:
        return 1, 0.0, word
