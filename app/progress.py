"""Progress of a job, live: phase, percentage, time left, curve, cancel. Closing the browser changes
nothing for the job.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from app import state, text
from app.components import allowed
from core.imaging.palette import OKABE_ITO
from core.jobs import queue
from core.workspace import records
from core.workspace.catalogue import Job, act_on

LONG = ("train", "import", "apply")  # kinds of job; the others are soon done
CURVES_EVERY = 5.0  # seconds; drawn each second, they cost a small machine more than the training
EARLIER = 30  # jobs of before that are listed
STATES = {
    "queued": ":material/schedule: waiting",
    "running": ":material/play_circle: running",
    "done": ":material/check_circle: done",
    "failed": ":material/error: failed",
    "cancelled": ":material/cancel: cancelled",
    "interrupted": ":material/pause_circle: interrupted",
}


def bar(job: Job) -> None:
    """One line of progress with words."""
    if job.status == "queued":
        st.progress(0.0, text="Waiting for its turn.")
    elif job.status == "running":
        left = f", {text.duration(job.eta)} left" if job.eta else ""
        st.progress(
            min(1.0, max(0.0, job.progress or 0.0)),
            text=(
                f"{(job.phase or 'working').capitalize()}: {100 * (job.progress or 0):.0f} %{left}"
            ),
        )
    elif job.error:
        st.error(text.label(job.error, 600))
    else:
        st.caption(STATES[job.status])
    if job.note:
        st.info("  \n".join(text.label(line, 300) for line in job.note.splitlines()))


def _cancel(id: str) -> None:
    state.attempt(queue.cancel, state.workspace(), id)


def live(id: str, curve: bool = False, key: str = "live") -> None:
    """Show a job until it ends, then rerun the page once."""
    job = state.workspace().job(id)

    every = 1.0 if job.kind in LONG else 0.3

    @st.fragment(run_every=None if job.ended else every)
    def show() -> None:
        now = state.workspace().job(id)
        queue.ensure_supervisor(state.workspace()) if not now.ended else None
        bar(now)
        if not now.ended:
            st.button(
                "Cancel",
                key=f"{key}-cancel-{id}",
                on_click=_cancel,
                args=(id,),
                icon=":material/stop:",
                **allowed.lock(act_on(now)),
            )
        elif not job.ended:
            st.rerun()

    @st.fragment(run_every=None if job.ended else CURVES_EVERY)
    def show_curves() -> None:
        curves([state.workspace().job(id)], key)

    show()
    if curve:
        show_curves()


def curves(jobs: list[Job], key: str) -> None:
    """Training curves of one or several runs, one small chart per quantity."""
    ws = state.workspace()
    points = {j.id: list(records.read_curves(ws.folder(j.id))) for j in jobs}
    names = list(
        dict.fromkeys(
            k
            for p in points.values()
            for q in p
            for k in q
            if k not in ("step", "total", "seconds")
        )
    )
    single = (
        [n for n in names if all(sum(n in q for q in p) == 1 for p in points.values())]
        if all(j.ended for j in jobs)
        else []
    )
    for j in jobs if single else []:  # one point is no curve
        said = ", ".join(
            f"{text.label(n)} {next(q[n] for q in points[j.id] if n in q):.3g}" for n in single
        )
        st.caption(f"{j.id[:4]}: {said}" if len(jobs) > 1 else said)
    names = [n for n in names if n not in single]
    for start in range(0, len(names), 3):
        for cell, name in zip(st.columns(3), names[start : start + 3]):
            figure = go.Figure()
            for i, job in enumerate(jobs):
                line = [(q["step"], q[name]) for q in points[job.id] if name in q]
                figure.add_scatter(
                    x=[a for a, _ in line],
                    y=[b for _, b in line],
                    mode="lines" if len(line) > 1 else "markers",
                    name=job.id[:4],
                    line={
                        "color": OKABE_ITO[(i + 1) % len(OKABE_ITO)],
                        "dash": ("solid", "dash", "dot", "dashdot")[i % 4],
                    },
                )
            figure.update_layout(
                title={"text": text.chart(name), "font": {"size": 13}},
                height=200,
                margin={"l": 10, "r": 10, "t": 30, "b": 10},
                showlegend=len(jobs) > 1,
                xaxis_title="step",
            )
            cell.plotly_chart(figure, key=f"{key}-{name}", config={"displayModeBar": False})


def submit_derived(
    kind: str,
    spec: dict[str, Any],
    context: state.Context,
    seed: int = 0,
    start: bool = True,
    again: bool = False,
) -> Job | None:
    """The job that makes (or made) this map, explanation or measurement of the open run; submitted
    when there is none and `start`. One that did not end well is tried again with `again` only: a
    page that did so by itself would never stop.
    """
    key = queue.derived_key(context.ws, context.job, kind, spec, seed)
    found = context.ws.catalogue.jobs(key=key)
    if found and (found[-1].status in ("done", "queued", "running") or not again):
        return found[-1]
    if not start or allowed.refuse("compute"):
        return None
    return state.attempt(queue.derive, context.ws, kind, context.job.id, spec, seed)


def await_derived(
    kind: str, spec: dict[str, Any], context: state.Context, key: str, seed: int = 0
) -> Job | None:
    """The job of `submit_derived` once it is done. Until then its progress is drawn, or what became
    of it with a button to try again, and None returned.
    """
    job = submit_derived(kind, spec, context, seed)
    if job is None or job.status == "done":
        return job
    if not job.ended:
        live(job.id, key=f"{key}-job")
    elif ended_badly(job, key):
        submit_derived(kind, spec, context, seed, again=True)
        st.rerun()
    return None


def ask_derived(
    kind: str,
    spec: dict[str, Any],
    context: state.Context,
    key: str,
    label: str,
    icon: str,
    help: str | None = None,
) -> Job | None:
    """The job of `submit_derived`, which nobody has to wait for: asked for by the button `label`,
    then its progress, or what became of it with a button to try again. Ended or not; None where it
    was not asked for yet.
    """
    job = submit_derived(kind, spec, context, start=False)
    if job is None:
        st.button(
            label,
            type="primary",
            icon=icon,
            on_click=_try_again,
            args=(kind, spec, context),
            **allowed.lock("compute", help=help),
        )
    elif not job.ended:
        live(job.id, key=f"{key}-job")
    elif job.status != "done" and ended_badly(job, key):
        _try_again(kind, spec, context)
        st.rerun()
    return job


def _try_again(kind: str, spec: dict[str, Any], context: state.Context) -> None:
    submit_derived(kind, spec, context, again=True)


def list_earlier(kind: str, context: state.Context, now: Job | None, title: str) -> Iterator[Job]:
    """The jobs of a kind that were done on the open run before, but for `now`, the newest first;
    what is drawn for each lies folded away under `title`.
    """
    jobs = context.ws.catalogue.jobs(on_run=context.job.id, kind=kind, status="done")
    others = [j for j in jobs if now is None or j.id != now.id]
    if others:
        with st.expander(f"{title} ({len(others)})"):
            yield from others[::-1][:EARLIER]


def ended_badly(job: Job, key: str) -> bool:
    """Say what became of a job that was cancelled, interrupted or failed, with a button; True when
    it was pressed.
    """
    bar(job)
    if queue.why_would_fail_again(state.workspace(), job):
        st.caption(
            "It ended twice in the same way; trying again would end so too. Choose other settings,"
            " or another run."
        )
        return False
    return st.button(
        "Try again",
        key=f"{key}-again-{job.id}",
        icon=":material/replay:",
        **allowed.lock("compute"),
    )
