"""Data: bring yours, take a sample, look it over before use."""

import streamlit as st

from app import shell, state
from app.views import _data

shell.head("Data", "Your files stay on this machine. Bring a zip or folder of pictures, DICOM, NIfTI, arrays or a table.")
data = state.dataset()
tabs = st.tabs((["This data"] if data is not None else []) + ["Add data", "Samples"])
if data is not None:
    with tabs[0]:
        _data.overview(data)
with tabs[-2]:
    _data.upload()
with tabs[-1]:
    _data.samples()
