"""The latent map: every case as a point, near what it resembles."""

from functools import partial

import streamlit as st

from app import shell, state
from app.panels import map, map_choice, map_pair, map_place
from app.panels.inspector import inspector
from app.pin import pin_button
from core.maps.projections import PROJECTIONS
from core.report import figures

context = shell.need_run("a map of your cases, each near those it resembles")
shell.head("Latent map", "Every point is a case; the model places similar cases near each other.")
beside = str(state.value("map-beside") or map_pair.ALONE)
main, side = st.columns([5, 2] if beside == map_pair.ALONE else [5, 1])
with main:
    made = map_choice.chosen_map(context)
    if made is not None:
        name = state.colour_column()
        assert name is not None  # every dataset has one
        column = map.column_of(context, made, name)
        if not map_pair.draw(context, made, column):
            map.draw(made, context, column, context.job.id)
        map_place.show(made, context)
        shell.show_provenance(
            context,
            f"{PROJECTIONS[made.how]}, trustworthiness {made.scores['trustworthiness']:.2f}",
        )
        pin_button(
            partial(figures.map_figure, made, context.data, column),
            context,
            f"Map of {context.data.name} coloured by {column.name}",
            "map",
        )
with side:
    inspector(context, on_map=True)
map.panels(context)
shell.details(context)
