"""The first screen: the open data in pictures, the newest run's map and findings, and the next
steps.
"""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import navigation, progress, state, text
from app.panels import map, quick_start
from app.panels.apply import find_origin
from app.panels.gallery import score_of, thumbs
from app.panels.heat import OPACITY, overlays
from app.panels.threshold import describe_flagged
from app.views.scope import describe
from core.artifacts import Clusters, Map, Metrics, Scope
from core.data.dataset import Dataset
from core.imaging import render
from core.maps.projections import AUTOMATIC
from core.registry import headlines, method_class
from core.sampling import evenly_spaced
from core.words import count_groups, some_of


def show(data: Dataset) -> None:
    """What is open, what was found, what to do next."""
    context = state.context()
    ws = state.workspace()
    st.subheader(text.label(data.name), anchor=False)
    words = f"{len(data):,} cases"
    if data.groups is not None:
        many = count_groups(data.groups)
        words += f" of {many:,} patients or groups" if many else ", of patients not known"
    if data.classes:
        words += (
            f", {len(data.classes)} classes"
            f" ({some_of([text.label(c, 16) for c in data.classes], 6)})"
        )
    st.markdown(
        words
        + ("." if not data.card.get("synthetic") else ". **Made up, no patient was scanned.**")
    )
    left, right = st.columns([3, 2], gap="large")
    with left:
        if context is None:
            st.markdown("Nothing has been trained on this data yet.")
            if render.is_drawable(data):
                _wall(data, data.rows[evenly_spaced(len(data), 40)], 10)
        else:
            _picture(context)
    with right:
        if context is not None:
            _findings(context)
        else:
            st.markdown("**What do you want to know?**")
            quick_start.ask(data)
        _next(context)
    live = [
        j
        for j in ws.catalogue.jobs(status=["queued", "running"], kind="train")
        if j.id != quick_start.asked_run()
    ]
    if live:
        st.markdown("**At work now**")
        for job in live[:4]:
            st.caption(text.label(navigation.run_title(job)))
            progress.live(job.id, key=f"home-{job.id}")


def _wall(data: Dataset, rows: np.ndarray, across: int) -> None:
    st.image(
        render.draw_grid(thumbs(data, rows, 64), across),
        width="stretch",
        alt=f"{len(rows)} cases of {text.plain(data.name, 60)}",
    )


def _picture(context: state.Context) -> None:
    """The newest map of the open run; where none is drawn yet, its most unusual cases."""
    jobs = context.ws.catalogue.jobs(on_run=context.job.id, kind="map", status="done")
    flat = [j for j in jobs if j.spec.get("dims") == 2]
    if flat:
        made = context.ws.artifact(flat[-1].id, "map")
        assert isinstance(made, Map)
        name = state.colour_column()
        assert name is not None  # every dataset has one
        column = context.columns[name]
        map.draw(made, context, column, f"home-{context.job.id}", 560)
        st.caption(map.reading(made))
        return
    scores = score_of(context)
    if scores is not None and render.is_drawable(context.data):
        rows = scores.rows[np.argsort(-np.asarray(scores.score))[:15]]
        st.image(
            render.draw_grid(overlays(scores, context, rows, OPACITY, truth=False, tile=128), 5),
            width="stretch",
            alt="The most unusual cases, the most unusual places warm",
        )
        st.caption("The most unusual cases, and where.")
    elif embeds(context):
        job = progress.submit_derived("map", {"how": AUTOMATIC, "dims": 2}, context)
        if job is not None and not job.ended:
            st.caption("The map of the cases is being drawn.")
            progress.live(job.id, key="home-map")
        st.page_link(
            navigation.page("latent"), label="Open the map", icon=":material/scatter_plot:"
        )


def embeds(context: state.Context) -> bool:
    return any(s.startswith("embedding") for s in context.ws.slugs(context.job.id))


def _findings(context: state.Context) -> None:
    """Three or four sentences about the open run."""
    job = context.job
    kind = method_class(job.method)
    title = text.label(kind.title if kind else job.method)
    st.markdown(f"**{title}**, {_origin(context)} (run {job.id[:4]}), found:")
    scores = score_of(context)
    if scores is not None:
        st.markdown(f":material/troubleshoot: {text.explain(describe_flagged(scores, context))}")
    for slug in context.ws.slugs(context.job.id):
        artifact = context.ws.artifact(context.job.id, slug)
        if isinstance(artifact, Clusters) and artifact.place is None:
            st.markdown(
                f":material/workspaces: **{len(np.unique(artifact.label[artifact.label >= 0]))}**"
                " clusters."
            )
        if isinstance(artifact, Scope):
            st.markdown(describe(artifact, context.data.of(artifact.rows).groups))
        if isinstance(artifact, Metrics):
            for m in artifact:
                if m.name in headlines() and m.value is not None and m.split in ("test", "all"):
                    st.markdown(
                        f":material/straighten: {text.explain(text.label(m.name))}"
                        f" {text.label(text.measured(m, n=True))} on {m.split} cases."
                    )


def _origin(context: state.Context) -> str:
    """What the model learned from, in words."""
    job = context.job
    if job.kind == "apply":
        _, own = find_origin(context)
        return f"trained on {text.label(own)}, applied here" if own else "applied here"
    return "trained on the normal cases only" if job.spec.get("only_normal") else "trained here"


def _next(context: state.Context | None) -> None:
    """The next steps as large links."""
    st.markdown("**What next?**")
    steps = [
        ("train", "Choose a method yourself", "model_training"),
        ("data", "Look at the data and check it", "fact_check"),
    ]
    if context is not None:
        steps = []
        if embeds(context):
            steps.append(("latent", "See which cases are similar", "scatter_plot"))
        if score_of(context) is not None:
            steps.append(("anomalies", "Find unusual cases", "troubleshoot"))
        steps += [
            ("clusters", "Look at the clusters", "workspaces"),
            ("traversal", "Move along a latent axis, see what changes", "tune"),
            ("rationales", "Show why", "psychology_alt"),
            ("train", "Train another method", "model_training"),
            ("present", "Show it to others", "slideshow"),
        ]
    for name, words, icon in steps:
        st.page_link(navigation.page(name), label=words, icon=f":material/{icon}:")
