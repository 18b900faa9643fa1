"""Asking for a counterfactual of the case at hand: which answer is wanted, what may not change, and
the job that looks for it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from app import progress, text
from app.components import download
from app.pin import pin_button
from app.state import Context
from app.views import counterfactual as view
from core.artifacts import Counterfactual
from core.explain.counterfactual import list_free_columns, list_open, why_no_counterfactual
from core.imaging import changes, render
from core.jobs.counterfactual import find_threshold, make_spec
from core.report import figures


def fits(context: Context, model: Any) -> bool:
    """Whether a counterfactual can be asked of the open run."""
    threshold = find_threshold(context.ws, context.job.id)
    return why_no_counterfactual(model, context.data, threshold) is None


def show(context: Context, row: int, model: Any) -> None:
    """The form, then the job, then what it found."""
    threshold = find_threshold(context.ws, context.job.id)
    offered = dict(list_open(model, context.data, row, threshold))
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    target = left.selectbox(
        "The model should answer",
        list(offered),
        index=_first(context, list(offered)),
        format_func=lambda k: text.plain(offered[k], 60),
        key=context.key("flip-target"),
    )
    locked: list[str] = []
    if context.data.modality == "table":
        locked = right.multiselect(
            "Must stay as they are",
            list_free_columns(context.data),
            format_func=text.plain,
            key=context.key("flip-locked"),
            placeholder="no column",
            help="Such as age, which nobody can change. Columns that name a case never change.",
        )
    spec = make_spec(context.ws, context.job.id, row, target, locked)
    label, icon = "Find the smallest change", ":material/search:"
    job = progress.ask_derived("counterfactual", spec, context, "flip", label, icon)
    if job is not None and job.status == "done":
        made = context.ws.artifact(job.id, "counterfactual")
        assert isinstance(made, Counterfactual)
        view.show(made, context)
        if made.found:
            _keep(made, context)
    st.caption(
        "It tells what the model looks at. What flips a model’s answer need not be what would"
        " change a patient, nor what causes the finding."
    )


def _first(context: Context, offered: list[str]) -> int:
    """The normal class first where one is known, else the first offered."""
    normal = f"class {context.data.normal}"
    return offered.index(normal) if normal in offered else 0


def _keep(made: Counterfactual, context: Context) -> None:
    """Pin it, or take its pictures as one file."""
    with st.container(horizontal=True):
        pin_button(
            partial(figures.counterfactual_figure, context.data, made),
            context,
            f"Smallest change found that makes the model say {made.wanted} (made by the model)",
            f"flip-{made.target}",
        )
        if render.is_drawable(context.data):
            drawn = changes.draw_change(made, context.data, 320)
            high = min(p.shape[0] for p in drawn.values())
            download.button(
                st,
                "Take as PNG",
                render.encode_png(np.concatenate([p[:high] for p in drawn.values()], 1)),
                "counterfactual.png",
                "image/png",
                icon=":material/download:",
                key=context.key("flip-png"),
                what=f"run {context.job.id}: a counterfactual",
            )
