"""Train: the methods that fit this data, why the others do not, and one form."""

import streamlit as st

from app import navigation, shell, state
from app.panels import method_choice, train_form

shell.head(
    "Train",
    "Say what you want to know. Training runs on this machine and goes on when you close the"
    " browser.",
)
data = state.dataset()
if data is None:
    st.markdown("First bring some data.")
    st.page_link(navigation.page("data"), label="Add data", icon=":material/arrow_forward:")
    st.stop()
if not len(data):
    shell.stop_without_cases()
question = st.container()  # above both columns: it is a sentence, which one column would cut
left, right = st.columns([1, 2], gap="large")
with left:
    kind = method_choice.choose(data, question)
with right:
    if kind is not None:
        train_form.start(kind, data)
