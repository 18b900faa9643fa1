"""The traversal bench as a Streamlit component: every place of every slider is decoded ahead and
sent as one sheet of pictures, so that moving a slider asks nobody; where it is let go comes back.
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


def _as_jpeg(picture: np.ndarray, quality: int = 88) -> np.ndarray:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return np.frombuffer(out.getvalue(), np.uint8)


def message(
    *,
    id: str,
    case: np.ndarray,
    tiles: list[np.ndarray],
    here: int,
    now: int,
    axes: list[dict[str, Any]],
    classes: list[str],
    compare: bool,
) -> bytes:
    """One message to the browser. `case` uint8 [H,W,3]; `tiles` uint8 [h,w,3] of one size, drawn
    and marked as generated; `here` the tile of the case's own place, `now` that of the place set.

    Each of `axes`: axis (its number), name, help, values (where its slider can stand), at (where it
    stands), first (the tile of its first value, -1 where nothing was decoded ahead); at each value
    distance, a percentile, said, that in words, and output. `compare`: draw what changed between
    the tiles `here` and that shown.
    """
    h, w = tiles[0].shape[:2]
    columns = max(1, int(np.ceil(np.sqrt(len(tiles)))))
    sheet = np.zeros((-(-len(tiles) // columns) * h, columns * w, 3), np.uint8)
    for i, tile in enumerate(tiles):
        y, x = divmod(i, columns)
        sheet[y * h : (y + 1) * h, x * w : (x + 1) * w] = tile
    pictures = [_as_jpeg(sheet), _as_jpeg(case)]
    head = {
        "id": id,
        "tile": [w, h],
        "columns": columns,
        "here": here,
        "now": now,
        "axes": axes,
        "classes": classes,
        "compare": compare,
        "sizes": [p.nbytes for p in pictures],
    }
    return pack(head, [np.concatenate(pictures)])


@cache
def _component() -> Any:
    import streamlit as st

    return st.components.v2.component(
        "lightbox_traversal",
        html="<div></div>",
        css=(HERE / "traversal.css").read_text(),
        js=ELEMENT + (HERE / "traversal.js").read_text(),
        isolate_styles=True,
    )


def bench(data: bytes, key: str) -> None:
    """Draw a `message`. Where a slider is let go, `st.session_state[key]["event"]` says the places
    that were set, {"place": {axis: value}, "last": the axis moved last}; none set = the case's own.
    """
    _component()(data=data, key=key, default={"event": None}, on_event_change=lambda: None)
