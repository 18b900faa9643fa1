"""The only file that touches session state: which dataset, run and selection are open, and values
of widgets across pages.

Dataset, run and view are mirrored in the URL, so a link reopens the same picture; by their ids,
since an address is kept and shown in many places, and a dataset may be named after a person or a
place. Identifiers of cases never are.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from app.access import gate, projects
from core.columns import Column, list_columns
from core.data.dataset import Dataset
from core.errors import Damaged, user_sentence
from core.imaging import windowing
from core.settings import read_settings
from core.workspace import decisions
from core.workspace.catalogue import Job
from core.workspace.workspace import Workspace


@dataclass(frozen=True)
class Selection:
    """The cases everyone looks at: int64 row ids of the open dataset, and `primary`, the one in the
    inspector. `source` says where it was made.

    `place`: the slice of a volume in the inspector, counted from 0 along the stored slice axis;
    None = the view's own choice.
    """

    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    primary: int | None = None
    source: str = ""
    place: int | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Context:
    """What a view draws from. `columns` are aligned to `data.rows`."""

    ws: Workspace
    data: Dataset
    job: Job
    columns: dict[str, Column]

    def key(self, name: str) -> str:
        """A widget key that belongs to this run."""
        return f"{name}-{self.job.id}"


@st.cache_resource(show_spinner=False)
def _workspace(home: str) -> Workspace:
    return Workspace(Path(home))


def workspace() -> Workspace:
    """The workspace of this page; where people share the server, that of its project, as the person
    at hand may use it.
    """
    people = gate.register()
    if people is None:
        return _workspace(str(read_settings().home))
    access = projects.access()
    return _workspace(str(people.folder / access.project)).seen_by(access)


@st.cache_resource(max_entries=8, show_spinner=False)
def _dataset(home: str, id: str, decided: str, whole: bool) -> Dataset:
    return workspace().dataset(id, whole)


@st.cache_resource(show_spinner=False)
def _decided(home: str) -> dict[str, str]:
    """What this process has last seen decided about each dataset."""
    return {}


@st.cache_resource(max_entries=8, show_spinner=False)
def _applied(home: str, run: str, decided: str) -> Dataset:
    from core.jobs.apply import load_data_as_seen

    return load_data_as_seen(workspace(), workspace().job(run))


# -- what is open ----------------------------------------------------------------------------------
def adopt_url() -> None:
    """At the start of a session take dataset and run from the URL."""
    if "dataset" not in st.session_state:
        st.session_state["dataset"] = _named_by(st.query_params.get("dataset"))
        st.session_state["run"] = st.query_params.get("run")
        st.session_state["selection"] = Selection()
        st.session_state["before"] = []
        st.session_state["side"] = st.query_params.get("side", "")
        asked = st.session_state["dataset"]
        _repair()
        if asked in (None, dataset_name()):
            _windows()[dataset_name() or ""] = windowing.parse_window(st.query_params.get("window"))
    _repair()
    _heed_decisions()


def _named_by(given: str | None) -> str | None:
    """The name of the dataset that a link asks for: by its id, or by its name, as in links of
    before.
    """
    entries = workspace().catalogue.datasets()
    return next((e["name"] for key in ("id", "name") for e in entries if e[key] == given), None)


def _repair() -> None:
    """Let go of a dataset or run that is no longer there; open the newest when nothing is open."""
    ws = workspace()
    entries = ws.catalogue.datasets()
    names = [e["name"] for e in entries]
    if st.session_state.get("dataset") not in names:
        newest = next((j.dataset for j in ws.runs() if j.status == "done"), None)
        st.session_state["dataset"] = next(
            (e["name"] for e in entries if e["id"] == newest), names[-1] if names else None
        )
        st.session_state["selection"] = Selection()
    runs = {j.id for j in ws.runs(st.session_state["dataset"])} if names else set()
    if st.session_state.get("run") not in runs:
        st.session_state["run"] = newest_run(st.session_state["dataset"]) if names else None


def newest_run(dataset: str | None) -> str | None:
    """The newest finished run of a dataset; one that builds on another only where there is no
    other, since most pages speak of what the run below it learned.
    """
    done = [j for j in workspace().runs(dataset) if j.status == "done"]
    own = [j for j in done if not j.on_run]
    return next((j.id for j in [*own, *done]), None)


def _heed_decisions() -> None:
    """Let go of everything computed with cases that are excluded by now, here or on the command
    line: caches, and the selection.
    """
    ws = workspace()
    name = st.session_state["dataset"]
    if name is None:
        return
    folder = ws.dataset_folder(name)
    now = decisions.decisions_stamp(folder)
    seen = _decided(str(ws.home))
    if seen.get(folder.name, now) != now:
        st.cache_data.clear()
        st.cache_resource.clear()
        seen = _decided(str(ws.home))
    seen[folder.name] = now
    if st.session_state.get("decided") != (folder.name, now):
        st.session_state["decided"] = (folder.name, now)
        try:
            out = ws.hidden(name)
        except Damaged:  # files of the data are lost; `damage` says so
            return
        st.session_state["selection"] = _without(selection(), out)
        st.session_state["before"] = [_without(s, out) for s in st.session_state.get("before", [])]


def _without(chosen: Selection, out: np.ndarray) -> Selection:
    primary = (
        None if chosen.primary is not None and np.isin(chosen.primary, out) else chosen.primary
    )
    return Selection(chosen.rows[~np.isin(chosen.rows, out)], primary, chosen.source)


def mirror_url() -> None:
    """Write what is open into the URL."""
    named = {e["name"]: e["id"] for e in workspace().catalogue.datasets()}
    for key, value in {
        "dataset": named.get(st.session_state.get("dataset")),
        "run": st.session_state.get("run"),
    }.items():
        if value and st.query_params.get(key) != value:
            st.query_params[key] = value
        elif not value and key in st.query_params:
            del st.query_params[key]
    _mirror_look()


# -- how pictures are looked at --------------------------------------------------------------------
def look() -> windowing.DisplaySettings:
    """The window chosen for the pictures of the open dataset, and the side chosen for all."""
    side = st.session_state.get("side", "")
    return windowing.DisplaySettings(
        _windows().get(dataset_name() or "", ""),
        side if side in windowing.SIDES else windowing.SIDES[0],
    )


def _windows() -> dict[str, str]:
    """Names of datasets -> the window chosen for their pictures; numbers of one would blacken those
    of another.
    """
    return st.session_state.setdefault("windows", {})


def set_window(choice: object, of: str) -> None:
    """Choose a window for all pictures of the dataset `of`, see `core.imaging.windowing`; what is
    no choice means the usual one.
    """
    _windows()[of] = windowing.parse_window(choice)
    _mirror_look()


def set_side(side: object) -> None:
    """Choose from which side pictures are seen: one of `core.imaging.windowing.SIDES`."""
    st.session_state["side"] = side if side in windowing.SIDES else ""
    _mirror_look()


def _mirror_look() -> None:
    now = look()
    for key, value in (
        ("window", now.window),
        ("side", "" if now.side == windowing.SIDES[0] else now.side),
    ):
        if value and st.query_params.get(key) != value:
            st.query_params[key] = value
        elif not value and key in st.query_params:
            del st.query_params[key]


def dataset_name() -> str | None:
    return st.session_state.get("dataset")


def dataset(whole: bool = False, name: str = "") -> Dataset | None:
    """The open dataset as people decided, or with `whole` also its excluded and held-back rows; or
    the one called `name`.
    """
    name = name or dataset_name() or ""
    ws = workspace()
    if not name:
        return None
    folder = ws.dataset_folder(name)
    return _dataset(str(ws.home), folder.name, decisions.decisions_stamp(folder), whole)


def damage() -> str:
    """What is wrong with the stored files of the open dataset, as a sentence; "" when it can be
    opened. Changed contents are found when they are read.
    """
    try:
        dataset()
    except Damaged as e:
        return str(e)
    return ""


def open_dataset(name: str) -> None:
    """Open another dataset: its newest finished run comes with it, the selection goes."""
    if name != st.session_state.get("dataset"):
        st.session_state["dataset"], st.session_state["run"] = name, None
        st.session_state["selection"], st.session_state["before"] = Selection(), []
        _repair()


def run() -> Job | None:
    id = st.session_state.get("run")
    return workspace().catalogue.job(id) if id else None


def open_run(id: str) -> None:
    """Open a run, and its dataset with it; the selection stays when the dataset does."""
    job = workspace().job(id)
    names = {e["id"]: e["name"] for e in workspace().catalogue.datasets()}
    open_dataset(names[job.dataset])
    st.session_state["run"] = job.id


def context() -> Context | None:
    """The open dataset and finished run with all columns; None when either is missing."""
    job = run()
    if dataset() is None or job is None or job.status != "done":
        return None
    return context_of(job.id)


def context_of(id: str, of: str = "") -> Context:
    """As `context`, for another finished run of the open dataset, or of the dataset named `of`."""
    data = dataset(name=of)
    assert data is not None
    ws = workspace()
    job = ws.job(id)
    if job.kind == "apply" and ws.catalogue.job(job.on_run) is not None:
        data = _applied(
            str(ws.home), job.id, decisions.decisions_stamp(ws.dataset_folder(job.dataset))
        )
    return Context(ws, data, job, list_columns(ws, data, job))


# -- the selection ---------------------------------------------------------------------------------
def selection() -> Selection:
    return st.session_state.get("selection", Selection())


def select(
    rows: np.ndarray, source: str = "", mode: str = "set", primary: int | None = None
) -> None:
    """Select row ids; modes "add", "remove" and "intersect" (keep only these of it) change the
    present selection. The one before can be brought back with `undo`.
    """
    now = selection()
    rows = combine(now.rows, np.asarray(rows, dtype=np.int64), mode)
    place = None
    if primary is None and now.primary is not None:
        primary, place = now.primary, now.place
    st.session_state["before"] = [*st.session_state.get("before", [])[-19:], now]
    st.session_state["selection"] = Selection(rows, primary, source, place)


def combine(now: np.ndarray, rows: np.ndarray, mode: str) -> np.ndarray:
    """Row ids after `rows` were selected in a mode of `select` while `now` were."""
    if mode == "add":
        return np.union1d(now, rows)
    if mode == "remove":
        return np.setdiff1d(now, rows)
    return np.intersect1d(now, rows) if mode == "intersect" else rows


def look_at(row: int, place: int | None = None) -> None:
    """Put one case into the inspector, a volume at slice `place`, without changing what is
    selected.
    """
    now = selection()
    st.session_state["selection"] = Selection(
        now.rows, int(row), now.source, None if place is None else int(place)
    )


def clear() -> None:
    st.session_state["before"] = [*st.session_state.get("before", [])[-19:], selection()]
    st.session_state["selection"] = Selection()


def undo() -> None:
    """The selection before the last change."""
    if st.session_state.get("before"):
        *st.session_state["before"], st.session_state["selection"] = st.session_state["before"]


def can_undo() -> bool:
    return bool(st.session_state.get("before"))


# -- the screen as a whole, as it is moved from outside --------------------------------------------
@dataclass(frozen=True)
class Screen:
    """What a screen shows: which page, dataset and run, by which column it is coloured ("" = the
    first there is), how its map is projected, and the selection.
    """

    page: str
    dataset: str | None
    run: str | None
    colour: str
    projection: str
    dimensions: int
    selection: Selection


def screen(page: str) -> Screen:
    """What this session shows on `page`, a path as in `st.Page`."""
    return Screen(
        page,
        dataset_name(),
        st.session_state.get("run"),
        str(value("colour") or ""),
        str(value("map-how") or "auto"),
        int(value("map-dims") or 2),
        selection(),
    )


def show_screen(wanted: Screen) -> None:
    """Show `wanted` from this run of the script on; its page is opened by `asked_page`. Everything
    is set to a whole new value, so that a run that is broken off half-way can do it again.
    """
    if wanted.dataset != dataset_name():
        st.session_state["before"] = []
    elif wanted.selection is not selection():
        st.session_state["before"] = [*st.session_state.get("before", [])[-19:], selection()]
    st.session_state["dataset"], st.session_state["run"] = wanted.dataset, wanted.run
    st.session_state["selection"] = wanted.selection
    for key, chosen in (
        ("colour", wanted.colour),
        ("map-how", wanted.projection),
        ("map-dims", wanted.dimensions),
    ):
        set_value(key, chosen)
    st.session_state["asked-page"] = wanted.page
    _repair()


def asked_page() -> str:
    """The page to go to now, "" for none; asked once."""
    return str(st.session_state.pop("asked-page", ""))


def moves() -> list[tuple[str, Screen]]:
    """What moved this screen from outside, in words, and what was shown before; the newest last."""
    return st.session_state.get("moves", [])


def set_moves(kept: list[tuple[str, Screen]]) -> None:
    st.session_state["moves"] = kept[-20:]


def hide_move() -> None:
    """Put the line about the newest move away; it cannot be undone from it any more."""
    set_moves(moves()[:-1])


def undo_move() -> None:
    """What was shown before the newest move from outside."""
    if moves():
        *rest, (_, before) = moves()
        show_screen(before)
        set_moves(rest)


# -- widgets that keep their value across pages ----------------------------------------------------
def kept(key: str, default: Any, options: list[Any] | None = None) -> Any:
    """The kept value of a widget, put into its key before it is drawn; pass `key=f"w-{key}",
    on_change=state.keep, args=(key,)` to the widget.
    """
    value = st.session_state.get(f"kept-{key}", default)
    if options is not None and value not in options:
        value = default
    st.session_state[f"w-{key}"] = value
    return value


def keep(key: str) -> None:
    st.session_state[f"kept-{key}"] = st.session_state[f"w-{key}"]


def value(key: str, default: Any = None) -> Any:
    """The kept value of a widget drawn elsewhere."""
    return st.session_state.get(f"kept-{key}", default)


def set_value(key: str, value: Any) -> None:
    st.session_state[f"kept-{key}"] = value


# -- presses that start something ------------------------------------------------------------------
def press(button: str) -> str:
    """The token of the next press of a button: give it to what the press starts, and as the
    button's key. A second click of a double click, or one on a button drawn before, is then no
    press of the button that stands there now.
    """
    return st.session_state.setdefault(f"press-{button}", uuid.uuid4().hex[:12])


def pressed(button: str) -> None:
    """What the press was for has begun: the button drawn from now on is another."""
    st.session_state[f"press-{button}"] = uuid.uuid4().hex[:12]


def attempt(action: Any, *args: Any, **kw: Any) -> Any:
    """Call `action`; what the user can fix (a UserError, a full disk) is shown as a sentence
    (escaped) and gives None.
    """
    from app.text import label

    try:
        return action(*args, **kw)
    except Exception as e:
        if (said := user_sentence(e)) is None:
            raise
        st.error(label(said, 600))
        return None


def colour_column() -> str | None:
    """Name of the column the user colours by, or None when there is none."""
    open_now = context()
    if open_now is None or not open_now.columns:
        return None
    chosen = value("colour")
    return chosen if chosen in open_now.columns else next(iter(open_now.columns))
