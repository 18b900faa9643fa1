"""“Pin this view”: freezes the picture with a caption into the story that Present shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app import state, text
from app.components import allowed
from core.imaging import windowing
from core.report import story


def pin_button(
    make: Callable[[], bytes],
    context: state.Context,
    caption: str,
    key: str,
    facts: dict[str, Any] | None = None,
) -> None:
    """A small popover; `make` draws the PNG only when Pin is pressed."""
    with (
        st.popover("Pin this view", icon=":material/push_pin:", **allowed.lock("annotate")),
        st.form(f"pin-{key}-{context.job.id}", border=False),
    ):
        words = st.text_input("Caption", text.plain(caption, 120), max_chars=300)
        if st.form_submit_button("Pin", type="primary"):
            stamp = {
                "data": context.data.name,
                "data hash": context.data.hash[:10],
                "run": context.job.id,
                "method": context.job.method,
                "seed": context.job.seed,
            }
            if context.data.modality in ("image", "volume"):
                word = windowing.choose_window(context.data, state.look().window)
                stamp |= {
                    "window": windowing.WORDS.get(word, f"level and width {word}"),
                    "display": state.look().side,
                }
            with st.spinner("Freezing the picture"):
                done = state.attempt(
                    lambda: story.add_pin(context.ws, make(), words, stamp | (facts or {}))
                )
            if done is not None:
                st.toast("Pinned. Present shows it.")
