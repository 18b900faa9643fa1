"""What the gate kept and dropped of the headers of scans: one line, and the whole of it when
opened.
"""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from app import text
from core.data.dataset import Dataset

CAVEAT = "This helps; it is no certified de-identification."


def show(data: Dataset) -> None:
    """One visible line and a closed panel; nothing for data that did not come through the gate."""
    gate = data.card.get("deidentified")
    if not gate:
        return
    removed = gate.get("removed", {})
    private = bool(gate.get("profile"))
    kinds = f"{len(removed):,} kind{'s' * (len(removed) != 1)} of header entries dropped"
    st.markdown("**De-identification**")
    if private:
        st.caption(
            f":material/shield_person: Names, ids and free text are gone: {kinds}, patients have"
            f" new ids. {CAVEAT}"
        )
    else:
        st.caption(
            f":material/shield_person: Free text in the headers is gone ({kinds}); names of files"
            f" are kept. {CAVEAT}"
        )
    if gate.get("faces"):
        warning = (
            "From the slices of a head a face can be drawn again; share them as you would share a"
            " photograph."
        )
        st.caption(f":orange[:material/face:] **Heads are among these scans.** {warning}")
    if gate.get("held"):
        cases = f"{gate['held']:,} case{'s were' if gate['held'] != 1 else ' was'}"
        st.caption(
            f":orange[:material/visibility_off:] {cases} hidden pending review: the image may"
            " contain burned-in text."
        )
    with st.expander("What was kept, what was dropped"):
        st.markdown(f"**Ids.** {text.label(gate.get('ids', ''), 400)}.")
        st.markdown(f"**Dates.** {text.label(gate.get('dates', ''), 400)}.")
        if removed:
            st.markdown("**Dropped**, with the number of files that had it:")
            table = pd.DataFrame(
                {"what": [_words(k) for k in removed], "files": list(removed.values())}
            )
            st.dataframe(table, hide_index=True, height=min(240, 36 * len(removed) + 38))
        kept = text.label(", ".join(_words(k) for k in gate.get("kept", [])), 2000)
        st.markdown(
            f"**Kept**, all of it technical, sex, or age in years (90 for everyone older): {kept}."
        )
        if private:
            codes = "; ".join(
                f"{text.label(words)} ({text.label(code)})" for code, words in gate["profile"]
            )
            st.caption(
                f"In the words of DICOM PS3.15 Annex E: {codes}. Pictures are not changed:"
                f" {CAVEAT.lower()}"
            )


def _words(keyword: str) -> str:
    """ "PatientBirthDate" -> "patient birth date"; abbreviations stay as they are."""
    apart = (
        re.findall(r"[A-Z]+(?=[A-Z][a-z]|\b|\d)|[A-Z]?[a-z]+|[A-Z]+|\d+", keyword)
        if " " not in keyword and "_" not in keyword
        else [keyword]
    )
    return " ".join(w if w.isupper() and len(w) > 1 else w.lower() for w in apart)
