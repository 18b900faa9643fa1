"""Drawing around a region of a picture as a Streamlit component: by hand, by clicks from corner to
corner, or by keys; the corners come back when the hand is lifted.
"""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from app.components import ELEMENT
from app.components.latent_map import pack

HERE = Path(__file__).parent


def message(picture: np.ndarray, id: str, aspect: float = 1.0) -> bytes:
    """One message to the browser: `picture` uint8 [h,w,3], a pixel for each place a corner can
    have; `aspect`, height of a pixel by its width. Corners stay while `id` does.
    """
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(out, "PNG")
    h, w = picture.shape[:2]
    return pack({"id": id, "size": [w, h], "aspect": aspect}, [np.frombuffer(out.getvalue(), "u1")])


@cache
def _component() -> Any:
    import streamlit as st

    return st.components.v2.component(
        "lightbox_outline",
        html="<div></div>",
        css=(HERE / "outline.css").read_text(),
        js=ELEMENT + (HERE / "outline.js").read_text(),
        isolate_styles=True,
    )


def outline(data: bytes, id: str, key: str) -> np.ndarray:
    """Draw a `message`; the corners drawn so far of the picture `id`, float32 [k,2]: x, y in pixels
    of it, the middle of its first at 0, 0.
    """
    import streamlit as st

    _component()(data=data, key=key, default={"event": None}, on_event_change=lambda: None)
    event = (st.session_state.get(key) or {}).get("event") or {}
    corners = event.get("corners", []) if event.get("of") == id else []
    return np.array(corners, np.float32).reshape(-1, 2)
