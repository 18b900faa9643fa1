"""Searches for more cases like a few marked ones: who said what of which case. One small json file
beside the dataset; what each search has found is a group of its name as well.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.errors import UserError
from core.io.files import write_json
from core.workspace import notes
from core.workspace.names import check_name
from core.workspace.workspace import Workspace

LEAST = 2  # marked cases; of one alone nobody can say what is meant
Said = Literal["it", "not it", "unclear"]
SAID: tuple[Said, ...] = ("it", "not it", "unclear")


@dataclass(frozen=True)
class Search:
    """What is looked for (`name`), by the latent space of which `run`, from which cases (`marked`,
    row ids), and the `answers` of people to candidates, in order: {"row", "said" (see `SAID`),
    "by", "made" (seconds since the epoch)}.
    """

    name: str
    run: str
    marked: list[int]
    answers: list[dict[str, Any]] = field(default_factory=list)

    def said(self, word: Said) -> np.ndarray:
        """int64 row ids of the candidates of which this was said."""
        return np.array([a["row"] for a in self.answers if a["said"] == word], np.int64)

    @property
    def found(self) -> np.ndarray:
        """int64 row ids of the marked cases and the candidates that are it."""
        return np.concatenate([np.array(self.marked, np.int64), self.said("it")])


def load_searches(ws: Workspace, dataset: str) -> dict[str, Search]:
    """Return the searches in a dataset by name, in the order they were begun; cases excluded since
    are left out of them.
    """
    out = set(ws.hidden(dataset).tolist())
    return {
        name: Search(
            name,
            one["run"],
            [r for r in one["marked"] if r not in out],
            [a for a in one["answers"] if a["row"] not in out],
        )
        for name, one in _read(ws, dataset).items()
    }


def begin_search(ws: Workspace, dataset: str, name: str, run: str, marked: np.ndarray) -> Search:
    """Begin to look for more cases like `marked` under a name of its own. UserError where the name
    is taken or unusable, or fewer than two cases are marked.
    """
    ws.permit(
        "annotate", f"dataset {ws.entry(dataset)['id']}: a search of {len(marked)} cases begun"
    )
    name = check_name(name)
    if len(marked) < LEAST:
        raise UserError(f"Select at least {LEAST} cases of what you look for.")
    if name in _read(ws, dataset) or name in notes.load_groups(ws, dataset):
        raise UserError(f"There is a group or search called “{name}” already; choose another name.")
    search = Search(name, run, np.asarray(marked).tolist())
    _keep(ws, dataset, search)
    return search


def answer(ws: Workspace, dataset: str, name: str, row: int, said: Said, by: str = "") -> Search:
    """Keep what a person says of a candidate; of a case spoken of before it replaces that."""
    ws.permit(
        "annotate", f"dataset {ws.entry(dataset)['id']}: case {int(row)} answered in a search"
    )
    search = _one(ws, dataset, name)
    if said not in SAID:
        raise UserError(f"“{said}” cannot be said of a candidate; what can is {', '.join(SAID)}.")
    others = [a for a in search.answers if a["row"] != row]
    new = {"row": int(row), "said": said, "by": notes.save_author(ws, by), "made": time.time()}
    search = replace(search, answers=[*others, new])
    _keep(ws, dataset, search)
    return search


def undo_answer(ws: Workspace, dataset: str, name: str) -> Search:
    """Take the last answer of a search back."""
    ws.permit("annotate", f"dataset {ws.entry(dataset)['id']}: an answer of a search taken back")
    search = _one(ws, dataset, name)
    search = replace(search, answers=search.answers[:-1])
    _keep(ws, dataset, search)
    return search


def remove_search(ws: Workspace, dataset: str, name: str) -> None:
    """Forget a search and what was said in it; its groups stay."""
    ws.permit("annotate", f"dataset {ws.entry(dataset)['id']}: a search removed")
    kept = {k: v for k, v in _read(ws, dataset).items() if k != name}
    write_json(_path(ws, dataset), kept)


def _path(ws: Workspace, dataset: str) -> Path:
    return ws.dataset_folder(dataset) / "searches.json"


def _read(ws: Workspace, dataset: str) -> dict[str, dict[str, Any]]:
    """Every search as it is kept, with what was said of cases that are excluded now."""
    path = _path(ws, dataset)
    return json.loads(path.read_text()) if path.exists() else {}


def _one(ws: Workspace, dataset: str, name: str) -> Search:
    found = _read(ws, dataset)
    if name not in found:
        raise UserError(f"There is no search called “{name}” any more.")
    return Search(name, **found[name])


def _keep(ws: Workspace, dataset: str, search: Search) -> None:
    """Keep a search; what is found, and what nobody can tell, as groups of their own."""
    one = asdict(search)
    write_json(_path(ws, dataset), _read(ws, dataset) | {one.pop("name"): one})
    unclear = f"{search.name[:50]}: cannot tell"
    groups = {search.name: search.found, unclear: search.said("unclear")}
    notes.keep_groups(ws, dataset, {name: np.sort(rows) for name, rows in groups.items()})
