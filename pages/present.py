"""Present: the pinned views as a story, full screen, and as one file that opens anywhere."""

import streamlit as st

from app import navigation, shell, state
from app.components import style
from app.panels import story as _story
from core.report import story

ws = state.workspace()
pins = story.load_pins(ws)
if pins and st.session_state.get("presenting"):
    style.apply("stage")
    _story.present(pins)
    st.stop()
shell.head(
    "Present",
    "Your pinned views, in order. Show them here, or take one file that opens on any computer"
    " without Lightbox.",
)
_story.downloads(pins)
if not pins:
    st.markdown(
        "Nothing is pinned yet. Press “Pin this view” under a map, a gallery or a traversal, and it"
        " appears here."
    )
    st.page_link(navigation.page("latent"), label="Open the map", icon=":material/scatter_plot:")
else:
    st.button("Present", type="primary", icon=":material/slideshow:", on_click=_story.begin)
    _story.edit(pins)
_story.undo()
