"""Home: what is here, and what to do next."""

import streamlit as st

from app import shell, state
from app.panels import data_page, home, quick_start, upload

quick_start.follow()
upload.follow()
data = state.dataset()
if data is None:
    st.title("Lightbox", anchor=False)
    st.markdown(
        "See what a model learned from your data: which cases are similar, which are unusual and"
        " where, and what the model looked at. Your files stay on this machine."
    )
    upload.upload()
    st.markdown("**Or start with a sample**")
    data_page.samples()
    st.stop()
if not len(data):
    shell.stop_without_cases()
home.show(data)
