"""What the gate kept and dropped of the headers of scans: one line, and the whole of it when
opened.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import text
from core.data.dataset import Dataset
from core.data.identifying import words_of_keyword

CAVEAT = "This helps; it is no certified de-identification."


def show(data: Dataset) -> None:
    """One visible line and a closed panel, and what was accepted before the import; nothing for
    data that came neither through the gate nor with an accepted list.
    """
    gate, accepted = data.card.get("deidentified"), data.card.get("accepted")
    if gate:
        _gate(gate)
    elif accepted:
        st.markdown("**De-identification**")
    if accepted:
        _accepted(accepted, gate or {})


def _accepted(accepted: dict[str, Any], gate: dict[str, Any]) -> None:
    """Who accepted which list before the import, when, and what the files held beyond it."""
    by = f" by {text.label(accepted['by'], 60)}" if accepted.get("by") else ""
    at = text.label(text.moment(str(accepted.get("at", ""))), 30)
    n = accepted.get("entries", 0)
    many = f"a list of {n:,} entr{'y' if n == 1 else 'ies'}"
    st.caption(f":material/task_alt: Accepted before the import{by}, {at}: {many}.")
    known = {e.get("what") for e in accepted.get("list", [])}
    if beyond := [k for k in gate.get("removed", {}) if k not in known]:
        few = ", ".join(text.label(words_of_keyword(k), 60) for k in beyond[:6])
        more = " …" if len(beyond) > 6 else ""
        st.caption(f"The files held more than the list named; dropped as well: {few}{more}.")
    with st.expander("The list that was accepted"):
        st.caption(text.label(accepted.get("looked", ""), 200))
        entries(accepted.get("list", []))


def entries(listed: list[dict[str, str]], height: int = 300) -> None:
    """A list of what is removed, replaced and kept, as a table."""
    shown = pd.DataFrame(
        {
            "What": [words_of_keyword(e.get("what", "")) for e in listed],
            "Happens": [e.get("happens", "") for e in listed],
            "Found in": [e.get("found", "") for e in listed],
            "Note": [e.get("why", "") for e in listed],
        }
    )
    st.dataframe(shown, hide_index=True, height=min(height, 36 * len(shown) + 38))


def _gate(gate: dict[str, Any]) -> None:
    """What the gate kept and dropped of headers."""
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
                {"what": [words_of_keyword(k) for k in removed], "files": list(removed.values())}
            )
            st.dataframe(table, hide_index=True, height=min(240, 36 * len(removed) + 38))
        kept = text.label(", ".join(words_of_keyword(k) for k in gate.get("kept", [])), 2000)
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
