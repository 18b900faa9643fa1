"""Anomalies: the most unusual cases, where they are unusual, and what a threshold would mean."""

from functools import partial

import numpy as np
import streamlit as st

from app import navigation, shell, state, text
from app.panels import case_stages, gates, heat, hidden_area, nearest_patches, threshold
from app.panels.gallery import score_of
from app.panels.inspector import inspector
from app.pin import pin_button
from app.views import anomaly_maps
from core.report import figures

context = shell.need_run("which cases look unlike the others, and where")
scores = score_of(context)
if scores is None:
    shell.head("Anomalies", "Which cases look unlike the ones the model learned from, and where.")
    why = next(
        (n for n in context.job.note.splitlines() if n.startswith("No anomaly score: ")),
        "This run gives no anomaly score.",
    )
    st.info(
        f"{text.label(why, 300)} Choose or train one that does, such as a variational autoencoder"
        " or StRegA."
    )
    base = context.ws.catalogue.job(context.job.on_run) if context.job.on_run else None
    if base is not None and context.job.kind == "train":
        st.button(
            f"Open {text.label(navigation.run_title(base), 80)}, which this run builds upon",
            on_click=state.open_run,
            args=(base.id,),
            icon=":material/arrow_upward:",
        )
    st.page_link(navigation.page("train"), label="Train one", icon=":material/arrow_forward:")
    st.stop()
shell.head(
    "Anomalies",
    f"{threshold.describe_flagged(scores, context)} Unusual does not mean ill: check each"
    " case yourself.",
)
main, side = st.columns([5, 2])
with main:
    anomaly_maps.show(scores, context)
    closer = [panel for panel in (case_stages, gates, nearest_patches) if panel.fits(context)]
    if closer:
        looked_at = state.selection().primary
        if looked_at is None or not (context.data.rows == looked_at).any():
            part = context.data.part("test").rows
            some = part if len(part) else context.data.rows
            looked_at = some[np.argmax(scores.score[scores.at(some)])]
        for panel in closer:
            panel.show(scores, context, int(looked_at))
    if hidden_area.fits(context):
        hidden_area.show(context)
    shell.show_provenance(context, f"threshold {threshold.threshold_of(scores, context):.3g}")
    test = (
        context.data.part("test").rows
        if (context.data.splits == "test").any()
        else context.data.rows
    )
    top = test[np.argsort(-scores.score[scores.at(test)], kind="stable")[:12]]
    facts = {"threshold": round(threshold.threshold_of(scores, context), 4)}
    pin_button(
        partial(
            figures.anomaly_figure,
            context.data,
            scores,
            top,
            opacity=float(st.session_state.get(context.key("opacity"), heat.OPACITY)),
            look=state.look(),
            contour=st.session_state.get(context.key("heat")) == "contour",
            above=threshold.threshold_of(scores, context)
            if st.session_state.get(context.key("heat")) == "threshold"
            else None,
        ),
        context,
        "The most unusual cases, and where",
        "unusual",
        facts,
    )
with side:
    inspector(context)
shell.details(context)
