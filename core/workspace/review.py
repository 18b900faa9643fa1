"""What people decided about the cases of a dataset: excluded, released from being held back, moved to another part, relabelled, findings ignored.

One small json file a decision, in `review/` beside the dataset, so that two people deciding at once lose nothing and taking one back is removing its
file. The stored data never changes: `applied` gives the view of it that everything else works on.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.data.dataset import SPLITS, Dataset
from core.errors import UserError
from core.io.files import make_folder, remove, write_json

if TYPE_CHECKING:
    from core.workspace.workspace import Workspace

What = Literal["exclude", "ignore", "release", "part", "label", "normal"]
WORDS = {
    "exclude": "excluded", "ignore": "ignored", "release": "released", "part": "moved to another part", "label": "relabelled", "normal": "named as the normal class",
}  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """One decision of a person. `rows` are row ids; `finding` is the kind of finding it answers ("" = none); `value` is the part or label given."""

    id: str
    what: What
    rows: list[int] = field(default_factory=list)
    reason: str = ""
    finding: str = ""
    value: str = ""
    when: float = 0.0


# -- reading ------------------------------------------------------------------------------------------------------------------------------
def load(folder: Path) -> list[Decision]:
    """The decisions kept in a dataset's `folder`, in the order they were made."""
    return [Decision(**json.loads(p.read_text())) for p in _files(folder)]


def stamp(folder: Path) -> str:
    """Tells two states of the decisions apart without reading them; "" when there are none."""
    return "".join(p.stem for p in _files(folder))


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "review").glob("*.json"))


def _rows(decisions: list[Decision], what: What) -> np.ndarray:
    found = [np.asarray(d.rows, dtype=np.int64) for d in decisions if d.what == what]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)


def stored(folder: Path) -> int:
    """How many rows the dataset in `folder` has in all."""
    import pyarrow.parquet as parquet

    return int(parquet.read_metadata(folder / "table.parquet").num_rows)


def reasons_held(where: Path | Dataset) -> np.ndarray:
    """Why each stored row was held back at import: object array of words, None = it was not. `where` is the dataset or its folder."""
    import pandas as pd
    import pyarrow.parquet as parquet

    if isinstance(where, Dataset):
        column = where.table.get("held")
        many = len(where.table)
    else:
        there = "held" in parquet.read_schema(where / "table.parquet").names
        column = pd.read_parquet(where / "table.parquet", columns=["held"])["held"] if there else None
        many = stored(where)
    return np.full(many, None, dtype=object) if column is None else column.astype(object).where(column.notna(), None).to_numpy()


def hidden(reasons: np.ndarray, decisions: list[Decision]) -> np.ndarray:
    """bool over the stored rows, of which `reasons` says why they were held back: those excluded, or held back and not released."""
    out = np.array([r is not None for r in reasons], dtype=bool)
    out[_rows(decisions, "release")] = False
    out[_rows(decisions, "exclude")] = True
    return out


def applied(data: Dataset, decisions: list[Decision], whole: bool = False) -> Dataset:
    """The stored dataset `data` as people decided: parts, labels and the normal class changed, and without hidden rows unless `whole`. Row ids stay."""
    data = _with_normal(data, decisions)
    changes = [d for d in decisions if d.what in ("part", "label")]
    out = np.zeros(0, np.int64) if whole else np.flatnonzero(hidden(reasons_held(data), decisions))
    if not changes and not len(out):
        return data
    kept = np.setdiff1d(np.arange(len(data.table)), out) if len(out) else None
    table = _changed(data, changes) if changes else data.table
    return replace(data, table=table, hash=view_hash(data.hash, decisions, out), at=kept, kept=kept)


def normal_told(decisions: list[Decision]) -> str | None:
    """The class that was last named as the normal one; "" = none is, None = nobody decided."""
    return next((d.value for d in reversed(decisions) if d.what == "normal"), None)


def _with_normal(data: Dataset, decisions: list[Decision]) -> Dataset:
    value = normal_told(decisions)
    return data if value is None else replace(data, card=data.card | {"normal": value, "normal guessed": ""})


def view_hash(stored: str, decisions: list[Decision], out: np.ndarray) -> str:
    """The hash of a view: that of the stored data as long as no row is hidden (`out`: ids, sorted) or changed, another for every other view."""
    changes = [[d.what, d.rows, d.value] for d in decisions if d.what in ("part", "label")]
    if not changes and not len(out):
        return stored
    return hashlib.sha256(stored.encode() + out.tobytes() + json.dumps(changes).encode()).hexdigest()


def _changed(data: Dataset, changes: list[Decision]) -> Any:
    table = data.table.copy()
    for d in changes:
        column = data.roles.get({"part": "split", "label": "label"}[d.what])
        if column is not None:
            value = d.value if d.what == "part" else next((v for v in data.table[column].dropna().unique() if str(v) == d.value), d.value)
            table.loc[d.rows, column] = value
    return table


# -- deciding -----------------------------------------------------------------------------------------------------------------------------
def decisions(ws: Workspace, name: str) -> list[Decision]:
    """What was decided about the dataset called `name`, oldest first."""
    return load(ws.dataset_folder(name))


def exclude(ws: Workspace, name: str, rows: np.ndarray, reason: str, finding: str = "") -> Decision:
    """Leave rows out of everything from now on. UserError for unknown rows, rows already excluded, or no reason."""
    rows = _known(ws, name, rows)
    new = np.setdiff1d(rows, _rows(decisions(ws, name), "exclude"))
    if not len(new):
        raise UserError("These cases are excluded already." if len(rows) else "No case is named; choose some first.")
    return _add(ws, name, "exclude", new, _said(reason), finding)


def release(ws: Workspace, name: str, rows: np.ndarray | None = None, reason: str = "looked at") -> Decision:
    """Let held-back rows be used, all of them by default. UserError when none of `rows` is held back."""
    waiting = held(ws, name)
    chosen = np.array(sorted(waiting), dtype=np.int64) if rows is None else np.intersect1d(_known(ws, name, rows), list(waiting))
    if not len(chosen):
        raise UserError("None of these cases is held back." if rows is not None else f"No case of “{ws.entry(name)['name']}” is held back.")
    return _add(ws, name, "release", chosen, _said(reason))


def ignore(ws: Workspace, name: str, finding: str, reason: str) -> Decision:
    """Keep a finding from being shown as open. UserError without a reason."""
    return _add(ws, name, "ignore", np.zeros(0, np.int64), _said(reason), finding)


def move(ws: Workspace, name: str, rows: np.ndarray, part: str, reason: str, finding: str = "") -> Decision:
    """Put rows into another part of the split. UserError for an unknown part or a dataset that is not split."""
    data = ws.dataset(name, whole=True)
    if part not in SPLITS or data.roles.get("split") is None:
        raise UserError(f"“{data.name}” is not split." if part in SPLITS else f"“{part}” is not a part (there are: {', '.join(SPLITS)}).")
    return _add(ws, name, "part", _known(ws, name, rows), _said(reason), finding, part)


def relabel(ws: Workspace, name: str, rows: np.ndarray, label: str, reason: str, finding: str = "") -> Decision:
    """Give rows another of the dataset's labels. UserError for an unknown label, or when a label would be left without any row.

    Trap: classes are numbered over the whole table, and finished runs count on those numbers, so no class may go or come.
    """
    data, rows = ws.dataset(name, whole=True), _known(ws, name, rows)
    if label not in data.classes:
        raise UserError(f"“{label}” is not a label of “{data.name}” (there are: {', '.join(data.classes[:12]) or 'none'}).")
    after = data.labels.copy()
    after[rows] = data.classes.index(label)
    gone = np.setdiff1d(np.arange(len(data.classes)), after)
    if len(gone):
        raise UserError(f"No case would be left with the label “{data.classes[gone[0]]}”; exclude these cases instead.")
    return _add(ws, name, "label", rows, _said(reason), finding, label)


def name_normal(ws: Workspace, name: str, value: str) -> Decision:
    """Say which class is the normal one; "" = none is. UserError when it is no class."""
    from core.data.normal import known_class

    if value:
        value = known_class(ws.dataset(name), value)
    return _add(ws, name, "normal", np.zeros(0, np.int64), "the normal class", value=value)


def mend(ws: Workspace, name: str, finding: str) -> list[Decision]:
    """Put every patient (or group) wholly into one part. UserError when all are already."""
    from core.data.checks.fixes import whole_groups

    moves = whole_groups(ws.dataset(name))
    if not moves:
        raise UserError("Every patient is in one part already.")
    return [move(ws, name, rows, part, "every patient in one part", finding) for part, rows in moves.items()]


def all_but_one(data: Dataset, copies: list[int]) -> list[int]:
    """The rows of a set of copies to leave out: all but the first of the training part, or the first where none is in it."""
    there = [r for r in copies if (data.rows == r).any()]
    part = dict(zip(there, data.of(np.asarray(there, dtype=np.int64)).splits))
    keep = next((r for r in there if part[r] == "train"), there[0] if there else None)
    return [r for r in there if r != keep]


def undo(ws: Workspace, name: str, id: str) -> Decision:
    """Take one decision back. UserError when there is none of this id."""
    folder = ws.dataset_folder(name)
    for path, decision in zip(_files(folder), load(folder)):
        if decision.id == id:
            remove(path)
            ws.recount(name)
            return decision
    raise UserError("That decision was taken back already.")


def held(ws: Workspace, name: str) -> dict[int, str]:
    """Rows that are still held back until a person has looked, and why; excluded ones no longer count."""
    made = decisions(ws, name)
    done = set(_rows(made, "release").tolist()) | set(_rows(made, "exclude").tolist())
    return {i: str(r) for i, r in enumerate(reasons_held(ws.dataset_folder(name))) if r is not None and i not in done}


def excluded(ws: Workspace, name: str) -> dict[int, str]:
    """Excluded rows and the reason given first."""
    found: dict[int, str] = {}
    for d in decisions(ws, name):
        if d.what == "exclude":
            found = {r: d.reason for r in d.rows} | found
    return dict(sorted(found.items()))


def since(ws: Workspace, run: str) -> int:
    """How many rows that a run was made on are now excluded or held back."""
    job = ws.job(run)
    out = ws.hidden(job.dataset)
    if not len(out):
        return 0
    gone: set[int] = set()
    for path in (ws.folder(job.id) / "artifacts").glob("*/rows.npy"):
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
        gone.update(out[np.isin(out, rows)].tolist())
    return len(gone)


def since_words(many: int) -> str:
    """The note a run made before an exclusion carries."""
    was = "case was" if many == 1 else "cases were"
    return f"{many:,} {was} excluded after this run was trained: the model has learned from them or was measured on them. Train again for figures without them."


def _add(ws: Workspace, name: str, what: What, rows: np.ndarray, reason: str, finding: str = "", value: str = "") -> Decision:
    now = time.time()
    decision = Decision(uuid.uuid4().hex[:10], what, rows.tolist(), reason, finding, value, now)
    folder = make_folder(ws.dataset_folder(name) / "review")
    write_json(folder / f"{time.time_ns():020d}-{decision.id}.json", asdict(decision))
    ws.recount(name)
    return decision


def _known(ws: Workspace, name: str, rows: Any) -> np.ndarray:
    rows = np.unique(np.asarray(rows, dtype=np.int64))
    n = stored(ws.dataset_folder(name))
    bad = rows[(rows < 0) | (rows >= n)]
    if len(bad):
        raise UserError(f"There is no row {bad[0]} in “{ws.entry(name)['name']}” (rows are numbered 0 to {n - 1}).")
    return rows


def _said(reason: str) -> str:
    words = " ".join(reason.split())[:200]
    if not words:
        raise UserError("Say why, in a few words: the reason is kept with the data.")
    return words
