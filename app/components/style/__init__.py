"""The page's own style sheets: less empty space around, pictures kept sharp; the bare stage of a
presentation. Components, since raw HTML is forbidden in this app.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any


@cache
def _sheet(name: str) -> Any:
    import streamlit as st

    css = (Path(__file__).parent / f"{name}.css").read_text()
    return st.components.v2.component(
        f"lightbox_style_{name}", html="<span></span>", css=css, isolate_styles=False
    )


def apply(name: str = "page") -> None:
    """Add the sheet `name` to the page for this run; draws nothing. "page" is everyone's, "stage"
    leaves only the slide.
    """
    _sheet(name)(key=f"{name}-style", height=0)
