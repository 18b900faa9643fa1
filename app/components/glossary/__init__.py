"""What a term means, beside the term: on hover, on keyboard focus and on touch.

`app.text.explain` makes the terms of a sentence links to "#term-..."; this component, once on every
page, tells at such a link what `core.glossary` says of the term. It changes nothing in the page but
a card of its own.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from core.glossary import TERMS

HERE = Path(__file__).parent


@cache
def _component() -> Any:
    import streamlit as st

    return st.components.v2.component(
        "lightbox_glossary",
        html="<span></span>",
        css=(HERE / "glossary.css").read_text(),
        js=(HERE / "glossary.js").read_text(),
        isolate_styles=False,
    )


def listen() -> None:
    """Tell meanings on this page; draws nothing by itself."""
    meanings = {term.id: term.meaning for term in TERMS}
    _component()(data={"meanings": meanings}, key="glossary", height=0)
