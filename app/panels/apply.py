"""Applying the open run's model to other data: which data fits, why the rest does not, one
press.
"""

from __future__ import annotations

import streamlit as st

from app import navigation, progress, state, text
from app.components import allowed
from app.state import Context
from core.data.dataset import Dataset
from core.jobs import queue
from core.jobs.apply import why_not_applied, why_not_tested_on
from core.method import Method
from core.registry import method_class
from core.training.fit import describes_own_only
from core.workspace.catalogue import Job


@st.cache_data(max_entries=512, show_spinner=False)
def _why_not(home: str, run: str, dataset: str, hash: str) -> str | None:
    ws = state.workspace()
    return why_not_applied(ws, ws.job(run), dataset)


@st.cache_data(max_entries=512, show_spinner=False)
def _why_not_tested(home: str, method: str, own: str, other: str, hashes: str) -> str | None:
    kind, ws = method_class(method), state.workspace()
    assert kind is not None
    return why_not_tested_on(kind, ws.dataset(own), ws.dataset(other))


def panel(context: Context) -> None:
    """What the model was applied to so far, and a choice of the data it can be applied to."""
    ws, job = context.ws, context.job
    if job.kind == "apply":
        _origin(context)
        return
    kind = method_class(job.method)
    opened = st.expander(
        "Apply this model to other data",
        icon=":material/input:",
        key=context.key("apply"),
        on_change="rerun",
    )
    if not opened.open:  # what fits is worked out for those who ask
        return
    with opened:
        if kind is None or not kind.other_data:
            title = kind.title if kind else job.method
            st.caption(text.label(describes_own_only(kind), 300) if kind else text.label(title))
            return
        names = [e["name"] for e in ws.catalogue.datasets() if e["id"] != job.dataset]
        home = str(ws.home)
        reasons = {n: _why_not(home, job.id, n, ws.data_hash(n)) for n in names}
        fits = [n for n, why in reasons.items() if why is None]
        _choose(context, fits)
        _others(reasons)


def _choose(context: Context, fits: list[str]) -> None:
    ws, job = context.ws, context.job
    if not fits:
        st.markdown("No other data here fits this model. Bring data of the same kind first.")
        st.page_link(navigation.page("data"), label="Add data", icon=":material/arrow_forward:")
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    name = left.selectbox(
        "Other data",
        fits,
        format_func=text.plain,
        key=context.key("apply-to"),
        help="None of its cases was learned from, so figures of all of them are honest.",
    )
    run, id = st.session_state.get("applying", ("", ""))
    started = ws.catalogue.job(id) if run == job.id else None
    if started is not None and started.status == "done":
        del st.session_state["applying"]
        state.open_run(started.id)
        st.rerun()
    applied = [
        j
        for j in ws.runs(name)
        if j.kind == "apply" and j.on_run == job.id and j.status != "failed"
    ]
    if applied and applied[0].status == "done":
        right.button("Open it", on_click=state.open_run, args=(applied[0].id,), width="stretch")
        return
    token = state.press("apply")
    if right.button(
        "Apply", key=f"apply-{token}", type="primary", width="stretch", **allowed.lock("train")
    ):
        asked = state.attempt(queue.apply, ws, job.id, name, token=token)
        if asked is not None:
            state.pressed("apply")
            st.session_state["applying"] = (job.id, asked.id)
            st.rerun()
    if started is not None:
        progress.live(started.id, key="applying")


def _others(reasons: dict[str, str | None]) -> None:
    others = {name: why for name, why in reasons.items() if why is not None}
    if not others or not st.toggle(
        f"Why {text.counted(len(others), 'other dataset')} cannot be used"
    ):
        return
    for name, why in others.items():
        st.caption(f"**{text.label(name)}** · {text.label(why, 300)}")


def find_origin(context: Context) -> tuple[Job | None, str]:
    """The run in which the model of an applied run was trained, None where it has been removed, and
    the name of the data it learned from, "" where that is gone.
    """
    trained = context.ws.catalogue.job(context.job.on_run)
    names = {e["id"]: e["name"] for e in context.ws.catalogue.datasets()}
    return trained, names.get(trained.dataset, "") if trained is not None else ""


def _origin(context: Context) -> None:
    """Where the model of an applied run comes from, and what is to be told beside its figures."""
    trained, name = find_origin(context)
    if trained is None:
        st.caption("The run this model was trained in has been removed.")
    else:
        own = text.label(name or "?")
        st.markdown(f"The model was trained on **{own}** and has learned nothing from these cases.")
        title = f"Open the training run ({trained.id[:4]})"
        st.button(title, on_click=state.open_run, args=(trained.id,), icon=":material/arrow_back:")
    for note in context.job.note.splitlines():
        st.markdown(f":orange[:material/visibility:] {text.label(note, 400)}")


def test_data(kind: type[Method], data: Dataset) -> str:
    """The dataset the trained model is to be tested on, chosen in the training form; "" = none."""
    ws = state.workspace()
    names = [e["name"] for e in ws.catalogue.datasets() if e["name"] != data.name]
    if not kind.other_data or not names:
        return ""
    home = str(ws.home)
    fits = [
        n
        for n in names
        if _why_not_tested(home, kind.id, data.name, n, data.hash + ws.data_hash(n)) is None
    ]
    if not fits:
        return ""
    return st.selectbox(
        "Also test on",
        ["", *fits],
        format_func=lambda n: text.plain(n) if n else "its own test part only",
        key=f"test-on-{kind.id}",
        help=(
            "Other data, such as another hospital's: the model is applied to all of it once it is"
            " trained."
        ),
    )
