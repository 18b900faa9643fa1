"""Regions that a person leaves out of the lesions a run proposes, such as where a bladder or a
heart is bright without being ill: boxes and painted outlines in a scan, kept beside the run.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.errors import UserError
from core.io.files import write_json
from core.workspace.names import check_name
from core.workspace.workspace import Workspace

FILE = "left_out.json"


def load_left_out(ws: Workspace, run: str) -> dict[str, dict[str, Any]]:
    """Return the regions left out of a run's lesions by their id, the first made first: {"name",
    "rows" (row ids), "box" ([first, last] index of each of the last axes of a row's mask), "made"},
    and of a painted region "painted" (see `painted`).
    """
    path = ws.folder(run) / FILE
    return dict(json.loads(path.read_text())) if path.exists() else {}


def leave_out(
    ws: Workspace,
    run: str,
    name: str,
    rows: Sequence[int],
    box: Sequence[tuple[int, int]],
    painted: np.ndarray | None = None,
) -> str:
    """Leave a box out of what is proposed in `rows`, both ends of each axis included; its id.

    `painted`: bool, of the size of a slice (the last two axes of a row's mask): only what is set in
    it is left out, in every slice of the box; the last two axes of the box are then its ends.
    Raises UserError for an unusable name, an empty box, or nothing painted.
    """
    ws.permit("annotate", f"run {ws.folder(run).name}: a region left out of {len(rows)} rows")
    if painted is not None:
        if not painted.any():
            raise UserError("Nothing is painted; draw around the region first.")
        ends = [np.flatnonzero(painted.any(1 - axis))[[0, -1]].tolist() for axis in (0, 1)]
        box = [*box[:-2], *((first, last) for first, last in ends)]
    if not len(rows) or any(first > last for first, last in box):
        raise UserError("The region is empty; move its ends apart first.")
    id = uuid.uuid4().hex[:8]
    one: dict[str, Any] = {
        "name": check_name(name),
        "rows": [int(row) for row in rows],
        "box": [[int(first), int(last)] for first, last in box],
        "made": time.time(),
    }
    if painted is not None:
        inside = painted[tuple(slice(first, last + 1) for first, last in box[-2:])]
        packed = zlib.compress(np.packbits(inside).tobytes())
        one["painted"] = base64.b64encode(packed).decode()
    write_json(ws.folder(run) / FILE, load_left_out(ws, run) | {id: one})
    return id


def painted(region: Mapping[str, Any]) -> np.ndarray:
    """Return what of the last two axes of a region's box is left out, bool [down, across]; all of
    it unless an outline was painted.
    """
    size = [last - first + 1 for first, last in region["box"][-2:]]
    if "painted" not in region:
        return np.ones(size, bool)
    bits = np.frombuffer(zlib.decompress(base64.b64decode(region["painted"])), np.uint8)
    return np.unpackbits(bits, count=size[0] * size[1]).astype(bool).reshape(size)


def take_in(ws: Workspace, run: str, id: str) -> None:
    """Let a region count again."""
    ws.permit("annotate", f"run {ws.folder(run).name}: a region counts again")
    kept = {k: v for k, v in load_left_out(ws, run).items() if k != id}
    write_json(ws.folder(run) / FILE, kept)


def find_region(regions: Mapping[str, dict[str, Any]], row: int, place: Sequence[int]) -> str:
    """Return the name of the first region with `place` (indices of the last axes of the mask of
    `row`) in it, "" where there is none. A lesion is left out with the place of its highest heat.
    """
    for one in regions.values():
        if row in one["rows"] and len(place) == len(one["box"]):
            ends = np.array(one["box"])
            if not ((ends[:, 0] <= place) & (np.array(place) <= ends[:, 1])).all():
                continue
            down, across = np.array(place[-2:]) - ends[-2:, 0]
            if painted(one)[down, across]:
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
