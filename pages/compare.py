"""Compare: two runs side by side on the same cases, one selection for both, and what moved."""

import numpy as np
import streamlit as st

from app import navigation, progress, shell, state, text
from app.panels import decision_flips, map
from app.panels.gallery import gallery
from app.views.metrics import table
from core.artifacts import Embedding, Map, Metrics
from core.errors import UserError
from core.explain.neighbour_changes import align_map, measure_neighbour_change
from core.jobs.run_folder import find_artifact
from core.maps.projections import AUTOMATIC

COMPARED = ("embedding", "predictions", "anomalymaps")  # what can be set side by side

left = shell.need_run("two runs side by side")
others = [
    j
    for j in left.ws.runs(left.job.dataset)
    if j.status == "done"
    and j.id != left.job.id
    and any(s.startswith(COMPARED) for s in left.ws.slugs(j.id))
]
shell.head(
    "Compare",
    "Two runs on the same cases. A selection in one map is the same cases in the other; the right"
    " map is turned to match the left.",
)
if not others:
    st.info("There is only one run on this data that can be compared. Train another.")
    st.page_link(navigation.page("train"), label="Train another", icon=":material/arrow_forward:")
    st.stop()
# first the runs that decide the same kind of thing
given = {s for s in left.ws.slugs(left.job.id) if s.startswith(COMPARED[1:])}
others.sort(key=lambda j: not given & set(left.ws.slugs(j.id)))
titles = {j.id: text.plain(navigation.run_title(j)) for j in others}
picked = st.selectbox(
    "Beside", list(titles), format_func=titles.__getitem__, key=left.key("beside")
)
right = state.context_of(picked)
drawn: Map | None = None
for cell, context in zip(st.columns(2), (left, right)):
    with cell:
        st.markdown(f"**{text.label(navigation.run_title(context.job))}**")
        try:
            find_artifact(context.ws, context.job.id, Embedding)
        except UserError as e:
            st.caption(text.label(e, 300))
            continue
        key = f"compare-map-{context.job.id}"
        job = progress.await_derived("map", {"how": AUTOMATIC, "dims": 2}, context, key)
        if job is not None:
            made = context.ws.artifact(job.id, "map")
            assert isinstance(made, Map)
            drawn = align_map(made, drawn) if drawn is not None else made
            name = state.colour_column()
            assert name is not None  # every dataset has one
            map.draw(
                drawn,
                context,
                context.columns.get(name) or left.columns[name],
                f"compare-{context.job.id}",
                460,
                linked=True,
            )
            st.caption(map.reading(made))
tabs = st.tabs(["Decisions that flipped", "What moved", "Figures side by side", "The selection"])
with tabs[0]:
    decision_flips.show(left, right)
with tabs[1]:
    try:
        rows, change = measure_neighbour_change(
            find_artifact(left.ws, left.job.id, Embedding),
            find_artifact(left.ws, right.job.id, Embedding),
        )
        order = np.argsort(-change, kind="stable")[:60]
        st.markdown(
            f"On average {text.percent(change.mean())} of a case’s 15 nearest cases are others in"
            " the second run. The neighbours of these changed most:"
        )
        gallery(
            left,
            rows[order],
            "moved",
            captions=[f"{text.percent(c)} new" for c in change[order]],
            across=10,
            page_size=20,
        )
        st.button(
            "Select these", on_click=state.select, args=(rows[order], "neighbours changed most")
        )
    except UserError as e:
        st.caption(text.label(e, 300))
with tabs[2]:
    for cell, context in zip(st.columns(2), (left, right)):
        for slug in context.ws.slugs(context.job.id):
            artifact = context.ws.artifact(context.job.id, slug)
            if isinstance(artifact, Metrics):
                cell.dataframe(
                    table(artifact)[["measure", "value", "of", "group"]], hide_index=True
                )
with tabs[3]:
    map.panels(left, "compare-selection")
