"""The training page: the generated form of a method, and the live run."""

from __future__ import annotations

import streamlit as st

from app import form, navigation, progress, state, text
from app.components import allowed
from app.panels import apply, method_choice, run_list
from app.panels import cases as _cases
from app.panels.gallery import score_of
from core.cards import load_card
from core.data.dataset import Dataset
from core.evidence import load_evidence
from core.jobs import queue
from core.jobs.engines import list_gpus
from core.method import Method
from core.training.presets import cases, preset
from core.training.run import gpu_here
from core.training.time_estimate import Estimate, estimate

DEVICES = {"auto": "automatic", "cuda": "graphics card", "cpu": "processor"}


def start(kind: type[Method], data: Dataset) -> None:
    """What the method is for, preset, form, time estimate, and the button."""
    st.markdown(f"### {text.explain(text.label(kind.title))}")
    about, found = load_card(kind.id), load_evidence(kind.id)
    if about:
        st.markdown(text.explain(text.label(method_choice.answers(kind.id), 400)))
        st.caption(
            ":material/block: Do not use when:"
            f" {text.explain(text.label(about.sections.get('Do not use when', ''), 400))}"
        )
    if found and found["tables"]:
        like = method_choice.measured_like(data)
        tables = [t for t in found["tables"] if like and t["data"].startswith(like)]
        table = (tables or found["tables"])[0]
        words = f"Measured on {table['data']}: {table['verdict']}"
        st.caption(f":material/straighten: {text.explain(text.label(words, 300))}")
    ws = state.workspace()
    if allowed.refuse("train"):
        return
    times = {}
    presets = {name: preset(kind, name, cases(kind, data)) for name in kind.presets}
    for name, values in presets.items():
        times[name] = estimate(ws, kind, values, data)
    level = st.segmented_control(
        "Preset",
        list(presets),
        default=next(iter(presets)),
        key=f"preset-{kind.id}",
        required=True,
        format_func=lambda p: " · ".join(filter(None, (p, text.duration(times[p].seconds)))),
        help="\n\n".join(f"{k}: {_expected(v)}" for k, v in times.items()),
    )
    with st.container(border=True):
        values = form.form(kind, presets[level], f"p-{data.hash[:6]}-{kind.id}-{level}", data)
    on = _cases.base(kind, data)
    only, chosen = _cases.cases(kind, data)
    only_normal = _cases.only_normal(kind, data, only)
    test = apply.test_data(kind, data)
    cards = len(_cards()) if gpu_here() and kind.shares_batches else 0
    left, middle, *right = st.columns(
        [2, 1, 1, 1] if cards > 1 else [2, 1, 1] if gpu_here() else [3, 1],
        vertical_alignment="bottom",
    )
    seed = middle.number_input("Seed", 0, 9999, 0, help="The same seed gives the same result.")
    device = (
        right[0].selectbox(
            "Computed on",
            list(DEVICES),
            format_func=DEVICES.__getitem__,
            help="Automatic: on the graphics card if it can be used.",
        )
        if right
        else "auto"
    )
    together = 1
    if cards > 1 and device != "cpu":
        together = right[1].number_input(
            "GPUs",
            1,
            cards,
            1,
            help="How many train it together, each on its part of every batch.",
        )
    expected = estimate(ws, kind, values, data, device)
    st.caption(f"Time: {_expected(expected)}.")
    token = state.press("train")
    if left.button(
        " · ".join(filter(None, ("Train", text.duration(expected.seconds)))),
        key=f"train-{token}",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
    ):
        job = state.attempt(
            queue.train,
            ws,
            data.name,
            kind.id,
            values,
            on=on,
            seed=int(seed),
            device=device,
            only=only,
            chosen=chosen,
            token=token,
            only_normal=only_normal,
            test=test,
            processes=int(together),
        )
        if job is not None:
            state.pressed("train")
            st.session_state["training"] = job.id
    id = st.session_state.get("training")
    started = ws.catalogue.job(id) if id else None
    if (
        started is not None
        and started.dataset == ws.entry(data.name)["id"]
        and (started.method == kind.id or not started.ended)
    ):
        _after(started.id)


@st.cache_data(ttl=60, show_spinner=False)
def _cards() -> list[str]:
    """The graphics cards of this machine: the driver is asked once a minute."""
    return list_gpus()


def _expected(found: Estimate) -> str:
    """The time a training will take, and what that rests on."""
    if found.seconds is None:
        return "no estimate yet, since nothing of this size was trained here"
    return (
        f"{text.duration(found.seconds)}, from {text.counted(found.runs, 'run')} of like size here"
    )


def _after(id: str) -> None:
    """The live run, and where to go once it is done."""
    job = state.workspace().job(id)
    st.markdown(f"**{text.label(navigation.run_title(job))}**")
    progress.live(id, curve=True, key="training")
    if job.ended and job.status != "done":
        run_list.resume_buttons(job)
        st.page_link(navigation.page("runs"), label="All runs", icon=":material/list_alt:")
    if job.status == "done":
        if st.session_state.get("opened") != id:  # once: a run or dataset chosen afterwards stays
            st.session_state["opened"] = id
            state.open_run(id)
            st.rerun()
        if (now := state.run()) is None or now.id != id:
            st.button(
                "Open it",
                key=f"open-{id}",
                on_click=state.open_run,
                args=(id,),
                help="Another run is open now.",
            )
            return
        given = {slug.partition("-")[0] for slug in state.workspace().slugs(id)}
        context = state.context()
        wanted = (
            ("results", "See what it found", True),
            ("latent", "See the map", "embedding" in given),
            (
                "anomalies",
                "Find unusual cases",
                context is not None and score_of(context) is not None,
            ),
            ("clusters", "Look at the clusters", bool({"clusters", "embedding"} & given)),
        )
        for cell, (name, words, there) in zip(
            st.columns(4), sorted(wanted, key=lambda w: not w[2])
        ):
            if there:
                cell.page_link(navigation.page(name), label=words, icon=":material/arrow_forward:")
