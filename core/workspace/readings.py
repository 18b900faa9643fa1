"""What readers said about cases in the reading room, before and after they saw the model's answer.

One small json file a reading, in `readings/` beside the dataset, so that two people reading at once
lose nothing. Nothing is ever erased: a reading taken back stays as such, since who has seen the
model's answer to a case cannot read it first any more.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from core.errors import UserError
from core.io.files import make_folder, write_json

if TYPE_CHECKING:
    import pandas as pd

    from core.workspace.workspace import Workspace

Verdict = Literal["", "agree", "disagree", "unsure"]
VERDICTS: tuple[Verdict, ...] = ("agree", "disagree", "unsure")
CANNOT_TELL = "cannot tell"
NAME = 40  # letters of a reader's name
NOTE = 500  # letters of a note


@dataclass(frozen=True)
class Reading:
    """One case read by one person.

    row, reader, run: the case (row id), who read it, and the run whose answer was asked for.
    answer: the reader's own, one of those that were offered.
    first: given before the model's answer to this case was ever shown to this reader.
    label: the stored label of the case at that time; "" = none.
    model: what the model said; "" = not shown yet.
    verdict, note: what the reader thinks of that answer.
    answered, shown, judged, undone: seconds since the epoch; None = not yet.
    seconds: from the case appearing on screen to the answer; None = not asked to be kept.
    """

    id: str
    row: int
    reader: str
    run: str
    answer: str
    first: bool
    label: str = ""
    model: str = ""
    verdict: Verdict = ""
    note: str = ""
    answered: float = 0.0
    shown: float | None = None
    judged: float | None = None
    undone: float | None = None
    seconds: float | None = None


def list_readings(ws: Workspace, dataset: str, undone: bool = False) -> list[Reading]:
    """Return the readings of a dataset, oldest first; with `undone` those taken back as well."""
    found = [_load(path) for path in _files(ws, dataset)]
    return found if undone else [r for r in found if r.undone is None]


def latest_readings(readings: list[Reading], reader: str, run: str) -> dict[int, Reading]:
    """Return the last reading of each case (by row id) by this reader about this run."""
    return {r.row: r for r in readings if r.reader == reader and r.run == run}


def add_reading(
    ws: Workspace,
    dataset: str,
    row: int,
    reader: str,
    run: str,
    answer: str,
    *,
    first: bool,
    label: str = "",
    seconds: float | None = None,
) -> Reading:
    """Keep a reader's own answer to a case. It counts as read first only where `first` holds and
    the model's answer to this case was never shown to this reader. UserError without a name; who
    is signed in reads as nobody else.
    """
    ws.permit("annotate", f"dataset {ws.entry(dataset)['id']}: row {int(row)} read")
    reader = ws.access.person or check_reader(reader)
    seen = any(
        r.row == row and r.run == run and r.shown is not None
        for r in list_readings(ws, dataset, undone=True)
        if r.reader == reader
    )
    now = time.time()
    reading = Reading(
        uuid.uuid4().hex[:10],
        int(row),
        reader,
        run,
        answer,
        first and not seen,
        label,
        answered=now,
        seconds=None if seconds is None else round(float(seconds), 1),
    )
    folder = make_folder(ws.dataset_folder(dataset) / "readings")
    write_json(folder / f"{time.time_ns():020d}-{reading.id}.json", asdict(reading))
    return reading


def show_answer(ws: Workspace, dataset: str, id: str, model: str) -> Reading:
    """Note that the reader now sees what the model said."""
    ws.permit(
        "annotate",
        f"dataset {ws.entry(dataset)['id']}: reading {_find(ws, dataset, id).id}: answer shown",
    )
    reading = _find(ws, dataset, id)
    return reading if reading.shown else _change(ws, dataset, id, model=model, shown=time.time())


def judge_answer(ws: Workspace, dataset: str, id: str, verdict: Verdict, note: str = "") -> Reading:
    """Keep whether the reader agrees with the model's answer, with a note. UserError for a word
    that is no verdict, or an answer that was not shown yet.
    """
    ws.permit(
        "annotate", f"dataset {ws.entry(dataset)['id']}: reading {_find(ws, dataset, id).id} judged"
    )
    if verdict not in VERDICTS:
        raise UserError(f"“{verdict}” is no verdict (there are: {', '.join(VERDICTS)}).")
    if _find(ws, dataset, id).shown is None:
        raise UserError("The model’s answer to this case has not been shown yet.")
    words = " ".join(note.split())[:NOTE]
    return _change(ws, dataset, id, verdict=verdict, note=words, judged=time.time())


def undo_reading(ws: Workspace, dataset: str, id: str) -> Reading:
    """Take back the verdict, or, where there is none, the reading. UserError when it is taken back
    already.
    """
    ws.permit(
        "annotate", f"dataset {ws.entry(dataset)['id']}: reading {_find(ws, dataset, id).id} undone"
    )
    reading = _find(ws, dataset, id)
    if reading.undone is not None:
        raise UserError("Already undone.")
    if reading.judged is not None:
        return _change(ws, dataset, id, verdict="", note="", judged=None)
    return _change(ws, dataset, id, undone=time.time())


def check_reader(name: str) -> str:
    """Return a reader's name as it is kept. UserError when it is empty."""
    words = " ".join("".join(c if c.isprintable() else " " for c in name).split())[:NAME]
    if not words:
        raise UserError("Say who is reading: a name or initials, kept with each answer.")
    return words


def find_changed_labels(readings: list[Reading], classes: list[str]) -> dict[str, np.ndarray]:
    """Return where the last reading of a case names another class than its stored label: class ->
    int64 row ids, sorted. Classes nobody named are left out.
    """
    last = {r.row: r for r in readings if r.answer in classes}
    found: dict[str, list[int]] = {}
    for row, r in last.items():
        if r.label and r.answer != r.label:
            found.setdefault(r.answer, []).append(row)
    return {c: np.array(sorted(rows), np.int64) for c, rows in sorted(found.items())}


def readings_table(ws: Workspace, dataset: str) -> pd.DataFrame:
    """Return all readings, those taken back as well, one line each: the fields of `Reading` with
    times in ISO 8601 (UTC), and the name of the case.
    """
    import pandas as pd

    frame = pd.DataFrame(
        [asdict(r) for r in list_readings(ws, dataset, undone=True)],
        columns=[f.name for f in fields(Reading)],
    )
    for column in ("answered", "shown", "judged", "undone"):
        times = pd.to_datetime(frame[column].astype(float), unit="s", utc=True)
        frame[column] = times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    names = ws.dataset(dataset, whole=True).of(frame["row"].to_numpy(np.int64)).names()
    frame.insert(1, "name", names)
    return frame


def _files(ws: Workspace, dataset: str) -> list[Path]:
    return sorted((ws.dataset_folder(dataset) / "readings").glob("*.json"))


def _load(path: Path) -> Reading:
    return Reading(**json.loads(path.read_text()))


def _path(ws: Workspace, dataset: str, id: str) -> Path:
    for path in _files(ws, dataset):
        if path.stem.partition("-")[2] == id:
            return path
    raise UserError("This reading is no longer there.")


def _find(ws: Workspace, dataset: str, id: str) -> Reading:
    return _load(_path(ws, dataset, id))


def _words(ws: Workspace, dataset: str, id: str) -> str:
    return f"dataset {ws.entry(dataset)['id']}: reading {_find(ws, dataset, id).id}"


def _change(ws: Workspace, dataset: str, id: str, **changes: object) -> Reading:
    path = _path(ws, dataset, id)
    reading = _load(path)
    if ws.access.person not in ("", reading.reader):
        raise UserError("This is somebody else’s reading; only who read the case may change it.")
    changed = replace(reading, **changes)  # type: ignore[arg-type]
    write_json(path, asdict(changed))
    return changed
