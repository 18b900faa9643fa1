"""Clusters: what a run found, what is typical for each, and how they agree with what is
known.
"""

import streamlit as st

from app import progress, shell, state
from app.components import allowed
from app.panels.inspector import inspector
from app.pin import pin_button
from app.views import clusters
from core.artifacts import Clusters, Embedding
from core.jobs import queue
from core.jobs.run_folder import find_artifact
from core.registry import methods
from core.report import figures

context = shell.need_run("which clusters the model found in your cases")
later = [
    j
    for j in context.ws.runs(context.job.dataset)
    if j.on_run == context.job.id and j.status == "done"
]
found = {
    (j.id, s): a
    for j in [context.job, *later]
    for s in context.ws.slugs(j.id)
    if isinstance(a := context.ws.artifact(j.id, s), Clusters)
}
shell.head(
    "Clusters",
    "Groups of cases that the model finds similar. A cluster is a pattern in the data, not a"
    " diagnosis; look at its cases before you name it.",
)
embeds = any(s.startswith("embedding") for s in context.ws.slugs(context.job.id))
if embeds:
    if not found:
        st.markdown(
            "This run has no clusters yet. Choose how to look for them; the number of clusters is"
            " found by itself."
        )
    place = (
        st.popover("Find clusters in this run", icon=":material/workspaces:")
        if found
        else st.container(horizontal=True)
    )
    with place:
        for method, kind in methods().items():
            finds = kind.takes.on == ("Embedding",) and Clusters in kind.gives
            if finds and st.button(kind.title, key=f"find-{method}", **allowed.lock("train")):
                st.session_state["finding"] = state.attempt(
                    queue.train, context.ws, context.data.name, method, {}, on=context.job.id
                )
if (
    (job := st.session_state.get("finding")) is not None
    and context.ws.catalogue.job(job.id) is not None
    and not context.ws.job(job.id).ended
):
    progress.live(job.id, key="finding-job")
if not found:
    if not embeds:
        st.info("This run gives no clusters and no latent space to find them in.")
    st.stop()
titles = {
    k: f"{context.ws.job(k[0]).method} · {len(set(a.label.tolist()))} clusters"
    for k, a in found.items()
}
picked = next(iter(found))
if len(found) > 1:
    picked = st.selectbox(
        "Clusters by", list(found), format_func=titles.__getitem__, key=context.key("grouping")
    )
main, side = st.columns([5, 2])
with main:
    clusters.show(found[picked], context)
    shell.show_provenance(context, titles[picked])
    if embeds:
        called = clusters.load_names(found[picked], context, picked[0])
        pin_button(
            lambda: figures.clusters_figure(
                context.data,
                find_artifact(context.ws, context.job.id, Embedding),
                found[picked],
                called,
                look=state.look(),
            ),
            context,
            "Clusters found",
            "clusters",
        )
with side:
    inspector(context)
shell.details(context)
