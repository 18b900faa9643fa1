"""Rationales: what in the input moved the model's result."""

from functools import partial

import numpy as np
import streamlit as st

from app import navigation, progress, shell, state, text
from app.components import allowed
from app.panels import concepts, map_health
from app.panels.inspector import inspector
from app.pin import pin_button
from app.views import attributions, rationales
from app.views.traversal import opened
from core.artifacts import Attributions, Rationales
from core.errors import UserError
from core.explain.attribution import FROM_BASELINE, HOW, attribution_methods, list_targets
from core.explain.baselines import list_baselines
from core.explain.explained_targets import NEIGHBOUR, PLACE
from core.jobs.explaining import clustering_of, explain_spec, find_clusters, newest_map
from core.report import figures

context = shell.need_run("what in a case moved the model’s result")
shell.head(
    "Rationales",
    "What in the input moved the model’s result. It shows what the model used, which need not be"
    " what matters medically.",
)
try:
    grouping = clustering_of(context.ws, context.job.id)
    offered = dict(
        list_targets(
            opened(str(context.ws.home), context.job.id)[0],
            find_clusters(context.ws, context.job.id, grouping),
        )
    )
except UserError:
    offered = {}
drawn = str(state.value("asked-map") or "")
if not drawn or context.ws.job(drawn).on_run != context.job.id:
    drawn = newest_map(context.ws, context.job.id)
if NEIGHBOUR in offered and drawn:
    offered[PLACE] = "its place on the map (case in the inspector)"
asked = bool(offered) and context.data.modality != "text"
made = [context.ws.artifact(context.job.id, s) for s in context.ws.slugs(context.job.id)]
given = [artifact for artifact in made if isinstance(artifact, Rationales)]
ways = [
    way
    for way, there in (
        ("in words", bool(given)),
        ("in the input", asked),
        ("by concept", concepts.fits(context)),
    )
    if there
]
way = ways[0] if ways else ""
if len(ways) > 1:
    way = st.segmented_control(
        "Reasons", ways, default=ways[0], key=context.key("reasons"), required=True
    )
if way in ("in words", "by concept"):
    main, side = st.columns([5, 2])
    with main:
        if way == "in words":
            rationales.show(given[0], context)
        else:
            concepts.show(context)
        shell.show_provenance(context)
    with side:
        inspector(context)
    shell.details(context)
    st.stop()
if not asked:
    st.info(
        "This run has no model that can be asked why. Choose a run of principal components or a"
        " variational autoencoder."
    )
    st.page_link(navigation.page("train"), label="Train one", icon=":material/arrow_forward:")
    st.stop()
main, side = st.columns([5, 2])
with main:
    controls = st.container(key="controls-rationales")
    a, b, d, c = controls.columns([3, 3, 3, 2], vertical_alignment="bottom")
    wanted = state.value("asked-target")  # on the map
    state.set_value("asked-target", None)
    target = a.selectbox(
        "Explain",
        list(offered),
        index=list(offered).index(wanted) if wanted in offered else 0,
        format_func=lambda t: text.plain(offered[t]),
        key=context.key("target"),
    )
    how = b.selectbox(
        "By",
        attribution_methods(context.data),
        format_func=lambda h: HOW[h].split(":")[0],
        key="how-why",
        help="\n\n".join(text.label(HOW[h], 200) for h in attribution_methods(context.data)),
    )
    compared = list_baselines(context.data)
    baseline = "mean"
    if how in FROM_BASELINE:
        baseline = d.selectbox(
            "Compared with",
            list(compared),
            format_func=lambda k: compared[k],
            key=context.key("baseline"),
            help="The map shows only what differs from it.",
        )
    if target == NEIGHBOUR:
        names = dict(zip(context.data.rows.tolist(), context.data.names()))
        near = state.value("asked-neighbour")
        other = d.selectbox(
            "Which case",
            list(names),
            index=list(names).index(near) if near in names else 0,
            format_func=lambda r: text.plain(names[r]),
            key=context.key("neighbour"),
        )
        target = f"{NEIGHBOUR} {other}"
    chosen, row = state.selection(), state.selection().primary
    if target == PLACE and row is None:
        st.info("Choose a case on the latent map first; its place is told of one case.")
        st.page_link(navigation.page("latent"), label="Latent map", icon=":material/scatter_plot:")
        st.stop()
    if target == PLACE:
        target = f"{PLACE} {row}"
    test = (
        context.data.part("test").rows
        if (context.data.splits == "test").any()
        else context.data.rows
    )
    sets = {
        f"24 {'test ' if (context.data.splits == 'test').any() else ''}cases": test[:24],
        "the case in the inspector": np.array([row] if row is not None else []),
        f"the selection ({len(chosen):,})": chosen.rows[:500],
    }
    if target.startswith(PLACE):
        sets = {"the case in the inspector": np.array([row])}
    which = c.selectbox("For", [k for k, r in sets.items() if len(r)], key=context.key("which"))
    question = explain_spec(target, sets[which], baseline, grouping, drawn)
    spec = {"how": how, **question}
    job = progress.submit_derived("explain", spec, context, start=False)
    if job is None or (job.ended and job.status != "done"):
        st.caption("Larger sets run as a job; you may leave this page meanwhile.")
        if st.button("Show why", type="primary", **allowed.lock("compute")):
            progress.submit_derived("explain", spec, context, again=True)
            st.rerun()
        if job is not None:
            progress.bar(job)
    elif job.status != "done":
        progress.live(job.id, key="why-job")
    else:
        slug = next(s for s in context.ws.slugs(job.id) if s.startswith("attributions"))
        why = context.ws.artifact(job.id, slug)
        assert isinstance(why, Attributions)
        map_health.show(context, question, how)
        if target.startswith(PLACE):
            st.caption(
                "Orange pushes the case from the middle of its surroundings to its own place on the"
                " map, blue back; by a linear surrogate of the map around it, in shares of the map."
            )
        attributions.show(why, context)
        shell.show_provenance(context, f"{how}, {text.label(target)}")
        pin_button(
            partial(figures.attribution_figure, context.data, why, why.rows[:8]),
            context,
            f"Why: {offered.get(target) or offered.get(target.partition(' ')[0], target)}",
            "why",
        )
with side:
    inspector(context)
shell.details(context)
