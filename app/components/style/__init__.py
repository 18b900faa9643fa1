"""The page's own style sheet: less empty space around, pictures kept sharp. A component, since raw HTML is forbidden in this app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_registered: Any = None


def apply() -> None:
    """Add the sheet to the page; draws nothing."""
    global _registered
    import streamlit as st

    if _registered is None:
        css = (Path(__file__).parent / "page.css").read_text()
        _registered = st.components.v2.component("lightbox_style", html="<span></span>", css=css, isolate_styles=False)
    _registered(key="page-style", height=0)
