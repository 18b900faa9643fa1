"""The limits of what may be brought, in words."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core import limits


def show() -> None:
    """A closed box with every limit: what it bounds, and its largest value."""
    with st.expander("Limits"):
        st.caption(
            "What passes a limit is refused with a sentence that names the file; nothing of it"
            " stays behind."
        )
        st.dataframe(
            pd.DataFrame(limits.shown(), columns=["What", "At most"]),
            hide_index=True,
            width="stretch",
        )
