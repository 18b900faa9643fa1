"""The reading room: a case, the reader's own answer, and the model's beside it afterwards."""

from __future__ import annotations

import time

import numpy as np
import streamlit as st

from app import state, text
from app.components import allowed
from app.panels import heat, model_answer, reading_aids, reading_queue, texts, viewer
from app.state import Context
from core.imaging import render
from core.workspace import readings
from core.workspace.readings import Reading, Verdict

FIRST, ALONE, TOGETHER = "Read first", "Without the model", "Together"
MODES = {
    FIRST: "your answer is kept, then the model’s is shown",
    ALONE: "the model’s answer is never shown",
    TOGETHER: "the model’s answer is beside the case from the start",
}
PAGE = 20  # cases in the list at once
HEIGHT = 540  # pixels of the picture
VERDICTS: tuple[tuple[str, Verdict, str], ...] = (
    ("Agree", "agree", "A"),
    ("Disagree", "disagree", "D"),
    ("Unsure", "unsure", "U"),
)


def show(context: Context) -> None:
    """The choices, then list, case and answers side by side."""
    mode = _choices(context)
    cases = _cases(context)
    if not len(cases):
        st.info("No case waits in this order. Choose other cases or another order.")
        return
    reader = context.ws.access.person or str(state.value("reader", "") or "").strip()
    made = readings.list_readings(context.ws, context.data.name)
    mine = (
        readings.latest_readings(
            made, context.ws.access.person or readings.check_reader(reader), context.job.id
        )
        if reader
        else {}
    )
    row = _current(context, cases)
    queue, case, answers = st.columns([1.1, 3.9, 1.7])
    with queue:
        _list(context, cases, row, mine)
    reading = mine.get(row)
    shown = mode == TOGETHER or (reading is not None and reading.shown is not None)
    with case:
        _case(context, row, shown and mode != ALONE, reading is not None or mode == TOGETHER)
    with answers:
        _step(context, cases, row)
        _answers(context, cases, row, reader, reading, mode)
        if reading is not None or mode == TOGETHER:
            _after(context, row, reading, shown and mode != ALONE)
    reading_aids.summary(context, made, mine, cases, reader)


# -- what is read, and how -------------------------------------------------------------------------
def _choices(context: Context) -> str:
    """Reader, cases, order and mode; returns the mode."""
    sets = reading_queue.offered_sets(context)
    orders = reading_queue.offered_orders(context)
    modes = [m for m in MODES if m == ALONE or model_answer.has_answers(context)]
    cells = st.container(key="controls-reading").columns(
        [1.4, 2, 2, 1.8, 1.2], vertical_alignment="bottom"
    )
    if context.ws.access.person:
        allowed.author(cells[0], "Reader", "")
    else:
        state.kept("reader", "")
        cells[0].text_input(
            "Reader",
            key="w-reader",
            on_change=state.keep,
            args=("reader",),
            max_chars=readings.NAME,
            placeholder="name or initials",
            help="Kept with each of your answers, on this machine only.",
        )
    for cell, key, words, options, help_ in (
        (cells[1], "reading-set", "Cases", list(sets), "Which cases wait to be read."),
        (cells[2], "reading-order", "Order", orders, reading_queue.describe(orders)),
        (cells[3], "reading-mode", "Mode", modes, "\n\n".join(f"{m}: {MODES[m]}" for m in modes)),
    ):
        state.kept(key, options[0], options)
        cell.selectbox(
            words,
            options,
            key=f"w-{key}",
            on_change=_rearrange,
            args=(context, key),
            format_func=text.plain,
            help=help_,
        )
    state.kept("reading-timed", False)
    cells[4].toggle(
        "Keep times",
        key="w-reading-timed",
        on_change=state.keep,
        args=("reading-timed",),
        help="Also keep how many seconds each case was on screen before you answered.",
    )
    mode = str(st.session_state["w-reading-mode"])
    if mode == FIRST and st.session_state["w-reading-order"] in reading_queue.FROM_MODEL:
        st.caption(
            ":orange[:material/info:] This order comes from the model, so it tells something of its"
            " answer before yours. “mixed” does not."
        )
    return mode


def _rearrange(context: Context, key: str) -> None:
    """Keep a choice; other cases, or another order, begin at their first one."""
    state.keep(key)
    if key != "reading-mode":
        state.set_value(context.key("reading-row"), None)


def _cases(context: Context) -> np.ndarray:
    """Row ids that wait, in their order."""
    rows = reading_queue.offered_sets(context)[st.session_state["w-reading-set"]]
    return reading_queue.order_cases(context, rows, st.session_state["w-reading-order"])


def _current(context: Context, cases: np.ndarray) -> int:
    """The case on the screen, and since when, for who asked for times."""
    row = state.value(context.key("reading-row"))
    if row is None or not (cases == row).any():
        row = int(cases[0])
        state.set_value(context.key("reading-row"), row)
    if (state.value("reading-since") or (None,))[0] != row:
        state.set_value("reading-since", (row, time.monotonic()))
    return int(row)


def _go(context: Context, row: int) -> None:
    state.set_value(context.key("reading-row"), int(row))


# -- the three columns -----------------------------------------------------------------------------
def _list(context: Context, cases: np.ndarray, row: int, mine: dict[int, Reading]) -> None:
    """The cases around the present one, those that were read ticked."""
    at = int(np.flatnonzero(cases == row)[0])
    done = int(np.isin(cases, list(mine)).sum())
    st.progress(done / len(cases), f"{done:,} of {len(cases):,} read")
    start = min(max(0, at - PAGE // 2), max(0, len(cases) - PAGE))
    shown = cases[start : start + PAGE]
    with st.container(height=HEIGHT - 60, gap=None, border=False):
        for other, name in zip(shown.tolist(), context.data.of(shown).names()):
            read = other in mine
            st.button(
                text.label(name.rsplit(".", 1)[0], 18),
                key=f"reading-list-{other}",
                icon=f":material/{'check_circle' if read else 'radio_button_unchecked'}:",
                type="primary" if other == row else "tertiary",
                on_click=_go,
                args=(context, other),
                width="stretch",
                help=f"{text.label(name)} (row {other}){', read' if read else ''}",
            )


def _case(context: Context, row: int, with_model: bool, with_truth: bool) -> None:
    """The case itself, large; heat only where the model's answer may be seen."""
    data = context.data
    name = data.of(np.array([row])).names()[0]
    st.markdown(f"**{text.label(name, 60)}**" + ("" if name == f"row {row}" else f" · row {row}"))
    if viewer.fits(data):
        scores = model_answer.heat_of(context) if with_model else None
        viewer.case(
            data,
            row,
            context.key("reading-viewer"),
            HEIGHT,
            scores,
            context.job.id,
            look_at=lambda other: _go(context, other),
            reading=True,
            truth=with_truth,
            level=heat.level_in_use(scores, context, moved=False),
        )
    elif render.is_drawable(data):
        st.image(render.draw_case(data, row, HEIGHT), width="stretch", alt="The case")
    elif data.modality == "text":
        with st.container(height=HEIGHT):
            texts.show_text(data.of(np.array([row])).texts[0])
    elif data.modality == "sequence":
        st.text(text.plain(data.of(np.array([row])).texts[0], 4000))
    else:
        reading_aids.values(context, row)


def _step(context: Context, cases: np.ndarray, row: int) -> None:
    """Previous and next case."""
    at = int(np.flatnonzero(cases == row)[0])
    left, right = st.columns(2)
    for cell, word, to, key in ((left, "Back", at - 1, "Left"), (right, "Next", at + 1, "Right")):
        there = 0 <= to < len(cases)
        cell.button(
            word,
            key=f"reading-{word}",
            on_click=_go,
            args=(context, int(cases[to]) if there else row),
            disabled=not there,
            shortcut=key,
            width="stretch",
        )


def _answers(
    context: Context,
    cases: np.ndarray,
    row: int,
    reader: str,
    reading: Reading | None,
    mode: str,
) -> None:
    """The reader's own answer, by a key each."""
    if reading is not None:
        early = "" if reading.first else ", after the model’s answer was seen"
        early = ", without the model" if mode == ALONE and reading.first else early
        st.markdown(f"Your answer: **{text.label(reading.answer, 40)}**{early}")
        st.button(
            "Undo",
            key="reading-undo",
            shortcut="Z",
            on_click=state.attempt,
            args=(readings.undo_reading, context.ws, context.data.name, reading.id),
            width="stretch",
            **allowed.lock(
                "annotate",
                help="Takes back your agreement, or your answer. That it was given stays on"
                " record.",
            ),
        )
        return
    st.markdown("**What do you see?**")
    if not reader:
        st.caption("Type your name or initials above to answer.")
    offered = model_answer.offered_answers(context)
    words = [*offered, readings.CANNOT_TELL]
    if not offered:
        chosen = st.selectbox("Answer", [*context.data.classes, readings.CANNOT_TELL], index=None)
        words = [str(chosen)] if chosen is not None else []
    for i, word in enumerate(words, 1):
        st.button(
            text.label(word, 40),
            key=f"reading-answer-{i}",
            shortcut=str(i % 10),
            on_click=_answer,
            args=(context, row, reader, word, mode),
            **allowed.lock("annotate", not reader),
            width="stretch",
        )


def _answer(context: Context, row: int, reader: str, word: str, mode: str) -> None:
    """Keep the reader's answer; then, and only then, the model's may be shown."""
    code = int(context.data.of(np.array([row])).labels[0])
    since = state.value("reading-since")
    timed = bool(state.value("reading-timed", False)) and since is not None and since[0] == row
    kept = state.attempt(
        readings.add_reading,
        context.ws,
        context.data.name,
        row,
        reader,
        context.job.id,
        word,
        first=mode != TOGETHER,
        label=context.data.classes[code] if code >= 0 else "",
        seconds=time.monotonic() - since[1] if timed else None,
    )
    answer = model_answer.describe_answer(context, row) if mode != ALONE else None
    if kept is not None and answer is not None:
        state.attempt(readings.show_answer, context.ws, context.data.name, kept.id, answer.said)


def _after(context: Context, row: int, reading: Reading | None, with_model: bool) -> None:
    """What may be seen once the reader has answered: the stored label, the model's answer, and
    what lies near.
    """
    code = int(context.data.of(np.array([row])).labels[0])
    if code >= 0:
        st.markdown(f"Stored label: **{text.label(context.data.classes[code], 40)}**")
    answer = model_answer.describe_answer(context, row) if with_model else None
    if answer is None:
        return
    with st.container(border=True):
        st.markdown("**The model**")
        st.markdown("  \n".join(answer.lines))
        if model_answer.heat_of(context) is not None:
            st.caption("H: show where it sees something unusual")
    if reading is not None:
        _verdict(context, reading)
    reading_aids.beside(context, row)


def _verdict(context: Context, reading: Reading) -> None:
    """Whether the reader agrees with the model, and a note."""
    note = st.text_input(
        "Note",
        reading.note,
        key=f"reading-note-{reading.id}",
        max_chars=readings.NOTE,
        placeholder="optional",
    )
    with st.container(horizontal=True, gap="small"):
        for word, verdict, key in VERDICTS:
            st.button(
                word,
                key=f"reading-{verdict}",
                shortcut=key,
                type="primary" if reading.verdict == verdict else "secondary",
                on_click=state.attempt,
                args=(
                    readings.judge_answer,
                    context.ws,
                    context.data.name,
                    reading.id,
                    verdict,
                    note,
                ),
                **allowed.lock("annotate"),
            )
