"""What people add to data and runs: named groups of cases, names of clusters, the chosen threshold. Small json files in the workspace."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.store.files import write_json
from core.store.workspace import Workspace, check_name


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def groups(ws: Workspace, dataset: str) -> dict[str, np.ndarray]:
    """Saved groups of a dataset: name -> int64 row ids, in the order they were made."""
    path = ws.home / "datasets" / ws.entry(dataset)["id"] / "groups.json"
    return {name: np.asarray(g["rows"], dtype=np.int64) for name, g in _read(path).items()}


def save_group(ws: Workspace, dataset: str, name: str, rows: np.ndarray) -> None:
    """Keep `rows` under `name`, replacing a group of that name. UserError for an empty group or an unusable name."""
    if not len(rows):
        raise UserError("Nothing is selected; select some cases first.")
    path = ws.home / "datasets" / ws.entry(dataset)["id"] / "groups.json"
    write_json(path, _read(path) | {check_name(name): {"rows": np.asarray(rows).tolist(), "made": time.time()}})


def remove_group(ws: Workspace, dataset: str, name: str) -> None:
    path = ws.home / "datasets" / ws.entry(dataset)["id"] / "groups.json"
    write_json(path, {k: v for k, v in _read(path).items() if k != name})


def cluster_names(ws: Workspace, run: str) -> dict[int, str]:
    """Names given by people to the groups a run found: number -> name."""
    return {int(k): v for k, v in _read(ws.folder(run) / "names.json").items()}


def name_cluster(ws: Workspace, run: str, cluster: int, name: str) -> None:
    """Name one group; an empty name takes the name back."""
    names = {str(k): v for k, v in cluster_names(ws, run).items() if k != cluster}
    write_json(ws.folder(run) / "names.json", names | ({str(cluster): check_name(name)} if name.strip() else {}))


def threshold(ws: Workspace, run: str) -> dict[str, Any] | None:
    """The threshold a person has set for a run's unusualness score: {"value", "reason", "made"}."""
    return _read(ws.folder(run) / "threshold.json") or None


def set_threshold(ws: Workspace, run: str, value: float, reason: str = "") -> None:
    write_json(ws.folder(run) / "threshold.json", {"value": float(value), "reason": " ".join(reason.split())[:200], "made": time.time()})
