"""The list of runs, one run in full, or several beside one another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app import navigation, progress, state, text
from app.components import allowed
from app.panels import results
from app.views.metrics import table
from core import limits
from core.artifacts import Metrics
from core.jobs import queue
from core.jobs.again import train_again
from core.registry import method_class
from core.workspace import notes
from core.workspace.catalogue import Job, act_on


def listing() -> list[Job]:
    """All runs, newest first; gives the chosen ones (the newest when none is)."""
    ws = state.workspace()
    jobs = ws.runs()
    if not jobs:
        st.markdown("Nothing has been trained yet.")
        st.page_link(
            navigation.page("train"), label="Train a method", icon=":material/arrow_forward:"
        )
        return []
    names = {e["id"]: e["name"] for e in ws.catalogue.datasets()}

    @st.fragment(run_every=2.0 if any(not j.ended for j in jobs) else None)
    def show() -> None:
        now = ws.runs()
        titles = {j.method: _title(j.method) for j in now}
        frame = pd.DataFrame(
            [
                {
                    "run": j.id,
                    "method": (
                        (text.plain(j.label) or titles[j.method])
                        + (f" (applied from {j.on_run[:4]})" if j.kind == "apply" else "")
                    ),
                    "data": text.plain(names.get(j.dataset, "?")),
                    "state": j.status,
                    "progress": 100 if j.status == "done" else round(100 * (j.progress or 0.0)),
                    "left": text.duration(j.eta) if j.status == "running" else "",
                    "took": text.duration(j.seconds) if j.ended else "",
                    "started": datetime.fromtimestamp(j.created).strftime("%d %b %H:%M"),
                    "seed": j.seed,
                }
                for j in now
            ]
        )
        event = st.dataframe(
            frame,
            hide_index=True,
            width="stretch",
            height=min(390, 40 + 35 * len(frame)),
            on_select="rerun",
            selection_mode="multi-row",
            key="runs-list",
            column_config={
                "progress": st.column_config.ProgressColumn(
                    min_value=0, max_value=100, format="%d %%"
                ),
                "left": st.column_config.TextColumn(width=95),
                "run": st.column_config.TextColumn(width=100),
            },
        )
        picked = [str(frame["run"][i]) for i in event["selection"]["rows"] if i < len(frame)]
        if picked != st.session_state.get("runs-picked"):
            st.session_state["runs-picked"] = picked
            st.rerun()
        if any(not j.ended for j in jobs) and all(j.ended for j in now):
            st.rerun()

    show()
    picked = st.session_state.get("runs-picked") or []
    chosen = [j for j in jobs if j.id in picked]
    if not chosen:
        st.caption("Tick one run to see it in full, several to compare them. Below: the newest.")
    return chosen[:4] or [jobs[0]]


def one(job: Job) -> None:
    """Everything about one run."""
    ws = state.workspace()
    st.markdown(f"#### {text.label(navigation.run_title(job))}")
    progress.live(job.id, curve=True, key="run")
    cells = iter(st.columns(5))
    if job.status == "done":
        next(cells).button(
            "Open it", type="primary", on_click=state.open_run, args=(job.id,), width="stretch"
        )
    _resume(job, cells)
    if job.ended and job.kind == "train":
        token = state.press(f"again-{job.id}")
        next(cells).button(
            "Again, other seed",
            key=f"again-{token}",
            width="stretch",
            on_click=_again,
            args=(job, token),
            **allowed.lock("train"),
        )
    if job.ended:
        with next(cells).popover("Delete", width="stretch", **allowed.lock(act_on(job))):
            st.markdown("Deletes this run with its maps and explanations.")
            st.button(
                "Delete it",
                type="primary",
                key=f"delete-{job.id}",
                on_click=state.attempt,
                args=(ws.remove_run, job.id),
            )
    if job.kind == "train":
        key = f"name-{job.id}"
        st.text_input(
            "Name",
            job.label,
            key=key,
            max_chars=limits.NAME,
            placeholder=_title(job.method),
            on_change=_name,
            args=(job.id, key),
            **allowed.lock(
                "annotate", help="What this run is called everywhere; empty: its method."
            ),
            width=420,
        )
    log = ws.folder(job.id) / "log.txt"
    with st.expander("Parameters and log"):
        st.json(job.params)
        st.code(log.read_text()[-4000:] if log.exists() else "", language=None)
    if job.status == "done":
        _artifacts(job)


def resume_buttons(job: Job) -> None:
    """For a run that was stopped: go on from its checkpoint, or start from scratch."""
    _resume(job, iter(st.columns(3)))


def _resume(job: Job, cells: Iterator[DeltaGenerator]) -> None:
    if job.status not in ("interrupted", "cancelled", "failed"):
        return
    ws = state.workspace()
    cause = queue.why_would_fail_again(ws, job)
    if not cause:
        next(cells).button(
            "Resume",
            width="stretch",
            key=f"resume-{job.id}",
            **allowed.lock(act_on(job), help="Goes on from its last checkpoint."),
            on_click=state.attempt,
            args=(queue.resume, ws, job.id),
        )
    next(cells).button(
        "Start from scratch",
        width="stretch",
        key=f"scratch-{job.id}",
        **allowed.lock(
            act_on(job), help="Begins again from the start; what it has learned so far is let go."
        ),
        on_click=state.attempt,
        args=(queue.resume, ws, job.id, True),
    )
    if cause:
        st.caption(
            f"It ended twice at the same step in the same way ({text.label(cause, 80)}), so going"
            " on from its checkpoint is not offered."
        )


def _name(id: str, key: str) -> None:
    state.attempt(notes.name_run, state.workspace(), id, st.session_state[key])


def _again(job: Job, token: str) -> None:
    state.attempt(train_again, state.workspace(), job, seed=job.seed + 1, token=token)
    state.pressed(f"again-{job.id}")


def _artifacts(job: Job) -> None:
    """Everything the run gave, each with the views that can draw it."""
    ws = state.workspace()
    names = {e["id"]: e["name"] for e in ws.catalogue.datasets()}
    if state.dataset_name() != names[job.dataset]:
        st.caption(
            f"Open the run to see what it gave; it was made on {text.label(names[job.dataset])}."
        )
        return
    results.show(state.context_of(job.id))


def compare_runs(jobs: list[Job]) -> None:
    """Curves together, metrics in columns, parameters that differ."""
    ws = state.workspace()
    st.markdown("#### Side by side")
    progress.curves(jobs, "beside")
    frames = []
    for job in jobs:
        for slug in ws.slugs(job.id):
            artifact = ws.artifact(job.id, slug)
            if isinstance(artifact, Metrics):
                frames.append(
                    table(artifact)
                    .set_index(["measure", "of", "group"])["value"]
                    .rename(f"{job.method} · {job.id[:4]}")
                )
    if frames:
        st.dataframe(
            pd.concat([f[~f.index.duplicated()] for f in frames], axis=1).reset_index(),
            hide_index=True,
            width="stretch",
        )
    params = pd.DataFrame(
        {
            f"{j.method} · {j.id[:4]}": (
                {k: str(v) for k, v in j.params.items()} | {"seed": str(j.seed)}
            )
            for j in jobs
        }
    )
    differ = params[params.nunique(axis=1, dropna=False) > 1]
    if len(differ):
        st.markdown("Parameters that differ")
        st.dataframe(differ, width="stretch")


def _title(method: str) -> str:
    """The title of a method, or its id where it is not here any more."""
    kind = method_class(method)
    return method if kind is None else kind.title
