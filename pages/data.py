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


def this_data() -> None:
    """The open dataset, or how to get one."""
    if data is not None:
        data_page.overview(data)
    elif not state.damage():
        st.markdown("No data yet. **Add data** brings in yours, **Samples** has some to try with.")


# New data is opened by tabs that are new themselves: a value set for the old ones gets lost when
# the run that sets it is cut off by the next. The tabs are always the same three: new tabs take
# over the labels of the old ones for a moment, and the browser then follows a label that moved.
shown = {"This data": this_data, "Add data": upload.upload, "Samples": data_page.samples}
opened = st.session_state.setdefault("data-opened", 0)
opened += st.session_state.pop("just-imported", False)
st.session_state["data-opened"] = opened
default = "Add data" if data is None else "This data"
tabs = st.tabs(list(shown), default=default, key=f"data-tab-{opened}-{default}", on_change="rerun")
for tab, show in zip(tabs, shown.values()):
    if tab.open:
        with tab:
            show()
