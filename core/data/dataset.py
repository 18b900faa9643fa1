"""A dataset: rows with stable ids, their samples, their table, their masks, and a card. Immutable
once imported.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.data.stored import (
    StoredTable,
    class_word,
    has_checksums,
    listed_files,
    number_first,
    read_rows,
)
from core.errors import UserError
from core.io import arrays, checksums, files
from core.io.files import make_folder, remove, write_json, write_with
from core.io.threads import read_ahead

Modality = Literal["image", "volume", "table", "text", "series", "sequence"]
ROLES = ("file", "label", "group", "domain", "split", "text", "sequence", "time")
WRITERS = 2  # blocks of samples that are packed and written at a time
SPLITS = ("train", "val", "test")
# Columns for the machine: geometry (see `core.data.geometry`), and why a row is held back until a
# person has looked. No colours, no table on screen.
TECHNICAL = ("axes", "mm_slice", "mm_down", "mm_across", "oblique_deg", "held")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of one modality.

    `at` holds the positions of this view in the stored arrays; a part shares arrays with the whole.

    samples: image [n,C,H,W] · volume [n,C,D,H,W] · series [n,C,T] · table [n,d] (NaN = missing;
        float32, or float64 where a column needs it: see `core.data.scaling.needs_float64`) · None
        for text and sequences (genomes: strings in the text column). numpy or Zarr.
    table: pandas, one line a row, default index; `roles` says which column is file, label, group
        (patient), domain (site), split, text, sequence (the clip a video frame is of), time (order
        within it).
    masks: uint8 [n,*spatial], non-zero = marked (1, or the label where there are several); None
        when there are none. A bool column `outlined` may say which rows have the truth.
    features: names of the d columns of a table's samples.
    input_range: (low, high), the values that become 0 and 1 in a model's input.
    """

    name: str
    modality: Modality
    table: pd.DataFrame
    samples: Any = None
    masks: Any = None
    roles: dict[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    input_range: tuple[float, float] = (0.0, 1.0)
    # source, licence, notes, synthetic, spacing, ... plain json values
    card: dict[str, Any] = field(default_factory=dict)
    at: np.ndarray | None = None
    hash: str = ""
    # ids of all rows in use: neither excluded nor held back (see `core.workspace.review`); None =
    # every row
    kept: np.ndarray | None = None
    # int64 class codes of all stored rows, in place of the label column (see `with_labels`)
    codes: np.ndarray | None = None

    # -- rows and columns --------------------------------------------------------------------------
    @cached_property
    def rows(self) -> np.ndarray:
        """int64 ids: the position of each row in the dataset as imported."""
        return np.arange(len(self.__dict__["table"])) if self.at is None else self.at

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.shape))
        classes = f", {len(self.classes)} classes" if "label" in self.roles else ""
        of = f" of {size}" if size else ""
        return f"Dataset(“{self.name}”: {len(self)} rows, {self.modality}{of}{classes})"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample; () for text."""
        return () if self.samples is None else tuple(self.samples.shape[1:])

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table of this view, indexed by row id."""
        frame = self.table if self.at is None else self.table.iloc[self.at]
        return frame.set_axis(pd.Index(self.rows, name="row"), axis=0)

    @cached_property
    def shown(self) -> pd.DataFrame:
        """The table of this view for the screen: texts cut to 80 letters, sequences and columns
        without any value left out.
        """
        frame = self.frame.drop(columns=[c for c in TECHNICAL if c in self.table]).dropna(
            axis=1, how="all"
        )
        name = self.roles.get("text")
        if self.modality == "sequence":
            return frame.drop(columns=[c for c in (name,) if c in frame])
        return (
            frame
            if name is None or name not in frame
            else frame.assign(**{name: frame[name].astype(str).str.slice(0, 80)})
        )

    def column(self, role: str) -> np.ndarray | None:
        """Return the column that plays `role`, as an object array (None = missing), or None when no
        column does.
        """
        name = self.roles.get(role)
        if name is None:
            return None
        values = self._values(name).astype(object)
        return values.where(values.notna(), None).to_numpy()

    def _values(self, name: str) -> pd.Series:
        """One column of this view; of a stored dataset it alone is read."""
        held = self.__dict__["table"]
        values = held.column(name) if isinstance(held, StoredTable) else held[name]
        return values if self.at is None else values.iloc[self.at]

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes over the whole dataset, sorted (numbers by value)."""
        if "label" not in self.roles:
            return []
        values = replace(self, table=self.__dict__["table"], at=None)._values(self.roles["label"])
        return sorted({class_word(v) for v in pd.unique(values.dropna())}, key=number_first)

    @property
    def normal(self) -> str:
        """The class of the normal cases (see `core.data.normal`), "" = not known."""
        value = str(self.card.get("normal", ""))
        return value if value in self.classes else ""

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 class codes of this view into `classes`; -1 = missing or no label column."""
        if self.codes is not None:
            return self.codes[self.rows]
        if "label" not in self.roles:
            return np.full(len(self), -1)
        code = {c: i for i, c in enumerate(self.classes)}
        at, values = pd.factorize(self._values(self.roles["label"]))
        # -1, missing, is the last
        return np.array([*(code[class_word(v)] for v in values), -1], dtype=np.int64)[at]

    @property
    def groups(self) -> np.ndarray | None:
        """The patient (or other group) of each row [n]; None where no column says it."""
        return self.column("group")

    @property
    def domains(self) -> np.ndarray | None:
        """The site or scanner of each row [n]; None where no column says it."""
        return self.column("domain")

    @cached_property
    def splits(self) -> np.ndarray:
        """“train”, “val” or “test” of each row; all “train” when nothing was split."""
        if "split" not in self.roles:
            return np.full(len(self), "train")
        at, values = pd.factorize(self._values(self.roles["split"]))
        return np.array([*map(str, values), "None"])[at]

    # -- views -------------------------------------------------------------------------------------
    def take(self, positions: np.ndarray) -> Dataset:
        """Return the view of these positions (of this view), in the order given."""
        return self.of(self.rows[np.asarray(positions)])

    def of(self, rows: np.ndarray) -> Dataset:
        """Return the view of these row ids, in the order given."""
        return replace(self, table=self.__dict__["table"], at=np.asarray(rows, dtype=np.int64))

    @property
    def every(self) -> Dataset:
        """The view of all rows in use, whatever part of them this view is."""
        return replace(self, at=self.kept)

    def part(self, split: str) -> Dataset:
        """Return the rows of one split."""
        return self.take(np.flatnonzero(self.splits == split))

    @property
    def reference(self) -> Dataset:
        """What is usual here: the training part, or every row where there is none (data a model
        was applied to).
        """
        train = self.part("train")
        return train if len(train) else self

    def with_samples(self, array: np.ndarray) -> Dataset:
        """Return the rows of this view with numbers made of them, float32 [n,*shape], in place of
        their samples: a network is given these as they are.

        Rows are renumbered from 0; groups, sites and the codes of labels stay, masks and the
        facts of the card go.
        """
        return replace(
            self,
            modality="series" if array.ndim > 2 else "table",
            samples=array,
            masks=None,
            features=(),
            input_range=(0.0, 1.0),
            card={},
            table=self.frame.reset_index(drop=True),
            at=None,
            kept=None,
            codes=self.labels,
        )

    def with_labels(self, codes: np.ndarray) -> Dataset:
        """Return the same view with class codes int64 [n] (-1 = unknown) in place of its labels."""
        stored = np.full(len(self.__dict__["table"]), -1)
        stored[self.rows] = codes
        return replace(self, table=self.__dict__["table"], codes=stored)

    # -- values ------------------------------------------------------------------------------------
    def raw(self, positions: np.ndarray | None = None) -> np.ndarray:
        """Return samples as stored (HU, uint8, ...) at these positions of the view; all of them by
        default.
        """
        if self.samples is None:
            raise UserError(f"“{self.name}” holds text, which has no arrays.")
        rows = self.rows if positions is None else self.rows[positions]
        return read_rows(self.samples, rows)

    @property
    def input_type(self) -> np.dtype:
        """float32; float64 for a table whose card says "precise": its offsets are subtracted
        (`Standardise`) before it becomes float32.
        """
        double = (
            self.modality == "table"
            and self.samples is not None
            and self.card.get("precise", False)
        )
        return np.dtype(np.float64 if double else np.float32)

    def inputs(self, positions: np.ndarray | None = None) -> np.ndarray:
        """Model inputs of `input_type`: images and volumes mapped by `input_range` to [0, 1];
        tables and series as they are (NaN = missing).
        """
        raw = self.raw(positions).astype(self.input_type)
        if self.modality in ("image", "volume"):
            low, high = self.input_range
            raw -= np.float32(low)
            raw /= np.float32(high - low)
            np.clip(raw, 0.0, 1.0, out=raw)
        return raw

    def mask(self, positions: np.ndarray | None = None) -> np.ndarray:
        """`bool` masks [n,*spatial] of these positions. UserError when there are none."""
        if self.masks is None:
            raise UserError(f"“{self.name}” has no masks.")
        return read_rows(self.masks, self.rows if positions is None else self.rows[positions]) > 0

    @property
    def outlined(self) -> np.ndarray:
        """`bool [n]`: rows whose mask is the truth. A column `outlined` (true, false) tells;
        without it every row of masked data counts.
        """
        if self.masks is None or "outlined" not in self.table:
            return np.full(len(self), self.masks is not None)
        return self.frame["outlined"].fillna(False).to_numpy(dtype=bool)

    @property
    def texts(self) -> np.ndarray:
        """The text of each row [n], as str. UserError where there is no text column."""
        values = self.column("text")
        if values is None:
            raise UserError(f"“{self.name}” has no text column.")
        return np.array([v or "" for v in values], dtype=object)

    def names(self) -> np.ndarray:
        """Return what to call each row on screen: its file name, or "row 12"."""
        files = self.column("file")
        return np.array(
            [f"row {r}" for r in self.rows] if files is None else [str(f) for f in files],
            dtype=object,
        )

    # -- storage -----------------------------------------------------------------------------------
    def content_hash(self) -> str:
        """sha256 of samples, masks, table and roles; the same data gives the same hash, whatever it
        is called.
        """
        return self._hashed(
            lambda key, array: (
                np.asarray(array[i : i + 256]) for i in range(0, array.shape[0], 256)
            )
        )

    def _hashed(self, blocks: Callable[[str, Any], Iterable[np.ndarray]]) -> str:
        """Return the content hash, over the blocks that `blocks` gives of each stored array, in
        order.
        """
        h = hashlib.sha256(
            json.dumps(
                [self.modality, self.roles, self.features, self.input_range], sort_keys=True
            ).encode()
        )
        for key, array in (("samples", self.samples), ("masks", self.masks)):
            if array is not None:
                h.update(f"{array.shape}{array.dtype}".encode())
                for block in blocks(key, array):
                    h.update(np.ascontiguousarray(block).data)
        h.update(self._table_digest)
        return h.hexdigest()

    @cached_property
    def _table_digest(self) -> bytes:
        """What of the table goes into the content hash: numbers as their bytes, words as codes and
        the different words.
        """
        h = hashlib.sha256(repr(list(self.table.columns)).encode())
        for _, values in self.table.items():
            if isinstance(values.dtype, np.dtype) and values.dtype.kind in "biufM":
                h.update(f"{values.dtype}".encode() + np.ascontiguousarray(values).tobytes())
            else:
                at, words = pd.factorize(values)
                h.update(
                    at.astype(np.int64).tobytes()
                    + json.dumps([str(w) for w in words.tolist()]).encode()
                )
        return h.digest()

    def save(
        self, folder: Path, report: Callable[[int, int], None] = lambda done, total: None
    ) -> Dataset:
        """Write samples and masks as Zarr v3, the table as Parquet, the rest as json; gives the
        dataset as stored, with its hash.

        One pass: blocks of 4 MB are read, hashed and written, so arrays that are made as they are
        read never stand in memory whole; the next block is read while others are hashed and
        written, each on a thread of its own, and so is the table. `report` hears rows done of all
        and may raise. When `folder` holds the blocks of a save of the same data that was broken
        off, it goes on behind them.
        """
        make_folder(folder)
        total = sum(len(a) for a in (self.samples, self.masks) if a is not None)
        done = 0

        def written(key: str, array: Any) -> Iterator[np.ndarray]:
            per = max(
                1,
                min(
                    len(array),
                    (4 << 20) // max(1, array.dtype.itemsize * int(np.prod(array.shape[1:]))),
                ),
            )
            place, mark = folder / f"{key}.zarr", folder / f"{key}.blocks.json"
            same = [list(array.shape), str(array.dtype), per, self._table_digest.hex()]
            before = json.loads(mark.read_text()) if mark.exists() else {}
            kept = before.get("blocks", 0) if before.get("of") == same else 0
            store = (
                arrays.open_to_write(place)
                if kept
                else arrays.create_array(place, array.shape, array.dtype, per)
            )
            many = -(-len(array) // per)

            def block_of(k: int) -> np.ndarray:
                return np.asarray((store if k < kept else array)[k * per : (k + 1) * per])

            def write(k: int, block: np.ndarray) -> None:
                if k >= kept:
                    files.before("write", place)
                    arrays.write_chunk(store, k * per, block)

            def finish(k: int, entries: int, writing: Future[None]) -> None:
                nonlocal done
                writing.result()
                if k >= kept and (k + 1) % 8 == 0:
                    write_json(mark, {"of": same, "blocks": k + 1})
                done += entries
                report(done, total)

            begun: deque[tuple[int, int, Future[None]]] = deque()
            with ThreadPoolExecutor(WRITERS) as threads:
                for k, block in enumerate(read_ahead(block_of, range(many))):
                    begun.append((k, len(block), threads.submit(write, k, block)))
                    yield block  # hashed meanwhile
                    if len(begun) == WRITERS:
                        finish(*begun.popleft())
                while begun:
                    finish(*begun.popleft())
            remove(mark)

        def write_table() -> None:
            write_with(folder / "table.parquet", lambda f: self.table.to_parquet(f, index=False))

        with ThreadPoolExecutor(1) as thread:
            writing = thread.submit(write_table)
            found = self._hashed(written)
            writing.result()
        kept = {
            k: getattr(self, k)
            for k in ("name", "modality", "roles", "features", "input_range", "card")
        }
        write_json(folder / "dataset.json", kept | {"hash": found})
        checksums.write_manifest(folder)
        return Dataset.load(folder)

    @classmethod
    def load(cls, folder: Path, called: str = "") -> Dataset:
        """Open what `save` wrote. Every file that the manifest lists has to be there in its size,
        small ones are compared with what was written; samples and table are compared when they are
        read. UserError, which says `called` for the dataset, for any that is lost or changed.
        """
        called = called or folder.name
        lines: dict[str, checksums.Sum] = {}
        if (folder / checksums.NAME).exists():
            lines = listed_files(folder, called)
        elif has_checksums(folder):
            raise checksums.damage_error(called, [checksums.NAME])
        try:
            meta = json.loads((folder / "dataset.json").read_text())
        except (OSError, ValueError):
            raise checksums.damage_error(called, ["dataset.json"]) from None
        stored: dict[str, Any] = {
            k: (
                arrays.StoredArray(folder, k, lines, called)
                if (folder / f"{k}.zarr").exists()
                else None
            )
            for k in ("samples", "masks")
        }
        meta["features"], meta["input_range"] = tuple(meta["features"]), tuple(meta["input_range"])
        table: Any = StoredTable(folder / "table.parquet", lines.get("table.parquet"), called)
        return cls(table=table, **stored, **meta)


class _Table:
    """The field `table`, which may hold a `StoredTable`; whoever asks gets a frame."""

    def __get__(self, data: Dataset, owner: type | None = None) -> pd.DataFrame:
        held = data.__dict__["table"]
        return held.table if isinstance(held, StoredTable) else held

    def __set__(self, data: Dataset, table: Any) -> None:
        data.__dict__["table"] = table


Dataset.table = _Table()  # type: ignore[assignment]
