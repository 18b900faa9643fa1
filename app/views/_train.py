"""The training page: cards of fitting methods, the generated form, and the live run."""

from __future__ import annotations

import streamlit as st

from app import form, progress, shell, state, text
from core import estimate
from core.cards import card
from core.data.dataset import Dataset
from core.evidence import load
from core.jobs import queue
from core.method import Method, why_not
from core.registry import methods

PURPOSES = {
    "decomposition": "A quick first look", "generative": "A space you can walk through", "anomaly": "What is unusual, and where",
    "selfsupervised": "Which pictures are alike", "discovery": "New kinds of cases", "clustering": "Groups in an earlier run",
}  # fmt: skip


@st.cache_data(max_entries=32, show_spinner=False)
def _reasons(home: str, hash: str, name: str) -> dict[str, str | None]:
    data = state.workspace().dataset(name)
    return {id: why_not(kind, data) for id, kind in methods().items()}


def choose(data: Dataset) -> type[Method] | None:
    """Cards by purpose; gives the chosen method."""
    reasons = _reasons(str(state.workspace().home), data.hash, data.name)
    fits = [id for id, why in reasons.items() if why is None]
    embeds = any(s.startswith("embedding") for j in state.workspace().runs(data.name) if j.status == "done" for s in state.workspace().slugs(j.id))
    fits = [id for id in fits if embeds or not methods()[id].takes.on]
    if not fits:
        st.info("No method fits this data; see below why.")
    order = sorted(fits, key=lambda id: (list(PURPOSES).index(methods()[id].family) if methods()[id].family in PURPOSES else 99, id))
    chosen = state.kept("method", order[0] if order else None, order)
    for start in range(0, len(order), 3):
        for cell, id in zip(st.columns(3), order[start : start + 3]):
            _card(cell, id, id == chosen)
    with st.expander(f"Why {len(reasons) - len(order)} other methods do not fit"):
        for id, why in reasons.items():
            if id not in order:
                st.markdown(f"**{methods()[id].title}** ({id}): {text.label(why or 'Builds on an earlier run with a latent space; train one first.', 200)}")
    return methods().get(chosen) if chosen else None


def _card(cell: st.delta_generator.DeltaGenerator, id: str, chosen: bool) -> None:
    kind, about, found = methods()[id], card(id), load(id)
    with cell, st.container(border=True, height=210):
        st.caption(PURPOSES.get(kind.family, kind.family))
        st.markdown(f"**{text.label(kind.title)}**")
        st.caption(text.label(about.sections.get("Answers", "") if about else "", 130))
        verdict = found["tables"][0]["verdict"] if found and found["tables"] else "Not measured yet."
        st.button("Chosen" if chosen else "Choose", key=f"choose-{id}", type="primary" if chosen else "secondary", width="stretch", on_click=_pick, args=(id,),
                  help=text.label(f"{verdict}", 300))  # fmt: skip


def _pick(id: str) -> None:
    state.set_value("method", id)


def start(kind: type[Method], data: Dataset) -> None:
    """Preset, form, time estimate, and the button."""
    st.divider()
    st.markdown(f"**{text.label(kind.title)}** on **{text.label(data.name)}**")
    about = card(kind.id)
    if about:
        st.caption(text.label(f"Do not use when: {about.sections.get('Do not use when', '')}", 400))
    ws = state.workspace()
    times = {}
    for name, values in kind.presets.items():
        guess, runs = estimate.seconds(ws, kind, values, data)
        times[name] = f"{text.duration(guess)}" + (f" (from {runs} earlier run{'s' * (runs > 1)} here)" if runs else " (a first guess)")
    preset = st.segmented_control("How thorough", list(kind.presets), default=next(iter(kind.presets)), key=f"preset-{kind.id}", required=True,
                                  format_func=lambda p: f"{p} · {times[p].partition(' (')[0]}", help="\n\n".join(f"{k}: {v}" for k, v in times.items()))  # fmt: skip
    with st.container(border=True):
        values = form.form(kind, kind.presets[preset], f"p-{kind.id}-{preset}")
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    on = ""
    if kind.takes.on:
        bases = {j.id: shell.run_title(j) for j in ws.runs(data.name) if j.status == "done" and any(s.startswith("embedding") for s in ws.slugs(j.id))}
        on = left.selectbox("Build on", list(bases), format_func=lambda i: text.plain(bases[i]), help="The earlier run whose latent space it works in.")
    seed = middle.number_input("Seed", 0, 9999, 0, help="The same seed gives the same result.")
    device = right.selectbox("Computed on", ["auto", "cpu", "cuda"], help="auto: the graphics card when there is one.")
    guess, runs = estimate.seconds(ws, kind, values, data)
    busy = [j for j in ws.catalogue.jobs(status=["queued", "running"], kind="train")]
    if st.button(f"Train · {text.duration(guess)}", type="primary", icon=":material/play_arrow:"):
        same = [j for j in busy if j.method == kind.id and j.dataset == ws.entry(data.name)["id"] and j.seed == int(seed) and j.on_run == on]
        job = same[0] if same else state.attempt(queue.train, ws, data.name, kind.id, values, on=on, seed=int(seed), device=device)
        if job is not None:
            st.session_state["training"] = job.id
    id = st.session_state.get("training")
    if id and ws.catalogue.job(id) is not None:
        _after(id)


def _after(id: str) -> None:
    """The live run, and where to go once it is done."""
    job = state.workspace().job(id)
    st.markdown(f"**{text.label(shell.run_title(job))}**")
    progress.live(id, curve=True, key="training")
    if job.status == "done":
        if (now := state.run()) is None or now.id != id:
            state.open_run(id)
            st.rerun()
        for cell, (name, words) in zip(st.columns(4), (("latent", "See the map"), ("anomalies", "Find unusual cases"), ("clusters", "Look at the groups"), ("runs", "See its figures"))):
            cell.page_link(shell.page(name), label=words, icon=":material/arrow_forward:")
