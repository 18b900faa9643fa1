"""Regions that a person leaves out of the lesions a run proposes, such as where a bladder or a
heart is bright without being ill: boxes in a scan, kept beside the run.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.errors import UserError
from core.io.files import write_json
from core.workspace.workspace import Workspace, check_name

FILE = "left_out.json"


def load_left_out(ws: Workspace, run: str) -> dict[str, dict[str, Any]]:
    """Return the regions left out of a run's lesions by their id, the first made first: {"name",
    "rows" (row ids), "box" ([first, last] index of each of the last axes of a row's mask), "made"}.
    """
    path = ws.folder(run) / FILE
    return dict(json.loads(path.read_text())) if path.exists() else {}


def leave_out(
    ws: Workspace, run: str, name: str, rows: Sequence[int], box: Sequence[tuple[int, int]]
) -> str:
    """Leave a box out of what is proposed in `rows`, both ends of each axis included; its id.
    UserError for an unusable name or an empty box.
    """
    if not len(rows) or any(first > last for first, last in box):
        raise UserError("The region is empty; move its ends apart first.")
    id = uuid.uuid4().hex[:8]
    one = {
        "name": check_name(name),
        "rows": [int(row) for row in rows],
        "box": [[int(first), int(last)] for first, last in box],
        "made": time.time(),
    }
    write_json(ws.folder(run) / FILE, load_left_out(ws, run) | {id: one})
    return id


def take_in(ws: Workspace, run: str, id: str) -> None:
    """Let a region count again."""
    kept = {k: v for k, v in load_left_out(ws, run).items() if k != id}
    write_json(ws.folder(run) / FILE, kept)


def find_region(regions: Mapping[str, dict[str, Any]], row: int, place: Sequence[int]) -> str:
    """Return the name of the first region with `place` (indices of the last axes of the mask of
    `row`) in it, "" where there is none. A lesion is left out with the place of its highest heat.
    """
    for one in regions.values():
        if row in one["rows"] and len(place) == len(one["box"]):
            ends = np.array(one["box"])
            if ((ends[:, 0] <= place) & (np.array(place) <= ends[:, 1])).all():
                return str(one["name"])
    return ""


def decide(
    line: Mapping[str, Any],
    row: int,
    decided: Mapping[str, dict[str, Any]],
    regions: Mapping[str, dict[str, Any]],
) -> str:
    """Return what holds of a line of `Lesions.table` at `row`: "accepted" or "rejected" where a
    person `decided` it (`notes.load_lesion_decisions`), else "left out" within one of `regions`,
    else "".
    """
    one = decided.get(f"{row}-{line['number']}")
    if one is not None:
        return "accepted" if one["accepted"] else "rejected"
    return "left out" if find_region(regions, row, line["place"]) else ""
