"""Asking whether the model of a run uses a concept: which cases have it, in which layer, and the
job that tests it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from app import progress, state, text
from app.components import allowed
from app.pin import pin_button
from app.state import Context
from app.views import concepts as view
from app.views.traversal import opened
from core.columns import table_columns
from core.errors import UserError
from core.explain.concepts import FEWEST, RANDOM, why_no_concepts
from core.explain.layers import list_layers
from core.jobs.concepts import column_spec, load_tests, make_spec, rows_spec
from core.report.concept_figure import concept_figure
from core.workspace import notes

THIRD = "the upper third"


@st.cache_data(max_entries=32, show_spinner=False)
def _layers(home: str, run: str) -> list[tuple[str, str]]:
    """Layers of the open run that a concept can be tested in, (key, title); none where concepts
    cannot be tested on it.
    """
    context = state.context_of(run)
    try:
        model = opened(home, run)[0]
    except UserError:
        return []
    if why_no_concepts(model, context.data) is not None:
        return []
    return [(layer.key, layer.title) for layer in list_layers(model, context.data)]


def fits(context: Context) -> bool:
    """Whether a concept can be tested on the open run."""
    return bool(_layers(str(context.ws.home), context.job.id))


def show(context: Context) -> None:
    """The form, then the job, then what it found; below, what was tested before."""
    asked = _form(context)
    job = None if asked is None else progress.submit_derived("concept", asked, context, start=False)
    if job is None or (job.ended and job.status != "done"):
        st.button(
            "Test the concept",
            type="primary",
            icon=":material/science:",
            on_click=_start,
            args=(asked, context),
            **allowed.lock(
                "compute", asked is None, f"Against {RANDOM} random concepts of the same size."
            ),
        )
        if job is not None:
            progress.bar(job)
    elif job.status != "done":
        progress.live(job.id, key="concept-job")
    else:
        for test in load_tests(context.ws, job.id):
            view.show(test, context)
            pin_button(
                partial(concept_figure, test),
                context,
                f"Concept “{test.concept}”: {test.says}",
                f"concept-{test.slug}",
            )
    for earlier in progress.list_earlier("concept", context, job, "Tested before on this run"):
        for test in load_tests(context.ws, earlier.id):
            st.markdown(f"- **{text.label(test.concept)}**: {text.label(test.says, 300)}")


def _start(spec: dict[str, Any], context: Context) -> None:
    progress.submit_derived("concept", spec, context, again=True)


def _form(context: Context) -> dict[str, Any] | None:
    """What is asked for; None while it is not complete."""
    chosen = state.selection()
    groups = notes.load_groups(context.ws, context.job.dataset)
    ways = {
        "the selected cases": bool(len(chosen)),
        "a saved group": bool(groups),
        "a column": bool(table_columns(context.data)),
    }
    options = [w for w, there in ways.items() if there]
    left, middle, right = st.columns([2, 3, 2], vertical_alignment="bottom")
    by = left.selectbox("The concept is in", options, key=context.key("concept-by"))
    given: dict[str, Any] | None = None
    if by == "the selected cases":
        name = middle.text_input(
            "Called", "selection", max_chars=60, key=context.key("concept-name")
        )
        few = int(np.isin(context.data.part("train").rows, chosen.rows).sum())
        if few < FEWEST:
            st.caption(
                f"{len(chosen):,} cases are selected, of which {few} are training cases; a concept"
                f" is learned on training cases and takes at least {FEWEST} of them."
            )
        else:
            given = rows_spec(name.strip() or "selection", chosen.rows)
    elif by == "a saved group":
        group = middle.selectbox(
            "Group", list(groups), format_func=text.plain, key=context.key("concept-group")
        )
        given = rows_spec(group, groups[group])
    elif by == "a column":
        given = _column(context, middle)
    layers = dict(_layers(str(context.ws.home), context.job.id))
    layer = right.selectbox(
        "Looked for in",
        list(layers),
        format_func=lambda k: text.plain(layers[k]),
        key=context.key("concept-layer"),
    )
    if not len(chosen):
        st.caption(
            "To make a concept of pictures, draw a loop around some on the latent map (20 are"
            " enough), then come back."
        )
    return None if given is None else make_spec([given], layer)


def _column(context: Context, cell: Any) -> dict[str, Any]:
    known = {c.name: c for c in table_columns(context.data)}
    first, second = cell.columns(2)
    column = first.selectbox(
        "Column", list(known), format_func=text.plain, key=context.key("concept-column")
    )
    found = known[column]
    if found.kind == "amount":
        second.selectbox("Value", [THIRD], key=context.key("concept-third"))
        return column_spec(column)
    value = second.selectbox(
        "Value", found.codes()[1], format_func=text.plain, key=context.key(f"concept-of-{column}")
    )
    return column_spec(column, value)
