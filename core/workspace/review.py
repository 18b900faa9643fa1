"""Deciding about the cases of a dataset: exclude, release from being held back, move to another
part, relabel, ignore findings, and take it back.

A decision is one small file (`core.workspace.decisions`), so that two people deciding at once lose
nothing and taking one back is removing its file.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.dataset import SPLITS, Dataset
from core.errors import UserError
from core.io.files import make_folder, remove, write_json
from core.workspace.decisions import (
    Decision,
    What,
    count_stored_rows,
    decision_files,
    load_decisions,
    reasons_held,
    rows_of_kind,
)

if TYPE_CHECKING:
    from core.people.roles import Act
    from core.workspace.workspace import Workspace


def list_decisions(ws: Workspace, name: str) -> list[Decision]:
    """Return what was decided about the dataset called `name`, oldest first."""
    return load_decisions(ws.dataset_folder(name))


def exclude(ws: Workspace, name: str, rows: np.ndarray, reason: str, finding: str = "") -> Decision:
    """Leave rows out of everything from now on. UserError for unknown rows, rows already excluded,
    or no reason.
    """
    ws.permit("annotate", f"dataset {ws.entry(name)['id']}: {len(rows)} cases excluded")
    rows = _check_rows(ws, name, rows)
    new = np.setdiff1d(rows, rows_of_kind(list_decisions(ws, name), "exclude"))
    if not len(new):
        raise UserError(
            "These cases are excluded already."
            if len(rows)
            else "No case is named; choose some first."
        )
    return _add_decision(ws, name, "exclude", new, _check_reason(reason), finding)


def release(
    ws: Workspace, name: str, rows: np.ndarray | None = None, reason: str = "looked at"
) -> Decision:
    """Let held-back rows be used, all of them by default. UserError when none of `rows` is held
    back.
    """
    ws.permit("data", f"dataset {ws.entry(name)['id']}: {_many(rows)} held-back cases released")
    waiting = held_rows(ws, name)
    chosen = (
        np.array(sorted(waiting), dtype=np.int64)
        if rows is None
        else np.intersect1d(_check_rows(ws, name, rows), list(waiting))
    )
    if not len(chosen):
        raise UserError(
            "None of these cases is held back."
            if rows is not None
            else f"No case of “{ws.entry(name)['name']}” is held back."
        )
    return _add_decision(ws, name, "release", chosen, _check_reason(reason))


def ignore(ws: Workspace, name: str, finding: str, reason: str) -> Decision:
    """Keep a finding from being shown as open. UserError without a reason."""
    ws.permit("annotate", f"dataset {ws.entry(name)['id']}: a finding ignored")
    return _add_decision(ws, name, "ignore", np.zeros(0, np.int64), _check_reason(reason), finding)


def move(
    ws: Workspace, name: str, rows: np.ndarray, part: str, reason: str, finding: str = ""
) -> Decision:
    """Put rows into another part of the split. UserError for an unknown part or a dataset that is
    not split.
    """
    ws.permit("annotate", f"dataset {ws.entry(name)['id']}: {len(rows)} cases to another part")
    return _move(ws, name, rows, part, reason, finding)


def _move(
    ws: Workspace, name: str, rows: np.ndarray, part: str, reason: str, finding: str
) -> Decision:
    data = ws.dataset(name, whole=True)
    if part not in SPLITS or data.roles.get("split") is None:
        raise UserError(
            f"“{data.name}” is not split."
            if part in SPLITS
            else f"“{part}” is not a part (there are: {', '.join(SPLITS)})."
        )
    return _add_decision(
        ws, name, "part", _check_rows(ws, name, rows), _check_reason(reason), finding, part
    )


def relabel(
    ws: Workspace, name: str, rows: np.ndarray, label: str, reason: str, finding: str = ""
) -> Decision:
    """Give rows another of the dataset's labels. UserError for an unknown label, or when a label
    would be left without any row.

    Trap: classes are numbered over the whole table, and finished runs count on those numbers, so no
    class may go or come.
    """
    ws.permit("annotate", f"dataset {ws.entry(name)['id']}: {len(rows)} cases relabelled")
    data, rows = ws.dataset(name, whole=True), _check_rows(ws, name, rows)
    if label not in data.classes:
        raise UserError(
            f"“{label}” is not a label of “{data.name}” (there are:"
            f" {', '.join(data.classes[:12]) or 'none'})."
        )
    after = data.labels.copy()
    after[rows] = data.classes.index(label)
    gone = np.setdiff1d(np.arange(len(data.classes)), after)
    if len(gone):
        raise UserError(
            f"No case would be left with the label “{data.classes[gone[0]]}”; exclude these cases"
            " instead."
        )
    return _add_decision(ws, name, "label", rows, _check_reason(reason), finding, label)


def name_normal(ws: Workspace, name: str, value: str) -> Decision:
    """Say which class is the normal one; "" = none is. UserError when it is no class."""
    ws.permit("data", f"dataset {ws.entry(name)['id']}: the normal class")
    from core.data.normal import check_class

    if value:
        value = check_class(ws.dataset(name), value)
    return _add_decision(ws, name, "normal", np.zeros(0, np.int64), "the normal class", value=value)


def fix_split(ws: Workspace, name: str, finding: str) -> list[Decision]:
    """Put every patient (or group) wholly into one part. UserError when all are already."""
    ws.permit("annotate", f"dataset {ws.entry(name)['id']}: every patient into one part")
    from core.data.checks.fixes import assign_whole_groups

    moves = assign_whole_groups(ws.dataset(name))
    if not moves:
        raise UserError("Every patient is in one part already.")
    return [
        _move(ws, name, rows, part, "every patient in one part", finding)
        for part, rows in moves.items()
    ]


def surplus_copies(data: Dataset, copies: list[int]) -> list[int]:
    """Return the rows of a set of copies to leave out: all but the first of the training part, or
    the first where none is in it.
    """
    there = [r for r in copies if (data.rows == r).any()]
    part = dict(zip(there, data.of(np.asarray(there, dtype=np.int64)).splits))
    keep = next((r for r in there if part[r] == "train"), there[0] if there else None)
    return [r for r in there if r != keep]


def undo(ws: Workspace, name: str, id: str) -> Decision:
    """Undo one decision. UserError when there is none of this id. Who may not make such a decision
    may not undo it either.
    """
    ws.permit(_act_of(ws, name, id), f"dataset {ws.entry(name)['id']}: a decision undone")
    folder = ws.dataset_folder(name)
    for path, decision in zip(decision_files(folder), load_decisions(folder)):
        if decision.id == id:
            remove(path)
            ws.recount(name)
            return decision
    raise UserError("Already undone.")


def held_rows(ws: Workspace, name: str) -> dict[int, str]:
    """Rows that are still held back until a person has looked, and why; excluded ones no longer
    count.
    """
    made = list_decisions(ws, name)
    done = set(rows_of_kind(made, "release").tolist()) | set(rows_of_kind(made, "exclude").tolist())
    return {
        i: str(r)
        for i, r in enumerate(reasons_held(ws.dataset_folder(name)))
        if r is not None and i not in done
    }


def excluded_rows(ws: Workspace, name: str) -> dict[int, str]:
    """Excluded rows and the reason given first."""
    found: dict[int, str] = {}
    for d in list_decisions(ws, name):
        if d.what == "exclude":
            found = {r: d.reason for r in d.rows} | found
    return dict(sorted(found.items()))


def count_removed_since(ws: Workspace, run: str) -> int:
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


def describe_removed_since(many: int) -> str:
    """Return the note a run made before an exclusion carries."""
    was = "case was" if many == 1 else "cases were"
    return (
        f"{many:,} {was} excluded after this run was trained: the model has learned from them or"
        " was measured on them. Train again for figures without them."
    )


def act_to_undo(decision: Decision) -> Act:
    """Return what making a decision is, and undoing it, of what a role may do."""
    return "data" if decision.what in ("release", "normal") else "annotate"


def _act_of(ws: Workspace, name: str, id: str) -> Act:
    found = [d for d in list_decisions(ws, name) if d.id == id]
    return act_to_undo(found[0]) if found else "annotate"


def _many(rows: np.ndarray | None) -> str:
    return "all" if rows is None else f"{len(rows)}"


def _add_decision(
    ws: Workspace,
    name: str,
    what: What,
    rows: np.ndarray,
    reason: str,
    finding: str = "",
    value: str = "",
) -> Decision:
    now = time.time()
    id, who = uuid.uuid4().hex[:10], ws.access.person
    decision = Decision(id, what, rows.tolist(), reason, finding, value, now, who)
    folder = make_folder(ws.dataset_folder(name) / "review")
    # as in earlier versions where nobody signs in
    kept = {k: v for k, v in asdict(decision).items() if v or k != "author"}
    write_json(folder / f"{time.time_ns():020d}-{id}.json", kept)
    ws.recount(name)
    return decision


def _check_rows(ws: Workspace, name: str, rows: Any) -> np.ndarray:
    rows = np.unique(np.asarray(rows, dtype=np.int64))
    n = count_stored_rows(ws.dataset_folder(name))
    bad = rows[(rows < 0) | (rows >= n)]
    if len(bad):
        raise UserError(
            f"There is no row {bad[0]} in “{ws.entry(name)['name']}” (rows are numbered 0 to"
            f" {n - 1})."
        )
    return rows


def _check_reason(reason: str) -> str:
    words = " ".join(reason.split())[:200]
    if not words:
        raise UserError("Say why, in a few words: the reason is kept with the data.")
    return words
