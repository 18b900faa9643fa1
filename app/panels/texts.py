"""Texts to be read: a list in pages, findable by their words, each whole on request."""

from __future__ import annotations

import numpy as np
import streamlit as st

from app import state, text
from core.data.dataset import Dataset

PAGE = 6  # texts at once
BEGIN = 700  # letters of a text in the list
MOST = 20_000  # letters of one text on screen; the rest is said, not shown


def browse(data: Dataset) -> None:
    """A page of texts with what is known of each, and a field that finds words in them."""
    words = st.text_input(
        "Find words in the texts",
        key=f"find-{data.hash[:8]}",
        max_chars=80,
        placeholder="e.g. fever",
        help="Large and small letters count as the same.",
    ).strip()
    found = find_texts(data, words) if words else data.rows
    if not len(found):
        st.caption(f"None of {len(data):,} texts holds these words.")
        return
    pages = -(-len(found) // PAGE)
    at = st.pagination(pages, key=f"texts-{data.hash[:8]}-{words}") - 1 if pages > 1 else 0
    rows = found[at * PAGE : (at + 1) * PAGE]
    st.caption(
        f"{at * PAGE + 1:,} to {at * PAGE + len(rows):,} of {len(found):,} texts"
        + (f" that hold these words, out of {len(data):,}." if words else ".")
    )
    if words:
        st.button(
            f"Select the {len(found):,} text{'s' * (len(found) != 1)}",
            key=f"pick-{data.hash[:8]}",
            on_click=state.select,
            args=(found, f"texts with “{text.plain(words, 30)}”"),
        )
    part = data.of(rows)
    labels = part.labels
    for row, name, full, code in zip(rows, part.names(), part.texts, labels):
        with st.container(border=True):
            known = f" · {text.label(data.classes[code])}" if code >= 0 else ""
            st.markdown(f"**{text.label(name, 40)}**{known}")
            shown = text.plain(full, BEGIN)
            st.text(shown)
            if len(text.plain(full, BEGIN + 1)) > BEGIN:
                with st.expander(
                    f"All {len(full):,} letters",
                    key=f"all-{data.hash[:8]}-{row}",
                    on_change="rerun",
                ) as whole:
                    if whole.open:
                        show_text(full)


def show_text(full: str) -> None:
    """One text, its line breaks kept; what is beyond the limit is said."""
    lines = [text.plain(line, MOST) for line in full[:MOST].splitlines()]
    st.text("\n".join(lines))
    if len(full) > MOST:
        st.caption(f":material/content_cut: The first {MOST:,} of {len(full):,} letters.")


@st.cache_data(
    max_entries=16,
    show_spinner="Looking through the texts",
    hash_funcs={Dataset: lambda d: (d.hash, len(d))},
)
def find_texts(data: Dataset, words: str) -> np.ndarray:
    """Row ids of the texts that hold these words, side by side, in any case."""
    return data.rows[
        data.frame[data.roles["text"]]
        .astype(str)
        .str.contains(words, case=False, regex=False)
        .to_numpy()
    ]
