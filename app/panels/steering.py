"""Steering a sparse feature: which one, how strongly, and the job that measures what it changes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from app import progress, state, text
from app.pin import pin_button
from app.state import Context
from app.views import steering as view
from core import columns
from core.artifacts import Embedding, Steering
from core.errors import UserError
from core.explain.steering import CONTROLS, STRENGTHS, list_steered, why_no_steering
from core.jobs.run_folder import find_artifact
from core.jobs.steering import make_spec
from core.report.steering_figure import steering_figure

ADD, OUT = "add it", "take it out"


def fits(context: Context, model: Any) -> bool:
    """Whether features can be steered in the open run."""
    job = context.job
    return why_no_steering(model) is None and job.kind == "train" and bool(job.on_run)


@st.cache_data(max_entries=16, show_spinner=False)
def _offered(home: str, run: str) -> dict[int, str]:
    """Features that can be steered, those with a name first, each with its name."""
    codes = find_artifact(state.workspace(), run, Embedding)
    known = list_steered(codes, state.context_of(run).data)
    names = {j: columns.feature_column(codes, j) for j in known}
    return dict(sorted(names.items(), key=lambda item: "(" not in item[1]))


def show(context: Context, row: int) -> None:
    """The form, then the job, then what it measured; below, what was measured before."""
    try:
        offered = _offered(str(context.ws.home), context.job.id)
    except UserError as e:
        st.info(text.label(str(e), 300))
        return
    if not offered:
        st.info("No feature of this run is on in 5 training cases or more.")
        return
    spec = _form(context, offered)
    job = progress.ask_derived(
        "steer",
        spec,
        context,
        "steer",
        "Measure what it changes",
        ":material/science:",
        f"Beside {CONTROLS} other features and {CONTROLS} random directions, in held-out cases.",
    )
    if job is not None and job.status == "done":
        made = context.ws.artifact(job.id, "steering")
        assert isinstance(made, Steering)
        view.show(made, context)
        pin_button(
            partial(steering_figure, made),
            context,
            f"{made.title}: {made.says}",
            f"steer-{made.feature}-{made.strength}",
        )
    for earlier in progress.list_earlier("steer", context, job, "Measured before on this run"):
        measured = context.ws.artifact(earlier.id, "steering")
        assert isinstance(measured, Steering)
        how = "taken out" if measured.off else f"{measured.strength:+g}×"
        said = text.label(measured.says, 400)
        st.markdown(f"- **{text.label(measured.title)}** ({how}): {said}")


def _form(context: Context, offered: dict[int, str]) -> dict[str, Any]:
    left, middle, right = st.columns([4, 2, 3], vertical_alignment="bottom")
    asked, order = state.value("steer"), list(offered)
    feature = left.selectbox(
        "Feature",
        order,
        index=order.index(asked) if asked in offered else 0,
        format_func=lambda j: text.plain(offered[j], 80),
        key=context.key("steer-feature"),
    )
    how = middle.segmented_control(
        "In held-out cases", [ADD, OUT], default=ADD, required=True, key=context.key("steer-how")
    )
    strength = 1.0
    if how == ADD:
        most = STRENGTHS[1]
        steps = [s for s in np.round(np.arange(-most, most + 0.25, 0.25), 2).tolist() if s]
        strength = right.select_slider(
            "How strongly",
            steps,
            1.0,
            format_func=lambda s: f"{s:+g}×",
            key=context.key("steer-strength"),
            help="In multiples of the strength that 95 of 100 training cases in which it is on stay"
            " below. Below 0 the other end.",
        )
    return make_spec(int(feature), float(strength), how == OUT)
