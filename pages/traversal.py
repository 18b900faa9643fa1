"""Traversal: pick a case, turn what the model learned, see what changes."""

from functools import partial

import numpy as np
import streamlit as st

from app import navigation, shell, state
from app.panels import counterfactual, latent_axes, latent_paths, steering
from app.panels.inspector import inspector
from app.views import traversal
from core.errors import UserError

context = shell.need_run("what changes in a case when you turn one thing the model learned")
shell.head(
    "Traversal",
    "Move along a latent axis and see what the model thinks would change. The pictures are made by"
    " the model: they are no patients, and they show what it learned, not what causes what.",
)
try:
    model, embedding = traversal.opened(str(context.ws.home), context.job.id)
except UserError:
    model = None
draws = model is not None and embedding is not None and "decode" in model.abilities
flips = model is not None and counterfactual.fits(context, model)
steers = model is not None and steering.fits(context, model)
if not draws and not flips and not steers:
    st.info(
        "This run cannot draw new pictures, and gives no answer that a change could flip. Choose a"
        " run of a method that can, such as principal components or a variational autoencoder."
    )
    st.page_link(navigation.page("train"), label="Train one", icon=":material/arrow_forward:")
    st.stop()

row = state.selection().primary
if row is None or not np.isin(row, context.data.rows if embedding is None else embedding.rows):
    row = int(
        (
            context.data.part("test").rows
            if (context.data.splits == "test").any()
            else context.data.rows
        )[0]
    )
main, side = st.columns([4, 1])
with main:
    ways = {
        "Latent axes": latent_axes.axis_sliders,
        "Between two cases": latent_axes.between,
        "Towards a class": latent_axes.toward,
        "Along a column": latent_paths.along_a_column,
        "Plane": latent_paths.on_a_plane,
        "Walk on the map": latent_paths.over_the_map,
    }
    if len(context.data.classes) < 2:
        del ways["Towards a class"]
    if not draws:
        ways = {}
    if flips:
        ways["Smallest change"] = partial(counterfactual.show, model=model)
    if steers:
        ways["Steer a feature"] = steering.show
    asked = state.value("traversal-way")  # on another page
    state.set_value("traversal-way", None)
    how = st.segmented_control(
        "How",
        list(ways),
        default=asked if asked in ways else next(iter(ways)),
        key="traversal-how",
        required=True,
        label_visibility="collapsed",
    )
    ways[how](context, row)
    shell.show_provenance(context, "generated pictures are marked")
with side:
    state.look_at(row)
    inspector(context)
    st.number_input(
        "Case (row number)",
        int(context.data.rows.min()),
        int(context.data.rows.max()),
        row,
        key=f"pick-{context.job.id}-{row}",
        on_change=lambda: state.look_at(st.session_state[f"pick-{context.job.id}-{row}"]),
    )
shell.details(context)
