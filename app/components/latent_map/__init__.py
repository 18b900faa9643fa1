"""The latent map as a Streamlit component: typed arrays go to the browser, a polygon or one row
comes back.

Nothing else is sent: the server turns the polygon into rows (`inside`). The bundle is built by
`build.py`; without it `available()` is False and the page falls back to Plotly, with a note.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.columns import format_distinct
from core.imaging.palette import CIVIDIS

HERE = Path(__file__).parent
BUNDLE = HERE / "dist" / "latent_map.js"
WORDS_MOST = 20_000  # points up to which hover words are sent
# points from which places and colours are sent in 2 bytes each instead of 4: 60 MB for 10,000,000,
# and places are then true to a 65,535th of the map
COMPACT = 1_000_000
TILES_MOST = 2_500  # thumbnails in the sprite sheet
LEAST_TRUST = 0.7  # of a point's neighbours on the map: the lower end of the colours of doubt
BARS = 24  # of the histogram in the legend of an amount


def available() -> bool:
    """Whether the bundle has been built."""
    return BUNDLE.exists()


def _component() -> Any:
    import streamlit as st

    return st.components.v2.component(
        "lightbox_latent_map",
        html="<div></div>",
        css=(HERE / "latent_map.css").read_text(),
        js=BUNDLE.read_text(),
        isolate_styles=True,
    )


def _selection_component() -> Any:
    import streamlit as st

    return st.components.v2.component(
        "lightbox_latent_map_selection",
        html="",
        js=(HERE / "selection.js").read_text(),
        isolate_styles=True,
    )


_registered: Any = None


def unit(xy: np.ndarray) -> np.ndarray:
    """xy [n,2] moved and scaled, aspect kept, into [-0.95, 0.95]: the space the component draws and
    lassos in.
    """
    xy = np.asarray(xy, dtype=np.float32)[:, :2]
    low, high = xy.min(0), xy.max(0)
    return (xy - (low + high) / 2) / max(float((high - low).max()) / 2, 1e-9) * np.float32(0.95)


def inside(xy: np.ndarray, polygon: list[list[float]]) -> np.ndarray:
    """bool [n]: which points lie in the polygon (even-odd rule), both in the component's space.
    O(n) within the polygon's box.
    """
    from matplotlib.path import Path as Outline

    corners = np.asarray(polygon, dtype=float)
    box = ((xy >= corners.min(0)) & (xy <= corners.max(0))).all(1)
    found = np.zeros(len(xy), bool)
    found[box] = Outline(corners).contains_points(xy[box])
    return found


def draw_backdrop(xy: np.ndarray, side: int = 1024) -> bytes:
    """Points xy [m,2] in the component's space as soft grey dots: a PNG [side,side] over [-1, 1]
    that is laid under the map.
    """
    from PIL import Image

    shown = np.clip(((np.asarray(xy) * [1, -1] + 1) / 2 * side).astype(int), 2, side - 3)
    if len(xy) < 5_000:
        reach = 3
    elif len(xy) < 50_000:
        reach = 2
    else:
        reach = 1
    counts = np.zeros((side, side), np.float32)
    for dx in range(-reach, reach + 1):
        for dy in range(-reach, reach + 1):
            if dx * dx + dy * dy <= reach * reach:
                np.add.at(
                    counts,
                    (
                        np.clip(shown[:, 1] + dy, 0, side - 1),
                        np.clip(shown[:, 0] + dx, 0, side - 1),
                    ),
                    1,
                )
    strength = np.where(counts > 0, 0.5 + 0.3 * np.minimum(1, np.log1p(counts) / 3), 0)
    picture = np.empty((side, side, 4), np.uint8)
    picture[..., :3], picture[..., 3] = 150, (255 * strength).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def sprite_sheet(thumbs: np.ndarray) -> tuple[bytes, int]:
    """Thumbnails uint8 [m,t,t,3] as one PNG and its number of columns."""
    from PIL import Image

    m, t = thumbs.shape[:2]
    columns = max(1, int(np.ceil(np.sqrt(m))))
    lines = -(-m // columns)
    sheet = np.zeros((lines * columns, t, t, 3), np.uint8)
    sheet[:m] = thumbs
    out = io.BytesIO()
    Image.fromarray(
        sheet.reshape(lines, columns, t, t, 3)
        .transpose(0, 2, 1, 3, 4)
        .reshape(lines * t, columns * t, 3)
    ).save(out, "PNG")
    return out.getvalue(), columns


def pack(head: dict[str, Any], arrays: list[np.ndarray]) -> bytes:
    """One message: length of the json head (uint32), the head, then the arrays, each starting at a
    multiple of 8 bytes.
    """
    text = json.dumps(head, separators=(",", ":")).encode()
    out = bytearray(len(text).to_bytes(4, "little") + text)
    for array in arrays:
        out += bytes(-len(out) % 8)
        out += np.ascontiguousarray(array).tobytes()
    return bytes(out)


def message(
    xy: np.ndarray,
    code: np.ndarray,
    *,
    kind: str,
    names: list[str],
    palette: list[str],
    key: str,
    height: int,
    title: str,
    words: list[str] | None,
    sprite: tuple[bytes, int, int, np.ndarray] | None,
    trust: np.ndarray | None = None,
    backdrop: bytes | None = None,
    ids: np.ndarray | None = None,
    linked: bool = False,
    near: np.ndarray | None = None,
) -> bytes:
    """What is sent of the points; it stays the same, byte for byte, whatever is selected, so that
    the browser need not be sent it again.

    `xy` in the component's space; `code` = category number (0..k-1) or amount (NaN shown as the
    lowest); `key` of the map, as in `selection_message`; `trust` [n] in [0, 1]: how true each
    point's neighbours on the map are; `backdrop`: a picture to lay under the points
    (`draw_backdrop`); `ids` [n]: row ids, by which it is known whether another map shows the
    same cases (points then move to their new places), and by which `linked` maps on one page ring
    each other's points; `near` [n,k]: positions of the cases nearest in the latent space.
    """
    n = len(xy)
    head: dict[str, Any] = {
        "n": n,
        "kind": kind,
        "height": height,
        "title": title,
        "labels": [],
        "key": key,
        "faithful": trust is not None,
        "alt": f"Map of {n} cases coloured by {title}",
    }
    if kind == "amount":
        low, high = limits(code)
        shown = np.nan_to_num(np.clip((code - low) / max(high - low, 1e-12), 0, 1))
        least, most = format_distinct(low, high)
        head |= {"scale": CIVIDIS, "low": least, "high": most, "names": [], "bars": _bars(code)}
    else:
        shown = code
        counts = np.bincount(code.astype(int), minlength=len(names))
        # the largest first: its name is placed first, and others give way
        named = [j for j in np.argsort(-counts[:12], kind="stable") if counts[j]]
        middles = [np.median(xy[code == j], axis=0) for j in named]
        shown_names = [names[j] for j in named]
        head |= {
            "palette": palette,
            "names": names,
            "counts": counts.tolist(),
            "labels": [
                {"text": t, "x": float(m[0]), "y": float(m[1])}
                for t, m in zip(shown_names, middles)
            ],
        }
    if n > COMPACT:
        head["compact"] = True
        step = 65535 if kind == "amount" else 1
        arrays = [
            *(np.round((xy[:, j] + 1) * 32767.5).astype("<u2") for j in (0, 1)),
            np.round(shown * step).astype("<u2"),
        ]
    else:
        arrays = [xy[:, 0].astype("<f4"), xy[:, 1].astype("<f4"), shown.astype("<f4")]
    if trust is not None:
        arrays.append(np.clip((trust - LEAST_TRUST) / (1 - LEAST_TRUST), 0, 1).astype("<f4"))
    if ids is not None:
        head["cases"] = zlib.crc32(np.ascontiguousarray(ids).tobytes())
        if linked:
            head["linked"] = True
            arrays.append(ids.astype("<i4"))
    if near is not None:
        head["ties"] = near.shape[1]
        arrays.append(near.astype("<i4"))
    if words is not None and n <= WORDS_MOST:
        head["words"] = words
    if sprite is not None:
        png, tile, columns, index = sprite
        head |= {"tile": tile, "columns": columns, "spriteBytes": len(png)}
        arrays += [index.astype("<i4"), np.frombuffer(png, np.uint8)]
    if backdrop is not None:
        head["backdropBytes"] = len(backdrop)
        arrays.append(np.frombuffer(backdrop, np.uint8))
    return pack(head, arrays)


def limits(amounts: np.ndarray) -> tuple[float, float]:
    """The ends of the colour scale: the least amount and the 99.5th percentile; 0 and 1 of none."""
    there = amounts[np.isfinite(amounts)]
    return (float(there.min()), float(np.quantile(there, 0.995))) if len(there) else (0.0, 1.0)


def bar_of(amounts: np.ndarray) -> np.ndarray:
    """Which bar of the legend's histogram each amount is counted in, 0..BARS-1; -1 where it is no
    number. What lies above the scale is in the last.
    """
    low, high = limits(amounts)
    share = np.nan_to_num((amounts - low) / max(high - low, 1e-12))
    bar = np.clip(share * BARS, 0, BARS - 1).astype(int)  # far above the scale is too far for int
    return np.where(np.isfinite(amounts), bar, -1)


def _bars(amounts: np.ndarray) -> list[dict[str, Any]]:
    """How many cases are in each bar, and its range in words."""
    at = bar_of(amounts)
    edges = np.linspace(*limits(amounts), BARS + 1)
    counts = np.bincount(at[at >= 0], minlength=BARS)
    found = []
    for j, n in enumerate(counts):
        low, high = format_distinct(float(edges[j]), float(edges[j + 1]))
        words = f"from {low} to {high}" if j < BARS - 1 else f"of {low} or more"
        found.append({"n": int(n), "words": words})
    return found


def selection_message(selected: np.ndarray, key: str, stamp: str, looked: int = -1) -> bytes:
    """Which points bool [n] of the map `key` are selected: a bit a point, compressed. `stamp` is
    set on the map once it shows them. `looked`: position of the point that the page looks at, which
    is ringed; -1 = none.
    """
    head = {"key": key, "n": len(selected), "stamp": stamp, "looked": looked}
    packed = zlib.compress(np.packbits(np.asarray(selected, bool)).tobytes(), 6)
    return pack(head, [np.frombuffer(packed, np.uint8)])


def sets_message(kept: dict[str, np.ndarray], key: str) -> bytes:
    """Which points bool [n] of the map `key` are in the sets A and B: a bit a point and set,
    compressed. A message of its own, since sets change seldom.
    """
    names = sorted(kept)
    bits = b"".join(np.packbits(np.asarray(kept[n], bool)).tobytes() for n in names)
    n = len(kept[names[0]]) if names else 0
    head = {"key": key, "n": n, "sets": names}
    return pack(head, [np.frombuffer(zlib.compress(bits, 6), np.uint8)])


def latent_map(
    data: bytes,
    selected: bytes,
    height: int,
    key: str,
    act: Callable[[dict[str, Any]], None],
    kept: dict[str, np.ndarray] | None = None,
) -> None:
    """Draw the map of `data` (`message`) with what is `selected` (`selection_message`). `act` is
    called before the page is drawn again with what the user did: {"kind": "lasso", "polygon",
    "mode"}, {"kind": "click", "index"}, {"kind": "category", "code", "mode"}, {"kind": "bar",
    "bar", "mode"}, {"kind": "invert"}, {"kind": "clear"} or {"kind": "keep", "set": "A" or "B"};
    modes are those of `app.state.select`. `kept`: name -> bool [n], points of the sets A and B,
    which are ringed.
    """
    import streamlit as st

    global _registered
    if _registered is None:
        _registered = _component(), _selection_component()

    def changed() -> None:
        event = st.session_state[key].get("event")
        if event:
            act(dict(event))

    points, selection = _registered
    points(data=data, key=key, height=height, default={"event": None}, on_event_change=changed)
    selection(data=selected, key=f"{key}-selection", height=0)
    selection(data=sets_message(kept or {}, key), key=f"{key}-sets", height=0)
