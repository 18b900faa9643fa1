"""The story on screen: order, captions, the presentation, and the files to take away."""

from __future__ import annotations

import streamlit as st

from app import state, text
from app.components import allowed, download
from core.report import html, script, story
from core.report.story_pdf import story_pdf


def begin() -> None:
    st.session_state["presenting"], st.session_state["slide"], st.session_state["told"] = (
        True,
        0,
        False,
    )


def _end() -> None:
    st.session_state["presenting"] = False


def _go(by: int, many: int) -> None:
    st.session_state["slide"] = max(0, min(many - 1, st.session_state.get("slide", 0) + by))
    st.session_state["told"] = False


def _tell() -> None:
    st.session_state["told"] = True


def present(pins: list[story.Pin]) -> None:
    """One slide at a time, large; arrow keys turn the pages."""
    at = min(st.session_state.get("slide", 0), len(pins) - 1)
    pin, first = pins[at], st.session_state.get("read-first", False)
    told = st.session_state.get("told", False) or not first
    bar = st.columns([1, 1, 2, 1, 1], vertical_alignment="center")
    bar[0].button(
        "Back",
        on_click=_go,
        args=(-1, len(pins)),
        disabled=at == 0,
        shortcut="Left",
        width="stretch",
    )
    bar[1].button(
        "Next",
        on_click=_go if told else _tell,
        args=(1, len(pins)) if told else (),
        disabled=at == len(pins) - 1 and told,
        shortcut="Right",
        width="stretch",
        type="primary",
    )
    bar[2].caption(f"{at + 1} of {len(pins)} · Research use, not for diagnosis")
    bar[3].toggle(
        "Read first",
        key="read-first",
        help=(
            "The caption stays covered until you ask for it, so that everyone looks before being"
            " told."
        ),
    )
    bar[4].button("End", on_click=_end, width="stretch")
    st.header(text.label(pin.caption, 300) if told else "What do you see?", anchor=False)
    st.image(
        story.picture_path(state.workspace(), pin.id).read_bytes(),
        width="stretch",
        alt=text.plain(pin.caption, 120) if told else "A pinned view",
    )
    if told and pin.notes:
        st.markdown(text.label(pin.notes, 2000))
    st.caption(text.label(pin.stamp, 300))
    _outdated(pin)


def _outdated(pin: story.Pin) -> None:
    if story.is_outdated(state.workspace(), pin):
        st.markdown(f":orange[:material/visibility: {story.OUTDATED}]")


def edit(pins: list[story.Pin]) -> None:
    """Every pin with its picture, caption, notes, and its place in the order."""
    ws = state.workspace()
    for i, pin in enumerate(pins):
        with st.container(border=True, key=f"drawn-{pin.id}"):
            left, middle, right = st.columns([2, 4.3, 1.4], vertical_alignment="center")
            left.image(
                story.picture_path(ws, pin.id).read_bytes(),
                width="stretch",
                alt=text.plain(pin.caption, 120),
            )
            with middle:
                caption = st.text_input(
                    "Caption",
                    pin.caption,
                    key=f"caption-{pin.id}",
                    max_chars=300,
                    **allowed.lock("annotate"),
                )
                notes = st.text_area(
                    "Notes for the speaker",
                    pin.notes,
                    key=f"notes-{pin.id}",
                    height=68,
                    max_chars=2000,
                    **allowed.lock("annotate"),
                )
                if caption != pin.caption or notes != pin.notes:
                    state.attempt(story.change_pin, ws, pin.id, caption, notes)
                st.caption(text.label(pin.stamp, 300))
                _outdated(pin)
            right.button(
                "Up",
                key=f"up-{pin.id}",
                on_click=state.attempt,
                args=(story.move_pin, ws, pin.id, -1),
                **allowed.lock("annotate", i == 0),
                width="stretch",
                icon=":material/arrow_upward:",
            )
            right.button(
                "Down",
                key=f"down-{pin.id}",
                on_click=state.attempt,
                args=(story.move_pin, ws, pin.id, 1),
                **allowed.lock("annotate", i == len(pins) - 1),
                width="stretch",
                icon=":material/arrow_downward:",
            )
            right.button(
                "Remove",
                key=f"remove-{pin.id}",
                on_click=_remove,
                args=(pin.id,),
                width="stretch",
                icon=":material/delete:",
                **allowed.lock("annotate"),
            )


def _remove(id: str) -> None:
    gone = state.attempt(story.remove_pin, state.workspace(), id)
    st.session_state["removed-pin"] = gone


def undo() -> None:
    """Bring the last removed pin back."""
    gone = st.session_state.get("removed-pin")
    if gone is not None and st.button(
        f"Bring back “{text.label(gone.caption, 40)}”",
        icon=":material/undo:",
        **allowed.lock("annotate"),
    ):
        state.attempt(story.restore_pin, state.workspace(), gone)
        st.session_state["removed-pin"] = None
        st.rerun()


def downloads(pins: list[story.Pin]) -> None:
    """The story and the open run's report as single files."""
    left, pdf, right, again = st.columns(4)
    # for what is made when it is asked for, which is not in this script's thread
    ws = state.workspace()
    if pins and not allowed.refuse("export"):
        made = state.attempt(html.story_html, state.workspace())
        if made:
            download.button(
                left,
                "Story as one file",
                made,
                "lightbox-story.html",
                "text/html",
                icon=":material/download:",
                width="stretch",
                what=f"story of {len(pins)} views",
            )
        # drawn when it is asked for
        download.button(
            pdf,
            "Story as PDF",
            lambda: story_pdf(ws),
            "lightbox-story.pdf",
            "application/pdf",
            icon=":material/picture_as_pdf:",
            width="stretch",
            what=f"story of {len(pins)} views",
        )
    job = state.run()
    if job is None or job.status != "done":
        return
    if job.kind == "train":
        download.button(
            again,
            "Script of the open run",
            lambda: script.write_script(ws, job.id),
            f"lightbox-run-{job.id[:6]}.py",
            "text/x-python",
            icon=":material/terminal:",
            width="stretch",
            what=f"script of run {job.id}",
            help="Makes the run again on the same data and compares every figure with what it was.",
        )
    key = f"report-{job.id}-{state.workspace().data_hash(job.dataset)}"
    if key in st.session_state:
        download.button(
            right,
            "Report of the open run",
            st.session_state[key],
            f"lightbox-report-{job.id[:6]}.html",
            "text/html",
            icon=":material/download:",
            width="stretch",
            what=f"run {job.id}: report",
        )
    elif right.button(
        "Prepare the report of the open run",
        width="stretch",
        icon=":material/description:",
        **allowed.lock("export"),
    ):
        with st.spinner("Drawing every figure"):
            made = state.attempt(html.report_html, state.workspace(), [job.id])
        if made:
            st.session_state[key] = made
            st.rerun()
