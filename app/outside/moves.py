"""What a screen is to show after a move from outside, found out before anything moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from app import navigation, state, text
from app.state import Screen, Selection
from core.columns import Column, list_columns
from core.data.dataset import Dataset
from core.errors import UserError
from core.maps.projections import AUTOMATIC, check_projection
from core.row_rules import find_by_rule, find_rows
from core.workspace import notes

PAGES = {"map": "latent", "reading room": "reading", "latent map": "latent"}  # other names of pages
MODES = ("set", "add", "remove", "intersect")
CASES = 5_000_000  # most ids of one move


@dataclass(frozen=True)
class Move:
    """What was asked; None or "" where nothing was. `ids`: row numbers or file names."""

    page: str = ""
    dataset: str = ""
    run: str = ""
    colour: str = ""
    projection: str = ""
    dims: int | None = None
    select: str = ""
    ids: list[Any] | None = None
    cluster: str = ""
    group: str = ""
    clear: bool = False
    mode: str = "set"
    look: str = ""
    undo: bool = False

    @classmethod
    def read(cls, given: Any) -> Move:
        """UserError where `given`, from JSON, is not a move."""
        if not isinstance(given, dict):
            raise UserError("A move is an object of what to show.")
        for name, value in given.items():
            fits = _TYPES.get(name)
            if fits is None:
                raise UserError(f"A move has no “{text.plain(name)}” (it has {', '.join(_TYPES)}).")
            if not isinstance(value, fits) or (name == "dims" and isinstance(value, bool)):
                raise UserError(f"“{name}” of a move is given as another kind of value.")
        made = cls(**given)
        if made.mode not in MODES:
            raise UserError(f"There is no mode “{text.plain(made.mode)}”; {', '.join(MODES)}.")
        if made.ids is not None and len(made.ids) > CASES:
            raise UserError(f"{len(made.ids):,} cases were named; at most {CASES:,} are taken.")
        ways = [bool(made.select), made.ids is not None, bool(made.cluster), bool(made.group)]
        if sum([*ways, made.clear]) > 1:
            raise UserError("Choose one of a rule, ids, a cluster, a group, and clearing.")
        if made == replace(cls(), mode=made.mode):
            raise UserError("Nothing was asked of the screen; say what it should show.")
        return made


_TYPES: dict[str, Any] = {
    name: {"ids": (list, type(None)), "clear": bool, "undo": bool, "dims": (int, type(None))}.get(
        name, str
    )
    for name in Move.__dataclass_fields__
}


@dataclass
class _Target:
    """Where a move leads, and what is known there; read only when it is needed."""

    dataset: str | None
    run: str | None
    _columns: dict[str, Column] = field(default_factory=dict)

    def data(self) -> Dataset:
        data = state.dataset(name=self.dataset or "") if self.dataset else None
        if data is None:
            raise UserError("No data is open; add some, or name a dataset.")
        return data

    def columns(self) -> dict[str, Column]:
        if not self._columns:
            data = self.data()
            job = state.workspace().catalogue.job(self.run) if self.run else None
            done = job is not None and job.status == "done"
            found = (
                state.context_of(self.run, self.dataset or "").columns
                if done and self.run
                else list_columns(state.workspace(), data)
            )
            self._columns = found
        return self._columns


def resolve(move: Move, now: Screen) -> tuple[Screen, str]:
    """(What is shown after `move`, what is said of it on the screen). UserError, one sentence,
    where any part of it cannot be; nothing is moved either way.
    """
    said: list[str] = []
    page = _page(move.page) if move.page else now.page
    target = _target(move, now)
    kept = now.selection if target.dataset == now.dataset else Selection()
    new = replace(now, page=page, dataset=target.dataset, run=target.run, selection=kept)
    if move.page:
        said.append(f"page = {page}")
    if move.dataset or target.dataset != now.dataset:
        said.append(f"data = {text.plain(target.dataset)}")
    if move.run and target.run:
        said.append(f"run = {navigation.run_title(state.workspace().job(target.run))}")
    if move.colour:
        new = replace(new, colour=_colour(target, move.colour))
        said.append(f"colour = {text.plain(new.colour)}")
    if move.projection or move.dims is not None:
        how = move.projection.lower().replace("-", "") or now.projection
        dims = move.dims if move.dims is not None else now.dimensions
        check_projection(how, dims)
        new = replace(new, projection=how, dimensions=dims)
        said.append(f"projection = {how}, {dims}-D" if how != AUTOMATIC else f"{dims}-D map")
    selected, source = _selected(target, move)
    if selected is not None:
        rows = state.combine(kept.rows, selected, move.mode)
        new = replace(new, selection=Selection(rows, kept.primary, source, kept.place))
        said.append(f"{source}: {text.counted(len(rows), 'case')} selected")
    elif move.clear:
        new = replace(new, selection=Selection())
        said.append("selection cleared")
    if move.look:
        row = int(find_rows(target.data(), [move.look])[0])
        new = replace(new, selection=replace(new.selection, primary=row, place=None))
        said.append("looks at one case")
    return new, "; ".join(said)


def _page(given: str) -> str:
    names = [path.lstrip("/") or "home" for path in navigation.url_paths()]
    asked = given.strip().lower()
    asked = PAGES.get(asked, asked)
    if asked not in names:
        raise UserError(
            f"There is no page “{text.plain(given)}” (there are: map, {', '.join(names)})."
        )
    return asked


def _target(move: Move, now: Screen) -> _Target:
    ws = state.workspace()
    names = {e["id"]: e["name"] for e in ws.catalogue.datasets()}
    dataset = now.dataset
    if move.dataset:
        dataset = names.get(move.dataset, move.dataset)
        if dataset not in names.values():
            raise UserError(
                f"There is no dataset “{text.plain(move.dataset)}” (there are:"
                f" {', '.join(map(text.plain, list(names.values())[:12])) or 'none'})."
            )
    if not move.run:
        return _Target(dataset, now.run if dataset == now.dataset else state.newest_run(dataset))
    job = ws.job(move.run)
    if job.kind not in ("train", "apply") or job.status != "done":
        raise UserError(f"Run {job.id} is no finished run of a method; nothing of it can be shown.")
    if move.dataset and names.get(job.dataset) != dataset:
        raise UserError(f"Run {job.id} is not of “{text.plain(dataset)}”.")
    return _Target(names[job.dataset], job.id)


def _colour(target: _Target, given: str) -> str:
    columns = target.columns()
    found = [c for c in columns if c == given] or [
        c for c in columns if c.lower() == given.strip().lower()
    ]
    if not found:
        some = ", ".join(text.plain(c, 30) for c in list(columns)[:20])
        raise UserError(f"There is no column “{text.plain(given)}” (there are: {some}).")
    return found[0]


def _selected(target: _Target, move: Move) -> tuple[np.ndarray | None, str]:
    """(Row ids int64 that are asked for, or None where none are; what they are called.)"""
    if move.ids is not None:
        return np.unique(find_rows(target.data(), move.ids)), "list of cases"
    if move.group:
        groups = notes.load_groups(state.workspace(), target.data().name)
        if move.group not in groups:
            some = ", ".join(text.plain(g, 30) for g in groups) or "none is saved yet"
            raise UserError(f"There is no group “{text.plain(move.group)}” ({some}).")
        return np.sort(groups[move.group]), f"group {text.plain(move.group, 30)}"
    if move.select:
        held = find_by_rule(target.columns(), move.select)
        return target.data().rows[held], f"rule {text.plain(move.select, 80)}"
    if move.cluster:
        return _of_cluster(target, move.cluster)
    return None, ""


def _of_cluster(target: _Target, given: str) -> tuple[np.ndarray, str]:
    """By the name of a cluster, or its number alone."""
    column = next(
        (c for n, c in target.columns().items() if n == "cluster" or n.startswith("cluster (")),
        None,
    )
    if column is None:
        raise UserError("The run that is shown found no clusters.")
    code, words = column.codes()
    names = [w for w in words if w.lower() in (given.lower(), f"cluster {given}".lower())]
    if not names:
        some = ", ".join(text.plain(w, 30) for w in words[:20])
        raise UserError(f"There is no cluster “{text.plain(given)}” (there are: {some}).")
    held = code == words.index(names[0])
    return target.data().rows[held], f"cluster {text.plain(names[0].removeprefix('cluster '), 30)}"
