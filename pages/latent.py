"""The latent map: every case as a point, near what it resembles."""

import streamlit as st

from app import shell
from app.pin import pin_button
from app.views import _map
from app.views._gallery import inspector
from core.report import figures

context = shell.need_run("a map of your cases, each near those it resembles")
shell.head("Latent map", "Every point is a case; the model puts cases it finds alike near each other.")
main, side = st.columns([5, 2])
with main:
    made = _map.chosen_map(context)
    if made is not None:
        st.caption(_map.reading(made))
        column = _map.column_of(context, made, shell.colour_column())
        _map.draw(made, context, column, context.job.id)
        shell.made_by_line(context, f"{_map.HOW[made.how]}, trustworthiness {made.scores['trustworthiness']:.2f}")
        pin_button(lambda: figures.map_figure(made, context.data, column), context, f"Map of {context.data.name} coloured by {column.name}", "map")
with side:
    inspector(context)
_map.panels(context)
shell.details(context)
