"""What every artifact is: rows, provenance, saving without pickle.

Every artifact carries `rows`, the stable int64 ids of the dataset rows it speaks about, and
`made_by`, its provenance. Arrays are saved as `.npy` (memory-mapped on load, never pickled),
everything else as json. Scores are oriented so that higher is more abnormal.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from core.io.files import make_folder, write_array, write_json, write_rows

Array = np.ndarray


@dataclass(frozen=True)
class MadeBy:
    """Provenance: enough to make the artifact again. `seconds` is wall time; hashes are sha256
    prefixes; `notes` are sentences to be read beside it.
    """

    run: str = ""
    method: str = ""
    version: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    data_hash: str = ""
    seed: int = 0
    device: str = "cpu"
    created: str = ""
    seconds: float = 0.0
    packages: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class NotFinite(ValueError):
    """A result holds NaN or infinite values, such as those of a training that broke down."""


TYPES: dict[str, type[Artifact]] = {}  # by name, each added as it is defined


@dataclass(kw_only=True)
class Artifact:
    """Base of all artifacts. `name` tells two of one type in a run apart ("latent",
    "reconstruction").

    Of slices: `rows` holds the volume of each entry, so row ids repeat, and `place [n]` int64 its
    slice, counted from 0. `folded` says in words how what was found for slices became one entry a
    volume; "" when it was not.
    """

    rows: Array
    name: str = ""
    made_by: MadeBy = field(default_factory=MadeBy)
    place: Array | None = None
    folded: str = ""

    per_row: ClassVar[tuple[str, ...]] = ()  # array fields whose first axis is `rows`
    lists: ClassVar[tuple[str, ...]] = ()  # list fields with one entry a row

    def __init_subclass__(cls) -> None:
        TYPES[cls.__name__] = cls

    def __post_init__(self) -> None:
        self.rows = np.asarray(self.rows, dtype=np.int64)
        self.validate()

    def validate(self) -> None:
        """Raise ValueError when a per-row array is misaligned, NotFinite when it holds NaN or
        infinite values.
        """
        if self.rows.ndim != 1:
            raise ValueError(
                f"{type(self).__name__}.rows must be one-dimensional, got shape {self.rows.shape}"
            )
        for key in (*self.per_row, "place"):
            value = getattr(self, key)
            if value is None:
                continue
            if len(value) != len(self.rows):
                raise ValueError(
                    f"{type(self).__name__}.{key} has {len(value)} entries for {len(self.rows)}"
                    " rows"
                )
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                bad = int((~np.isfinite(value.reshape(len(value), -1)).all(1)).sum())
                raise NotFinite(
                    f"{type(self).__name__}.{key} holds NaN or infinite values in {bad:,} of"
                    f" {len(value):,} rows"
                )

    @property
    def slug(self) -> str:
        """Folder name inside a run, e.g. `embedding-latent`."""
        return f"{type(self).__name__.lower()}{'-' + self.name if self.name else ''}"

    @property
    def how_folded(self) -> str:
        """For the end of a line: how slices became volumes; "" where nothing was folded."""
        return f"; a volume counts as the {self.folded}" if self.folded else ""

    def summary(self) -> str:
        """One plain line for lists."""
        return f"{type(self).__name__} of {len(self.rows)} rows"

    @classmethod
    def aligned(cls) -> bool:
        """Whether it holds something about every single row; Metrics, models and the like do not,
        and their `rows` only tell what they are of.
        """
        return bool(cls.per_row or cls.lists)

    def save(self, folder: Path, without: Array | None = None) -> None:
        """Write arrays as `<field>.npy` and the rest to `artifact.json` in `folder` (made if
        needed); `without` these row ids, if given.
        """
        make_folder(folder)
        plain: dict[str, Any] = {"type": type(self).__name__}
        thin = without is not None and self.aligned()
        keep = np.flatnonzero(~np.isin(self.rows, without)) if thin else np.zeros(0, np.int64)  # type: ignore[arg-type]
        for f in fields(self):
            value = getattr(self, f.name)
            mine = thin and f.name in ("rows", "place", *self.per_row, *self.lists)
            if isinstance(value, np.ndarray):
                (
                    write_rows(folder / f"{f.name}.npy", value, keep)
                    if mine
                    else write_array(folder / f"{f.name}.npy", value)
                )
            elif mine and value is not None:
                plain[f.name] = [value[i] for i in keep]
            else:
                plain[f.name] = asdict(value) if f.name == "made_by" else value
        write_json(folder / "artifact.json", plain)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; arrays are memory-mapped read-only."""
        plain = json.loads((folder / "artifact.json").read_text())
        kind = TYPES[plain.pop("type")]
        plain["made_by"] = MadeBy(**plain["made_by"])
        arrays = {
            p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in folder.glob("*.npy")
        }
        # validated when it was saved: do not read every page of a large file again
        made = kind.__new__(kind)
        for f in fields(kind):
            setattr(made, f.name, arrays.get(f.name, plain.get(f.name)))
        return made  # type: ignore[return-value]

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        """Return a small valid instance for view tests and empty galleries."""
        raise NotImplementedError

    def at(self, rows: Array) -> Array:
        """Positions of row ids `rows` in this artifact (int64); ids it does not hold are left
        out.
        """
        if not len(self.rows):
            return np.zeros(0, np.int64)
        order = np.argsort(self.rows, kind="stable")
        found = np.searchsorted(self.rows, rows, sorter=order)
        found = np.clip(found, 0, len(self.rows) - 1)
        positions = order[found]
        return positions[self.rows[positions] == np.asarray(rows)]
