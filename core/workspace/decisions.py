"""The decisions of people about the cases of a dataset, as kept in its folder, and the view of the
data that follows from them.

One small json file a decision, in `review/` beside the dataset. The stored data never changes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from core.data.dataset import Dataset

What = Literal["exclude", "ignore", "release", "part", "label", "normal"]
WORDS = {
    "exclude": "excluded",
    "ignore": "ignored",
    "release": "released",
    "part": "moved to another part",
    "label": "relabelled",
    "normal": "named as the normal class",
}


@dataclass(frozen=True)
class Decision:
    """One decision of a person. `rows` are row ids; `finding` is the kind of finding it answers (""
    = none); `value` is the part or label given; `author` is who was signed in, "" where nobody is
    asked to.
    """

    id: str
    what: What
    rows: list[int] = field(default_factory=list)
    reason: str = ""
    finding: str = ""
    value: str = ""
    when: float = 0.0
    author: str = ""


# -- reading ---------------------------------------------------------------------------------------
def load_decisions(folder: Path) -> list[Decision]:
    """Return the decisions kept in a dataset's `folder`, in the order they were made."""
    return [Decision(**json.loads(p.read_text())) for p in decision_files(folder)]


def decisions_stamp(folder: Path) -> str:
    """Tells two states of the decisions apart without reading them; "" when there are none."""
    return "".join(p.stem for p in decision_files(folder))


def decision_files(folder: Path) -> list[Path]:
    """Return the files of decisions about a dataset, oldest first."""
    return sorted((folder / "review").glob("*.json"))


def rows_of_kind(decisions: list[Decision], what: What) -> np.ndarray:
    """int64 row ids of all decisions of a kind, sorted, each once."""
    found = [np.asarray(d.rows, dtype=np.int64) for d in decisions if d.what == what]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)


def count_stored_rows(folder: Path) -> int:
    """How many rows the dataset in `folder` has in all."""
    import pyarrow.parquet as parquet

    return int(parquet.read_metadata(folder / "table.parquet").num_rows)


def reasons_held(where: Path | Dataset) -> np.ndarray:
    """Why each stored row was held back at import: object array of words, None = it was not.
    `where` is the dataset or its folder.
    """
    import pandas as pd
    import pyarrow.parquet as parquet

    if isinstance(where, Path):
        there = "held" in parquet.read_schema(where / "table.parquet").names
        column = (
            pd.read_parquet(where / "table.parquet", columns=["held"])["held"] if there else None
        )
        many = count_stored_rows(where)
    else:
        column = where.table.get("held")
        many = len(where.table)
    return (
        np.full(many, None, dtype=object)
        if column is None
        else column.astype(object).where(column.notna(), None).to_numpy()
    )


def find_hidden_rows(reasons: np.ndarray, decisions: list[Decision]) -> np.ndarray:
    """`bool` over the stored rows, of which `reasons` says why they were held back: those excluded,
    or held back and not released.
    """
    out = np.array([r is not None for r in reasons], dtype=bool)
    out[rows_of_kind(decisions, "release")] = False
    out[rows_of_kind(decisions, "exclude")] = True
    return out


def apply_decisions(data: Dataset, decisions: list[Decision], whole: bool = False) -> Dataset:
    """Return the stored dataset `data` as people decided: parts, labels and the normal class
    changed, and without hidden rows unless `whole`. Row ids stay.
    """
    data = _set_normal(data, decisions)
    changes = [d for d in decisions if d.what in ("part", "label")]
    out = (
        np.zeros(0, np.int64)
        if whole
        else np.flatnonzero(find_hidden_rows(reasons_held(data), decisions))
    )
    if not changes and not len(out):
        return data
    kept = np.setdiff1d(np.arange(len(data.table)), out) if len(out) else None
    table = _apply_changes(data, changes) if changes else data.table
    return replace(data, table=table, hash=hash_view(data.hash, decisions, out), at=kept, kept=kept)


def last_normal(decisions: list[Decision]) -> str | None:
    """Return the class that was last named as the normal one; "" = none is, None = nobody
    decided.
    """
    return next((d.value for d in reversed(decisions) if d.what == "normal"), None)


def _set_normal(data: Dataset, decisions: list[Decision]) -> Dataset:
    value = last_normal(decisions)
    return (
        data
        if value is None
        else replace(data, card=data.card | {"normal": value, "normal guessed": ""})
    )


def hash_view(stored: str, decisions: list[Decision], out: np.ndarray) -> str:
    """Return the hash of a view: that of the stored data as long as no row is hidden (`out`: ids,
    sorted) or changed, another for every other view.
    """
    changes = [[d.what, d.rows, d.value] for d in decisions if d.what in ("part", "label")]
    if not changes and not len(out):
        return stored
    return hashlib.sha256(
        stored.encode() + out.tobytes() + json.dumps(changes).encode()
    ).hexdigest()


def _apply_changes(data: Dataset, changes: list[Decision]) -> Any:
    table = data.table.copy()
    for d in changes:
        column = data.roles.get({"part": "split", "label": "label"}[d.what])
        if column is not None:
            value = (
                d.value
                if d.what == "part"
                else next(
                    (v for v in data.table[column].dropna().unique() if str(v) == d.value), d.value
                )
            )
            table.loc[d.rows, column] = value
    return table
