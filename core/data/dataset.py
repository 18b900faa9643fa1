"""A dataset: rows with stable ids, their samples, their table, their masks, and a card. Immutable once imported."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from core.errors import UserError
from core.store.files import write_json, write_with

Modality = Literal["image", "volume", "table", "text", "series", "sequence"]
ROLES = ("file", "label", "group", "domain", "split", "text", "sequence", "time")
SPLITS = ("train", "val", "test")
# Columns for the machine: geometry (see `core.data.geometry`), and why a row is held back until a person has looked. No colours, no table on screen.
TECHNICAL = ("axes", "mm_slice", "mm_down", "mm_across", "oblique_deg", "held")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of one modality. `at` holds the positions of this view in the stored arrays; a part shares arrays with the whole.

    samples  image [n,C,H,W] · volume [n,C,D,H,W] · series [n,C,T] · table [n,d] (NaN = missing) · None for text and sequences
             (genomes: strings in the text column). numpy or Zarr.
    table    pandas, one line a row, default index; `roles` says which column is file, label, group (patient), domain (site), split, text,
             sequence (the clip a video frame is of), time (order within it).
    masks    uint8 [n,*spatial], non-zero = marked; None when there are none. A bool column `outlined` may say which rows have the truth.
    features names of the d columns of a table's samples. `input_range` (low, high): the values that become 0 and 1 in a model's input.
    """

    name: str
    modality: Modality
    table: pd.DataFrame
    samples: Any = None
    masks: Any = None
    roles: dict[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    input_range: tuple[float, float] = (0.0, 1.0)
    card: dict[str, Any] = field(default_factory=dict)  # source, licence, notes, synthetic, spacing, ... plain json values
    at: np.ndarray | None = None
    hash: str = ""
    kept: np.ndarray | None = None  # ids of all rows in use: neither excluded nor held back (see `core.store.review`); None = every row

    # -- rows and columns -----------------------------------------------------------------------------------------------------------
    @cached_property
    def rows(self) -> np.ndarray:
        """int64 ids: the position of each row in the dataset as imported."""
        return np.arange(len(self.table)) if self.at is None else self.at

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

    @property
    def shown(self) -> pd.DataFrame:
        """The table of this view for the screen: texts cut to 80 letters, sequences and columns without any value left out."""
        frame = self.frame.drop(columns=[c for c in TECHNICAL if c in self.table]).dropna(axis=1, how="all")
        name = self.roles.get("text")
        if self.modality == "sequence":
            return frame.drop(columns=[c for c in (name,) if c in frame])
        return frame if name is None or name not in frame else frame.assign(**{name: frame[name].astype(str).str.slice(0, 80)})

    def column(self, role: str) -> np.ndarray | None:
        """The column that plays `role`, as an object array (None = missing), or None when no column does."""
        name = self.roles.get(role)
        if name is None:
            return None
        values = self.frame[name].astype(object)
        return values.where(values.notna(), None).to_numpy()

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes over the whole dataset, sorted (numbers by value)."""
        if "label" not in self.roles:
            return []
        values = {_word(v) for v in self.table[self.roles["label"]].dropna()}
        return sorted(values, key=_number_first)

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 class codes of this view into `classes`; -1 = missing or no label column."""
        values = self.column("label")
        if values is None:
            return np.full(len(self), -1)
        code = {c: i for i, c in enumerate(self.classes)}
        return np.array([-1 if v is None else code[_word(v)] for v in values], dtype=np.int64)

    @property
    def groups(self) -> np.ndarray | None:
        return self.column("group")

    @property
    def domains(self) -> np.ndarray | None:
        return self.column("domain")

    @cached_property
    def splits(self) -> np.ndarray:
        """"train", "val" or "test" of each row; all "train" when nothing was split."""
        values = self.column("split")
        return np.full(len(self), "train") if values is None else values.astype(str)

    # -- views ----------------------------------------------------------------------------------------------------------------------
    def take(self, positions: np.ndarray) -> Dataset:
        """The view of these positions (of this view), in the order given."""
        return replace(self, at=self.rows[np.asarray(positions)])

    def of(self, rows: np.ndarray) -> Dataset:
        """The view of these row ids, in the order given."""
        return replace(self, at=np.asarray(rows, dtype=np.int64))

    @property
    def every(self) -> Dataset:
        """The view of all rows in use, whatever part of them this view is."""
        return replace(self, at=self.kept)

    def part(self, split: str) -> Dataset:
        """The rows of one split."""
        return self.take(np.flatnonzero(self.splits == split))

    # -- values ---------------------------------------------------------------------------------------------------------------------
    def raw(self, positions: np.ndarray | None = None) -> np.ndarray:
        """Samples as stored (HU, uint8, ...) at these positions of the view; all of them by default."""
        if self.samples is None:
            raise UserError(f"“{self.name}” holds text, which has no arrays.")
        rows = self.rows if positions is None else self.rows[positions]
        return _read(self.samples, rows)

    def inputs(self, positions: np.ndarray | None = None) -> np.ndarray:
        """float32 model inputs: images and volumes mapped by `input_range` to [0, 1]; tables and series as they are (NaN = missing)."""
        raw = self.raw(positions).astype(np.float32)
        if self.modality in ("image", "volume"):
            low, high = self.input_range
            raw -= np.float32(low)
            raw /= np.float32(high - low)
            np.clip(raw, 0.0, 1.0, out=raw)
        return raw

    @property
    def inputs_bytes(self) -> int:
        return 4 * len(self) * int(np.prod(self.shape)) if self.shape else 0

    def mask(self, positions: np.ndarray | None = None) -> np.ndarray:
        """bool masks [n,*spatial] of these positions. UserError when there are none."""
        if self.masks is None:
            raise UserError(f"“{self.name}” has no masks.")
        return _read(self.masks, self.rows if positions is None else self.rows[positions]) > 0

    @property
    def outlined(self) -> np.ndarray:
        """bool [n]: rows whose mask is the truth. A column `outlined` (true, false) tells; without it every row of masked data counts."""
        if self.masks is None or "outlined" not in self.table:
            return np.full(len(self), self.masks is not None)
        return self.frame["outlined"].fillna(False).to_numpy(dtype=bool)

    @property
    def texts(self) -> np.ndarray:
        values = self.column("text")
        if values is None:
            raise UserError(f"“{self.name}” has no text column.")
        return np.array([v or "" for v in values], dtype=object)

    def names(self) -> np.ndarray:
        """What to call each row on screen: its file name, or "row 12"."""
        files = self.column("file")
        return np.array([f"row {r}" for r in self.rows] if files is None else [str(f) for f in files], dtype=object)

    # -- storage --------------------------------------------------------------------------------------------------------------------
    def content_hash(self) -> str:
        """sha256 of samples, masks, table and roles; the same data gives the same hash, whatever it is called."""
        h = hashlib.sha256(json.dumps([self.modality, self.roles, self.features, self.input_range], sort_keys=True).encode())
        for array in (self.samples, self.masks):
            if array is not None:
                h.update(f"{array.shape}{array.dtype}".encode())
                for i in range(0, array.shape[0], 256):
                    h.update(np.ascontiguousarray(array[i : i + 256]).tobytes())
        h.update(pd.util.hash_pandas_object(self.table.astype(str), index=False).to_numpy().tobytes())
        h.update(repr(list(self.table.columns)).encode())
        return h.hexdigest()

    def save(self, folder: Path) -> Dataset:
        """Write samples and masks as Zarr v3, the table as Parquet, the rest as json; gives the dataset as stored, with its hash."""
        import zarr

        folder.mkdir(parents=True, exist_ok=True)
        for key, array in (("samples", self.samples), ("masks", self.masks)):
            if array is not None:
                per = max(1, min(len(array), (4 << 20) // max(1, array[0:1].nbytes)))
                store = zarr.create_array(folder / f"{key}.zarr", shape=array.shape, dtype=array.dtype, chunks=(per, *array.shape[1:]), overwrite=True)
                for i in range(0, len(array), per):
                    store[i : i + per] = array[i : i + per]
        write_with(folder / "table.parquet", lambda f: self.table.to_parquet(f, index=False))
        kept = {k: getattr(self, k) for k in ("name", "modality", "roles", "features", "input_range", "card")}
        write_json(folder / "dataset.json", kept | {"hash": self.content_hash()})
        return Dataset.load(folder)

    @classmethod
    def load(cls, folder: Path) -> Dataset:
        import zarr

        meta = json.loads((folder / "dataset.json").read_text())
        arrays: dict[str, Any] = {k: zarr.open_array(folder / f"{k}.zarr", mode="r") if (folder / f"{k}.zarr").exists() else None for k in ("samples", "masks")}
        meta["features"], meta["input_range"] = tuple(meta["features"]), tuple(meta["input_range"])
        return cls(table=pd.read_parquet(folder / "table.parquet"), **arrays, **meta)


def _read(array: Any, rows: np.ndarray) -> np.ndarray:
    if isinstance(array, np.ndarray):
        return array[rows]
    if len(rows) == array.shape[0] and np.array_equal(rows, np.arange(len(rows))):
        return np.asarray(array[:])
    if len(rows) * 4 > array.shape[0]:  # orthogonal selection costs more than reading the whole and indexing it
        return np.asarray(array[:])[rows]
    return np.asarray(array.oindex[np.asarray(rows)])


def _word(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number_first(word: str) -> tuple[int, float, str]:
    try:
        return 0, float(word), word
    except ValueError:
        return 1, 0.0, word
