"""Home: what is here, and what to do next."""

import streamlit as st

from app import shell, state
from app.views import _home

data = state.dataset()
if data is None:
    st.title("Lightbox", anchor=False)
    st.markdown("See what a model learned from your data: which cases are alike, which are unusual and where, and what the model looked at. Start with one of these.")
    left, right = st.columns(2)
    with left:
        _home.sample_button()
    with right:
        st.page_link(shell.page("data"), label="Add my own data", icon=":material/upload:")
    st.stop()
_home.show(data)
