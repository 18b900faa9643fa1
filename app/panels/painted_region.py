"""A region of a slice that a person draws around."""

from __future__ import annotations

import numpy as np

from app import state
from app.components.outline import message, outline
from app.state import Context
from core.data.geometry import case_geometry
from core.data.readers.contours import fill_polygon
from core.imaging import orientation, render, windowing
from core.imaging.orientation import MOST_APART, DisplayPlane
from core.imaging.palette import ACCENT, rgb


def ask(row: int, index: int | None, mask: np.ndarray, context: Context, key: str) -> np.ndarray:
    """Draw slice `index` of a case (None: it is a picture) with what is marked in it, `mask` bool
    [h,w] as stored, outlined, to draw around a region; what lies within it, bool [h,w] as stored.
    """
    raw = context.data.of(np.array([row])).raw()[0]
    at = orientation.display_planes(case_geometry(context.data, row), raw.ndim - 1, _side())[0]
    raw = raw if index is None else raw[:, index]
    raw = raw if len(raw) >= 3 else raw[:1]
    window = windowing.find_window(context.data, state.look().window, raw)
    picture = orientation.orient(render.window_to_rgb(raw, window), at)
    hung = orientation.orient(mask, at)
    picture = render.draw_outline(picture, hung, rgb(ACCENT), 1)
    id = f"{row}-{index}-{_side()}"
    corners = outline(message(picture, id, _aspect(at)), id, key)
    return unhang(within(corners, hung.shape), at)


def within(corners: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Pixels whose middle lies within the closed line through corners [k,2] of x, y, bool [h,w];
    none of fewer than three.
    """
    if len(corners) < 3:
        return np.zeros(size, bool)
    return fill_polygon(corners.astype(float), (size[0], size[1]))


def unhang(hung: np.ndarray, at: DisplayPlane) -> np.ndarray:
    """Return a picture [h,w] as it hangs as it is stored: the inverse of `orientation.orient`."""
    turned = hung[:: -1 if at.flip[0] else 1, :: -1 if at.flip[1] else 1]
    return np.swapaxes(turned, 0, 1) if at.order[-2] > at.order[-1] else turned


def _side() -> str:
    return state.look().side


def _aspect(at: DisplayPlane) -> float:
    """Height of a pixel by its width, 1 where it is unknown or cannot be meant."""
    ratio = at.mm[-2] / at.mm[-1] if at.mm else 1.0
    return ratio if 1 / MOST_APART < ratio < MOST_APART else 1.0
