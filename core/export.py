"""Taking results out: artifacts as .npy and json, tables as Parquet and CSV that name the original
files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.artifacts import Embedding, Lesions, Metrics, Model
from core.columns import run_columns
from core.data.dataset import Dataset
from core.errors import UserError
from core.io.files import copy_tree, make_folder, remove, write_json, write_with
from core.json_output import run_json
from core.workspace import left_out, notes
from core.workspace.catalogue import DERIVED, Job
from core.workspace.workspace import Workspace

FORMULA = "=+-@\t\r\n＝＋－＠"  # a cell that begins so is run by some spreadsheet
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
SAFE = (
    "Cells and headings that a spreadsheet could run as a formula begin with an apostrophe here;"
    " numbers such as -2.5 stay as they are, and the Parquet files of an export hold every word as"
    " it was."
)


def row_table(
    ws: Workspace, data: Dataset, job: Job | None, rows: np.ndarray | None = None
) -> pd.DataFrame:
    """One line a row (id, original file name, the table's columns, what the run found); of `rows`
    only, if given.
    """
    frame = data.frame if rows is None else data.of(rows).frame
    found = {
        c.name: pd.Series(c.values, data.rows)
        for c in (run_columns(ws, data, job) if job is not None else [])
    }
    parts = {
        "row": pd.Series(frame.index, frame.index),
        "name": pd.Series(data.of(frame.index.to_numpy()).names(), frame.index),
    }
    out = pd.concat(
        [pd.DataFrame(parts), frame, *(v.reindex(frame.index).rename(k) for k, v in found.items())],
        axis=1,
    )
    return out.set_axis(_make_unique(map(str, out.columns)), axis=1).reset_index(drop=True)


def _make_unique(names: Iterable[str]) -> list[str]:
    """Return the names, a number behind each that was there already: a table may have columns
    called “row” or “name” itself.
    """
    out: dict[str, None] = {}
    for name in names:
        free, k = name, 2
        while free in out:
            free, k = f"{name} ({k})", k + 1
        out[free] = None
    return list(out)


def safe_cell(value: object) -> object:
    """Return the value as it may stand in a CSV file: a text that a spreadsheet would run as a
    formula gets an apostrophe in front.
    """
    return (
        f"'{value}"
        if isinstance(value, str) and value[:1] in FORMULA and value and not NUMBER.fullmatch(value)
        else value
    )


def safe_csv(frame: pd.DataFrame) -> str:
    """CSV text in which no text cell or header can be run as a formula by a spreadsheet: see
    `safe_cell`. The only way for a table to leave as CSV.
    """
    frame = frame.set_axis(_make_unique(str(safe_cell(str(c))) for c in frame.columns), axis=1)
    texts = [c for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    # so, a lone \r is quoted too
    return frame.assign(**{c: frame[c].astype(object).map(safe_cell) for c in texts}).to_csv(
        index=False, lineterminator="\r\n"
    )


def write_table(frame: pd.DataFrame, folder: Path, name: str) -> None:
    """Write a table as Parquet and as CSV, under one name."""
    write_with(
        folder / f"{name}.parquet",
        lambda f: frame.astype(
            {c: str for c in frame.columns if frame[c].dtype == object}
        ).to_parquet(f, index=False),
    )
    write_with(folder / f"{name}.csv", lambda f: (f.write(safe_csv(frame).encode()), None)[1])


def export_run(ws: Workspace, run: str, folder: Path) -> list[Path]:
    """Every artifact of a run and of the maps and explanations made from it, and the tables.
    UserError when `folder` holds files already.
    """
    job = ws.job(run)
    if job.status != "done":
        raise UserError(f"Run {job.id} is {job.status}; only a finished run can be exported.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} already holds files; name a new or empty folder.")
    try:
        return _exported(ws, job, make_folder(folder))
    except BaseException:  # all of it or nothing
        for made in folder.iterdir() if folder.is_dir() else ():
            remove(made)
        raise


def _lesion_table(
    artifact: Lesions,
    data: Dataset,
    decided: dict[str, dict[str, Any]],
    regions: dict[str, dict[str, Any]],
) -> pd.DataFrame:
    """Return one line a proposed lesion, with the case its heat is highest in and its `decision`:
    "accepted" and "rejected" as people `decided`, "left out" within one of their `regions`, or "".
    """
    lines = [
        {"row": int(row), "name": name}
        | line
        | {"decision": left_out.decide(line, int(row), decided, regions)}
        for row, name, found in zip(
            artifact.rows, data.of(artifact.rows).names(), artifact.table, strict=True
        )
        for line in found
    ]
    return pd.DataFrame(lines, columns=None if lines else ["row", "name"])


def _exported(ws: Workspace, job: Job, folder: Path) -> list[Path]:
    data = ws.dataset(job.dataset)
    for made in [
        job,
        *ws.catalogue.jobs(on_run=job.id, kind=DERIVED, status="done"),
    ]:
        for slug in ws.slugs(made.id):
            target = folder / (
                slug
                if made.id == job.id
                else f"{slug}-{made.spec.get('how', made.kind)}-{made.id[:4]}"
            )
            copy_tree(ws.artifact_folder(made.id, slug), target)
            artifact = ws.artifact(made.id, slug)
            if isinstance(artifact, Model) and artifact.receipt:
                write_json(folder / "receipt.json", artifact.receipt)
            if isinstance(artifact, Metrics):
                write_table(pd.DataFrame(artifact.table), folder, target.name)
            elif isinstance(artifact, Lesions):
                decided = notes.load_lesion_decisions(ws, job.id)
                regions = left_out.load_left_out(ws, job.id)
                table = _lesion_table(artifact, data, decided, regions)
                write_table(table, folder, target.name)
            elif isinstance(artifact, Embedding):
                names = artifact.axes or [f"axis {j + 1}" for j in range(artifact.z.shape[1])]
                place = pd.DataFrame({"row": artifact.rows, "name": data.of(artifact.rows).names()})
                if artifact.place is not None:
                    place["slice"] = np.asarray(artifact.place) + 1  # as counted on screen
                write_table(
                    pd.concat([place, pd.DataFrame(np.asarray(artifact.z), columns=names)], axis=1),
                    folder,
                    target.name,
                )
    write_table(row_table(ws, data, job), folder, "rows")
    write_json(folder / "run.json", run_json(ws, job))
    if (given := notes.load_threshold(ws, job.id)) is not None:
        write_json(folder / "threshold.json", given)
    return sorted(p for p in folder.iterdir())
