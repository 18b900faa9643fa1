"""Data: bring yours, take a sample, look it over before use."""

import streamlit as st

from app import shell, state
from app.panels import data_page, quick_start, upload

shell.head(
    "Data",
    "Your files stay on this machine. Bring a zip or folder of pictures, DICOM, NIfTI, recordings"
    " (EEG, ECG), arrays, genomes, or a table of numbers or texts.",
)
quick_start.follow()
upload.follow()
data = None if state.damage() else state.dataset()
names = (["This data"] if data is not None else []) + ["Add data", "Samples"]
# New data is opened by tabs that are new themselves: a value set for the old ones gets lost when
# the run that sets it is cut off by the next.
opened = st.session_state.setdefault("data-opened", 0) + st.session_state.pop(
    "just-imported", False
)
st.session_state["data-opened"] = opened
for tab, name in zip(
    st.tabs(names, key=f"data-tab-{opened}-{len(names)}", on_change="rerun"), names
):
    if tab.open:
        with tab:
            {
                "This data": lambda: data_page.overview(data),
                "Add data": upload.upload,
                "Samples": data_page.samples,
            }[name]()
