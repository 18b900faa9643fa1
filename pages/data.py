"""Data: bring yours, take a sample, look it over before use."""

import streamlit as st

from app import shell, state
from app.views import _data, _quick, _upload

shell.head("Data", "Your files stay on this machine. Bring a zip or folder of pictures, DICOM, NIfTI, recordings (EEG, ECG), arrays, genomes, or a table of numbers or texts.")
_quick.follow()
_upload.follow()
data = state.dataset()
names = (["This data"] if data is not None else []) + ["Add data", "Samples"]
if st.session_state.pop("just-imported", False) and data is not None:
    st.session_state["data-tab"] = "This data"
elif st.session_state.get("data-tab") not in names:
    st.session_state["data-tab"] = names[0]
for tab, name in zip(st.tabs(names, key="data-tab", on_change="rerun"), names):
    if tab.open:
        with tab:
            {"This data": lambda: _data.overview(data), "Add data": _upload.upload, "Samples": _data.samples}[name]()
