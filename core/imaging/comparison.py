"""A case beside what a model makes of it: one picture that fades from the case to its
reconstruction and on to their difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.data.geometry import case_geometry
from core.imaging import orientation, render
from core.imaging.windowing import DisplaySettings

if TYPE_CHECKING:
    from core.data.dataset import Dataset

GROUND = 40  # grey level beneath a difference


@dataclass(frozen=True)
class Pair:
    """Pictures uint8 [h,w,3] as they hang: the case, what was made of it, and the signed
    difference, whose full colour stands for `reach` in the model's scale; `slice`, of a volume,
    which one is shown, in words.
    """

    original: np.ndarray
    made: np.ndarray
    difference: np.ndarray
    reach: float
    slice: str = ""


def make_pair(
    data: Dataset,
    row: int,
    made: np.ndarray,
    reach: float,
    place: int | None = None,
    look: DisplaySettings = render.PLAIN,
) -> Pair:
    """Return the pictures of row `row` and its reconstruction `made` [*input], in the scale of the
    model's input; case and reconstruction are seen through the same window.

    Volumes: slice `place` of the stored slice axis, else the displayed slice where the two differ
    most. `reach` > 0 is the caller's, one for all cases.
    """
    part = data.of(np.array([row]))
    raw, x = part.raw()[0], part.inputs()[0]
    low, high = data.input_range
    back = np.asarray(made, dtype=np.float32) * np.float32(high - low) + np.float32(low)
    gap = (x - made).mean(0)
    at, window = render.find_plane_and_window(data, row, raw, look)
    words = ""
    if raw.ndim == 4:
        axis = at.order[0]
        if place is not None:
            at = next(
                p
                for p in orientation.display_planes(case_geometry(data, row), 3, look.side)
                if p.order[0] == 0
            )
            axis, k = 0, place
        else:
            k = render.hottest_slice(np.abs(gap), at)
        words = f"Slice {k + 1} of {raw.shape[1 + axis]}"
        raw, back = np.take(raw, k, 1 + axis), np.take(back, k, 1 + axis)
        gap = np.take(gap, k, axis)
    ground = np.full((*gap.shape, 3), GROUND, np.uint8)

    def hung(picture: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(
            orientation.make_pixels_square(orientation.orient(picture, at), at)
        )

    return Pair(
        hung(render.window_to_rgb(raw, window)),
        hung(render.window_to_rgb(back, window)),
        hung(render.overlay_signed(ground, gap, reach, 1.0)),
        reach,
        words,
    )


def blend(pair: Pair, share: float, side: int = 240) -> np.ndarray:
    """Return the picture at `share` of the way: 0 the case, 1 the reconstruction, 2 the difference;
    uint8, the longer side at least `side` pixels. What is not the case alone is marked GENERATED.
    """
    first, second = (pair.original, pair.made) if share <= 1 else (pair.made, pair.difference)
    part = np.clip(share if share <= 1 else share - 1, 0.0, 1.0)
    mixed = (first * (1 - part) + second * part).round().astype(np.uint8)
    return render.enlarge(mixed, side) if share <= 0 else render.mark_generated(mixed, side)


def describe(share: float) -> str:
    """Return what `blend` shows at `share`, in a sentence."""
    steps = ("the case", "its reconstruction by the model", "the difference of the two")
    near = round(share)
    if abs(share - near) < 0.05:
        return f"Shown: {steps[near]}."
    return f"Shown: between {steps[int(share)]} and {steps[int(share) + 1]}."
