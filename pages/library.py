"""Library: every method and measure, what it answers, how it was measured here."""

import streamlit as st

from app import shell
from app.panels import library

shell.head(
    "Library",
    "Every method and measure: what it answers, when to trust it, and how it compares here with"
    " simple baselines.",
)
find = st.text_input(
    "Search",
    placeholder="e.g. anomaly, cluster, VAE",
    label_visibility="collapsed",
    icon=":material/search:",
)
kind = st.segmented_control(
    "Show", ["Methods", "Measures"], default="Methods", required=True, label_visibility="collapsed"
)
if kind == "Methods":
    library.methods(find)
else:
    library.measures(find)
