"""The viewer of pictures and volumes as a Streamlit component: stored values go to the browser once
a case, and window, slices and zoom are turned there, without asking the server.

What the user turns for all pictures (window, side) is not in the message, so that it stays the same
and is not sent again; `share` tells every viewer on the page. What comes back is {"window":
choice}, {"side": word} or {"slice": number}.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from app.components import ELEMENT
from app.components.latent_map import pack
from core.data.geometry import Geometry
from core.imaging import orientation, render, windowing
from core.imaging.windowing import Window

HERE = Path(__file__).parent
MOST_BYTES = 5 << 20  # of one message


def stored(pixels: np.ndarray) -> tuple[np.ndarray, float, float, str]:
    """(whole numbers, slope, intercept, what was done in words): uint8 and int16 as they are, all
    else as uint16 over its range.
    """
    if pixels.dtype == np.uint8:
        return pixels, 1.0, 0.0, ""
    low, high = float(pixels.min()), float(pixels.max())
    whole = low >= -32768 and high <= 32767 and bool((pixels == np.round(pixels)).all())
    if whole:
        return pixels.astype("<i2"), 1.0, 0.0, ""
    slope = (high - low) / 65535 or 1.0
    return (
        np.round((pixels - low) / slope).astype("<u2"),
        slope,
        low,
        f"drawn in 65,536 steps from {low:.4g} to {high:.4g}",
    )


def message(
    pixels: np.ndarray,
    *,
    geometry: Geometry,
    presets: dict[str, Window],
    usual: str,
    title: str,
    id: str,
    height: int,
    first: int = 0,
    apart: bool = False,
    before: int = 0,
    total: int = 0,
    word: str = "slice",
    heat: np.ndarray | None = None,
    heat_range: tuple[float, float] = (0.0, 1.0),
    heat_words: str = "",
    colours: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    marked: np.ndarray | None = None,
    marked_words: str = "",
    note: str = "",
    scale: tuple[float, float] = (1.0, 0.0),
    start: tuple[int, int] | None = None,
    reading: bool = False,
) -> bytes:
    """What is sent for one case.

    pixels: stored values: a picture [H,W], colour uint8 [H,W,3], a volume [D,H,W], or slices that
        lie apart in the data: [n,H,W] or [n,H,W,3] with `geometry` of two axes and `apart`. Of a
        stack of `total`, that at place `before` (from 0) is the first one sent; `first` is the one
        shown of those sent, from 0.
    scale: (a, b), the stored value v is shown as a v + b; windows are in what is shown.
    presets: the windows offered for this case by their words, and which of them is `usual`. `id` is
        what the browser remembers the slice by.
    heat: of the same spatial shape; clear at `heat_range[0]`, full at `heat_range[1]`, `colours`
        uint8 [256,3], `heat_words`: unit and kind of scale.
    mask: bool of the same spatial shape, drawn as an outline.
    marked: bool of the same spatial shape, what lies above the threshold in use; drawn as an orange
        line where asked for, `marked_words` say what it is.
    start: (stored axis, slice) at which a volume opens; None = the middle, or where the user left
        it.
    reading: the case is the page's subject: the picture listens to keys at once, and heat stays off
        until it is asked for.
    """
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3 and pixels.dtype == np.uint8
    spatial = pixels.shape[:-1] if colour else pixels.shape
    values, slope, intercept, said = stored(pixels)
    dims = (1, *spatial) if len(spatial) == 2 else spatial
    flat = apart or len(spatial) == 2
    sides = {
        side: [
            _as_volume(h, flat)
            for h in orientation.display_planes(geometry, 2 if flat else 3, side)
        ]
        for side in windowing.SIDES
    }
    longest = max(dims[1:] if flat else dims)
    arrays = [values]
    head: dict[str, Any] = {
        "id": id,
        "title": title,
        "height": height,
        "dims": list(dims),
        "kind": values.dtype.kind + str(values.dtype.itemsize),
        "colour": colour,
        "slope": scale[0] * slope,
        "intercept": scale[0] * intercept + scale[1],
        "planes": sides,
        "first": first,
        "before": before,
        "total": total or dims[0],
        "word": word,
        "apart": apart,
        "unit": geometry.unit,
        "presets": [
            {
                "id": k,
                "label": windowing.WORDS[k],
                "help": windowing.HELPS[k],
                "level": w.level,
                "width": w.width,
            }
            for k, w in presets.items()
        ],
        "usual": usual,
        "smooth": longest >= render.SMOOTH_FROM,
        "oblique": round(geometry.oblique),
        "note": note,
        "steps": said,
        "mask": mask is not None,
        "marked": None if marked is None else {"words": marked_words},
        "heat": None,
        "start": None if start is None else [int(start[0]), int(start[1])],
        "reading": reading,
    }
    if heat is not None:
        low, high = heat_range
        share = np.clip((np.asarray(heat, np.float32) - low) / max(high - low, 1e-12), 0, 1)
        arrays += [np.round(share * 255).astype(np.uint8), np.asarray(colours, np.uint8)]
        head["heat"] = {"low": f"{low:.3g}", "high": f"{high:.3g}", "words": heat_words}
    if mask is not None:
        arrays.append(np.asarray(mask, np.uint8))
    if marked is not None:
        arrays.append(np.asarray(marked, np.uint8))
    head["sizes"] = [a.nbytes for a in arrays]
    packed = zlib.compress(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays), 1)
    return pack(head | {"packed": len(packed)}, [np.frombuffer(packed, np.uint8)])


def _as_volume(at: orientation.DisplayPlane, picture: bool) -> dict[str, Any]:
    """A plane as the browser takes it: always three axes, the first of a picture being the
    stack.
    """
    shown = asdict(at)
    if picture:
        shown["order"] = (0, *(i + 1 for i in at.order))
        shown["mm"] = at.mm and (0.0, *at.mm)
    return shown


@cache
def _component() -> Any:
    import streamlit as st

    js = ELEMENT + "\n".join((HERE / name).read_text() for name in ("drawing.js", "viewer.js"))
    return st.components.v2.component(
        "lightbox_viewer",
        html="<div></div>",
        css=(HERE / "viewer.css").read_text(),
        js=js,
        isolate_styles=True,
    )


@cache
def _sharing() -> Any:
    import streamlit as st

    return st.components.v2.component(
        "lightbox_viewer_share",
        html="<span></span>",
        css=":host { display: none; }",
        js=(HERE / "share.js").read_text(),
        isolate_styles=True,
    )


def share(look: windowing.DisplaySettings, of: str = "") -> None:
    """Tell every viewer on the page the window and side chosen for all pictures; draws nothing.
    Before the first viewer of a page. `of`: hash of the data the window was chosen for; viewers of
    other data keep their own.
    """
    _sharing()(data=asdict(look) | {"of": of[:12]}, key="page-style-look", height=0)


def viewer(data: bytes, height: int, key: str, act: Callable[[dict[str, Any]], None]) -> None:
    """Draw a `message`. `act` is called, before the page is drawn again, with what the user chose:
    {"window"}, {"side"} or {"slice"}.
    """
    import streamlit as st

    def changed() -> None:
        event = st.session_state[key].get("event")
        if event:
            act(dict(event))

    _component()(
        data=data, key=key, height=height, default={"event": None}, on_event_change=changed
    )
