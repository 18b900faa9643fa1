"""The switch between the dark and the light theme, in the bar that every page has.

Streamlit has both themes and a menu to choose one; it changes the page where it stands, without
asking the server. The switch presses that menu, which is itself hidden, and remembers the choice
for all pages: Streamlit would remember it for the page that was loaded first.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@cache
def _component() -> Any:
    import streamlit as st

    return st.components.v2.component(
        "lightbox_theme_switch",
        html='<button type="button" class="theme-switch"></button>',
        css=(HERE / "theme.css").read_text(),
        js=(HERE / "theme.js").read_text(),
        isolate_styles=True,
    )


def switch(paths: list[str]) -> None:
    """Draw the switch; `paths` of all pages ("/", "/train", ...) are where the choice is kept."""
    _component()(data={"paths": paths}, key="theme-switch", height="content")
