"""The list of issues of the open dataset: each with its cases, and what to do about it. Every press
is kept as a decision that can be undone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app import state, text
from app.components import allowed
from app.panels.gallery import thumbs
from core.data import checks
from core.data.checks import Finding
from core.data.dataset import Dataset
from core.imaging import render
from core.workspace import decisions, review

ICONS = {
    "ok": ":material/check:",
    "note": ":material/info:",
    "look": ":orange[:material/visibility:]",
    "stop": ":red[:material/front_hand:]",
}
SEVERITY = {"stop": "fix this first", "look": "review", "note": "for information", "ok": "passed"}
SMALL = 6  # pictures shown with a finding
PAGE = 24
SOON = 300 << 20  # bytes of samples that are looked over at once; more are looked over when asked


def show(data: Dataset) -> None:
    """Findings worst first, those set aside, those in order, and what was decided."""
    ws = state.workspace()
    _said(data)
    if not _ready(data):
        return
    with st.spinner("Looking the data over"):
        found = checks.dataset_findings(ws, data.name)
    made = review.list_decisions(ws, data.name)
    ignored = {d.finding: d for d in made if d.what == "ignore"}
    open_ = [f for f in found if f.severity not in ("ok", "note") and f.kind not in ignored]
    if not len(data):
        st.caption("No case is in use, so there is nothing to look over.")
    elif not open_:
        st.markdown("No issue is open.")
    else:
        stop = sum(f.severity == "stop" for f in open_)
        st.caption(
            f"{len(open_)} to review"
            + (f", {stop} of them to fix first" if stop else "")
            + ". Nothing is changed until you press a button."
        )
    for one in open_:
        _issue(data, one)
    for severity, heading in (("note", "For information"), ("ok", "Passed")):
        some = [f for f in found if f.severity == severity]
        if not some:
            continue
        with st.expander(f"{heading} ({len(some)})", expanded=severity == "note" or not open_):
            for one in some:
                st.markdown(
                    f"{ICONS[severity]} **{text.label(one.title)}** {text.label(one.words, 600)}"
                )
    if made:
        with st.expander(f"Decided ({len(made)})"):
            for d in reversed(made):
                _decision(data, d)


def _ready(data: Dataset) -> bool:
    """Whether the samples were looked over; large ones only when the user asks."""
    folder = state.workspace().dataset_folder(data.name)
    size = (
        0
        if data.samples is None
        else int(np.prod(data.samples.shape)) * data.samples.dtype.itemsize
    )
    if (
        (folder / "checks.json").exists()
        or size <= SOON
        or st.session_state.get(f"look-over-{folder.name}")
    ):
        return True
    st.markdown(f"The samples were not looked over yet ({size / 2**30:.1f} GB to read once).")
    st.button(
        "Look them over",
        key=f"look-over-{folder.name}",
        type="primary",
        icon=":material/troubleshoot:",
    )
    return False


# -- one issue -------------------------------------------------------------------------------------
def _issue(data: Dataset, found: Finding) -> None:
    with st.container(border=True, key=f"issue-{found.kind.replace(' ', '-')}"):
        st.markdown(
            f"{ICONS[found.severity]} **{text.label(found.title)}** · {SEVERITY[found.severity]} "
            f" \n{text.label(found.words, 900)}"
        )
        rows = np.array(
            (
                [r for r in found.rows if (data.rows == r).any()]
                if len(found.rows) < 200
                else found.rows
            ),
            dtype=np.int64,
        )
        if len(rows):
            _few(data, found, rows)
            if found.total > len(found.rows):
                st.caption(
                    f"The first {len(found.rows):,} of {found.total:,} are listed; more come when"
                    " these are dealt with."
                )
        with st.container(horizontal=True):
            if len(rows):
                st.button(
                    "Look",
                    key=f"look-at-{found.kind}",
                    icon=":material/grid_view:",
                    on_click=_look,
                    args=(found,),
                    help="All of them, larger. They become the selection as well.",
                )
                with st.popover("Exclude", icon=":material/block:", **allowed.lock("annotate")):
                    _exclude(data, found, rows)
            if found.fix:
                st.button(
                    found.fix,
                    key=f"fix-{found.kind}",
                    icon=":material/build:",
                    on_click=press,
                    args=(lambda: review.fix_split(state.workspace(), data.name, found.kind),),
                    **allowed.lock(
                        "annotate",
                        help="Each patient goes wholly to the part that has most of its cases. The"
                        " files stay as they are.",
                    ),
                )
            with (
                st.popover("Ignore", icon=":material/visibility_off:", **allowed.lock("annotate")),
                st.form(f"ignore-{found.kind}", border=False),
            ):
                why = st.text_input("Why it is no problem", max_chars=200)
                if st.form_submit_button("Ignore", type="primary") and _do(
                    lambda: review.ignore(state.workspace(), data.name, found.kind, why)
                ):
                    st.rerun()
    if st.session_state.get("looking-at") == found.kind:
        st.session_state["looking-at"] = None
        _large(data, found)


def _few(data: Dataset, found: Finding, rows: np.ndarray) -> None:
    """The first cases small; copies side by side in pairs."""
    if not render.is_drawable(data):
        shown = _lines(data, found, rows[:4])
        st.dataframe(
            shown if found.sets or len(shown.columns) < 9 else shown[shown.columns[:8]],
            height=38 + 35 * len(shown),
        )
        return
    if found.sets:
        pairs = [s[:2] for s in found.sets[: SMALL // 2]]
        pics = thumbs(data, np.array([r for p in pairs for r in p]), 96)
        for i, cell in zip(range(len(pairs)), st.columns(SMALL // 2)):
            cell.image(
                np.concatenate(
                    [pics[2 * i], np.full((96, 3, 3), 160, np.uint8), pics[2 * i + 1]], 1
                ),
                width="stretch",
                alt=f"Rows {pairs[i][0]} and {pairs[i][1]} side by side",
                caption=f"rows {pairs[i][0]} and {pairs[i][1]}"
                + (f" + {len(found.sets[i]) - 2}" if len(found.sets[i]) > 2 else ""),
            )
        return
    some = rows[:SMALL]
    label = dict(zip(some.tolist(), data.of(some).labels))
    # room for the names of two classes
    across = SMALL // 2 if found.kind == "labels doubted" else SMALL
    cells = [cell for _ in range(0, len(some), across) for cell in st.columns(across)]
    for pic, row, cell in zip(thumbs(data, some, 96), some.tolist(), cells):
        cell.image(pic, width="stretch", alt=f"Row {row}")
        note = found.notes.get(str(row))
        if found.kind == "labels doubted" and note is not None:
            cell.caption(f"{text.label(data.classes[label[row]], 12)}, or {text.label(note, 12)}?")
            cell.button(
                text.label(note, 12),
                key=f"relabel-{row}",
                on_click=press,
                icon=":material/label:",
                type="tertiary",
                args=(
                    lambda row=row, note=note: review.relabel(
                        state.workspace(), data.name, np.array([row]), note, "looked at", found.kind
                    ),
                ),
                **allowed.lock(
                    "annotate",
                    help=f"Give row {row} the label “{text.label(note)}”, which most cases like it"
                    " have.",
                ),
            )
        elif note is not None:
            cell.caption(text.label(note, 24))


def _lines(data: Dataset, found: Finding, rows: np.ndarray) -> pd.DataFrame:
    """Lines of the table, the columns the finding is about first."""
    shown = data.of(rows).shown
    first = [c for c in shown.columns if f"“{c}”" in found.words]
    if found.kind == "labels doubted":
        first = [data.roles["label"]]
        shown = shown.assign(**{"most similar have": [found.notes.get(str(r), "") for r in rows]})
        first.append("most similar have")
    return shown[[*first, *(c for c in shown.columns if c not in first)]]


def _exclude(data: Dataset, found: Finding, rows: np.ndarray) -> None:
    ways: dict[str, Callable[[], Any]] = {f"all {len(rows):,}": lambda: rows}
    if found.sets:
        ways = {
            "all but one of each set": lambda: [
                r for s in found.sets for r in review.surplus_copies(data, s)
            ],
            **ways,
        }
    with st.form(f"exclude-{found.kind}", border=False):
        way = st.radio("Which", list(ways)) if len(ways) > 1 else next(iter(ways))
        why = st.text_input(
            "Why",
            found.title,
            max_chars=200,
            help="Kept with the data, counted in its flow diagram.",
        )
        pressed = st.form_submit_button(
            "Exclude" if len(ways) > 1 else f"Exclude {way}", type="primary"
        )
        if pressed and _do(
            lambda: review.exclude(state.workspace(), data.name, ways[str(way)](), why, found.kind)
        ):
            st.rerun()
    st.caption(
        "They stay on disk and can be brought back; no training, figure or report uses them."
    )


def _look(found: Finding) -> None:
    state.select(np.array(found.rows), found.title)
    st.session_state["looking-at"] = found.kind


@st.dialog("Look at them", width="large")
def _large(data: Dataset, found: Finding) -> None:
    rows = np.array(found.rows, dtype=np.int64)
    st.markdown(
        f"**{text.label(found.title)}**, {len(rows):,} cases. They are selected now, on every page."
    )
    pages = -(-len(rows) // PAGE)
    at = st.pagination(pages, key=f"large-{found.kind}") - 1 if pages > 1 else 0
    part = rows[at * PAGE : (at + 1) * PAGE]
    names = data.of(part).names()
    if not render.is_drawable(data):
        st.dataframe(data.of(part).shown)
        return
    across = 6
    label = (
        [data.classes[j] if j >= 0 else "no label" for j in data.of(part).labels]
        if data.classes
        else [""] * len(part)
    )
    for i in range(0, len(part), across):
        for cell, pic, row, name, is_ in zip(
            st.columns(across),
            thumbs(data, part[i : i + across], 128),
            part[i : i + across],
            names[i : i + across],
            label[i : i + across],
        ):
            note = text.label(found.notes.get(str(row), ""), 24)
            said = [
                text.label(name, 20),
                text.label(is_, 20) + (f", or {note}?" if found.kind == "labels doubted" else ""),
                "" if found.kind == "labels doubted" else note,
            ]
            cell.image(
                pic,
                width="stretch",
                alt=text.plain(name, 60),
                caption=" · ".join(s for s in said if s),
            )


# -- deciding --------------------------------------------------------------------------------------
def press(action: Callable[[], Any]) -> None:
    """What a button does: see `_do`."""
    _do(action)


def _do(action: Callable[[], Any]) -> bool:
    """Carry a decision out; what happened is said at the top of the list, with a way back. False
    when it was refused, which is said in its place.
    """
    made = state.attempt(action)
    if made is not None:
        st.session_state["decided-now"] = made if isinstance(made, list) else [made]
    return made is not None


def said_of(d: decisions.Decision) -> str:
    """A decision in words, escaped."""
    if d.what == "normal":
        return (
            f"“{text.label(d.value)}” {decisions.WORDS[d.what]}"
            if d.value
            else "No class is the normal one"
        )
    of = (
        f"{len(d.rows):,} case{'s' * (len(d.rows) != 1)}"
        if d.rows
        else f"The finding “{text.label(d.finding)}”"
    )
    to = f" to {text.label(d.value)}" if d.value else ""
    return (
        f"{of} {'moved' if d.what == 'part' else decisions.WORDS[d.what]}{to}:"
        f" {text.label(d.reason, 200)}"
    )


def _said(data: Dataset) -> None:
    made = [
        d
        for d in st.session_state.get("decided-now", [])
        if d.id in {x.id for x in review.list_decisions(state.workspace(), data.name)}
    ]
    if not made:
        return
    st.info(
        "  \n".join(said_of(d) for d in made) + f"  \n{len(data):,} cases are in use.",
        icon=":material/done:",
    )
    st.button(
        "Undo",
        key="undo-now",
        **allowed.lock("annotate"),
        on_click=_undo,
        args=(data.name, [d.id for d in made]),
        icon=":material/undo:",
    )


def _undo(name: str, ids: list[str]) -> None:
    for id in ids:
        state.attempt(review.undo, state.workspace(), name, id)
    st.session_state["decided-now"] = []


def _decision(data: Dataset, d: decisions.Decision) -> None:
    left, right = st.columns([3, 1], vertical_alignment="center")
    by = f", {text.label(d.author, 60)}" if d.author else ""
    left.markdown(
        f"{said_of(d)}  \n:small[{time.strftime('%d %b %Y %H:%M', time.localtime(d.when))}{by}]"
    )
    right.button(
        "Undo",
        key=f"undo-{d.id}",
        on_click=_undo,
        args=(data.name, [d.id]),
        width="stretch",
        **allowed.lock(review.act_to_undo(d), help="Take this decision back."),
    )
