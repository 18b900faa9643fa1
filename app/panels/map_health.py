"""Checks of attribution maps on the page: asked for once, kept with the run, shown above the
maps.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import progress
from app.components import allowed
from app.panels import health_badges
from app.state import Context
from core.artifacts import Grid, Metrics
from core.explain.attribution import attribution_methods
from core.explain.map_health import LONG, default_rows

STARTS = "Check all ways"


def show(context: Context, spec: dict[str, Any], how: str) -> None:
    """The badges of the way `how`, and folded away those of all ways; or the button that asks for
    them. `spec`: what is explained, against which baseline (`core.jobs.explaining`).
    """
    hows = [h for h in attribution_methods(context.data) if h not in LONG or h == how]
    asked = {"health": hows, **spec, "rows": default_rows(context.data).tolist()}
    job = progress.submit_derived("explain", asked, context, start=False)
    if job is None or (job.ended and job.status != "done"):
        words, press = st.columns([4, 1], vertical_alignment="center")
        words.caption(
            "Not checked yet whether these maps reflect the model: the weights are made random, a"
            " little noise is added, and other ways are set beside, over"
            f" {len(asked['rows'])} cases."
        )
        if press.button(
            STARTS,
            icon=":material/health_and_safety:",
            width="stretch",
            **allowed.lock("compute"),
        ):
            progress.submit_derived("explain", asked, context, again=True)
            st.rerun()
        if job is not None:
            progress.bar(job)
        return
    if job.status != "done":
        progress.live(job.id, key="health-job")
        return
    metrics = context.ws.artifact(job.id, "metrics-health")
    grid = context.ws.artifact(job.id, "grid-agreement-of-ways")
    assert isinstance(metrics, Metrics)
    assert isinstance(grid, Grid)
    health_badges.badges(metrics, how)
    with st.expander("All ways, and how far they agree"):
        health_badges.overview(metrics, grid, context)
