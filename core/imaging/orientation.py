"""How a stored picture or volume is hung: which plane, which way up, what stands at its edges, how
long a centimetre is.

Radiological: the patient's right at the left edge, the front on top (axial); the head on top
(coronal, sagittal); the front at the left (sagittal). Neurological turns right and left. Where the
axes are unknown nothing is turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.data.geometry import OPPOSITE, Geometry, case_geometry

if TYPE_CHECKING:
    from core.data.dataset import Dataset

_PAIR = {"R": "RL", "L": "RL", "A": "AP", "P": "AP", "H": "HF", "F": "HF"}
# plane -> (pair across which slices lie, side toward which rows grow, side toward which columns
# grow) in radiological display
PLANES = {"axial": ("HF", "P", "L"), "coronal": ("AP", "F", "L"), "sagittal": ("RL", "F", "P")}
MOST_APART = 50.0  # times that one spacing of a picture is larger than the other
UNKNOWN = ("as stored", "along rows", "along columns")  # planes of a volume without known axes


@dataclass(frozen=True)
class DisplayPlane:
    """One plane of a sample on the screen.

    `order`: stored axes as (slice, down, across), or (down, across) for a picture; `flip`: whether
    (down, across) run against their stored order. `edges`: letters at "left", "right", "top",
    "bottom", {} = unknown. `mm`: millimetres a step along `order`, None = unknown. `through`:
    letters of the body sides where the first and the last slice lie, "" = unknown or a picture.
    """

    plane: str
    order: tuple[int, ...]
    flip: tuple[bool, bool]
    edges: dict[str, str]
    mm: tuple[float, ...] | None
    through: str = ""

    @property
    def known(self) -> bool:
        """Whether the sides of the body are known."""
        return bool(self.edges)


def names_each_axis(axes: str, dims: int) -> bool:
    """Whether `axes` names each of `dims` axes once."""
    return len(axes) == dims and len({_PAIR.get(a) for a in axes} - {None}) == dims


def display_planes(where: Geometry, dims: int, side: str = "radiological") -> list[DisplayPlane]:
    """Return the planes of a sample with `dims` spatial axes (2 or 3): one of a picture; axial,
    coronal, sagittal of a volume, the usual first.
    """
    if not names_each_axis(where.axes, dims):
        orders = [(0, 1)] if dims == 2 else [(0, 1, 2), (1, 0, 2), (2, 0, 1)]
        mm = where.mm if where.mm and len(where.mm) == dims else None
        return [
            DisplayPlane(name, o, (False, False), {}, mm and tuple(mm[i] for i in o))
            for name, o in zip(UNKNOWN, orders)
        ]
    made = []
    for name in PLANES:
        through, down, across = PLANES[name]
        at = [_PAIR[a] for a in where.axes]
        if dims == 2 and through in at:
            continue
        if side == "neurological" and across == "L":
            across = "R"
        order = tuple(
            at.index(p) for p in ((through,) if dims == 3 else ()) + (_PAIR[down], _PAIR[across])
        )
        flip = (where.axes[order[-2]] != down, where.axes[order[-1]] != across)
        edges = {"left": OPPOSITE[across], "right": across, "top": OPPOSITE[down], "bottom": down}
        ends = where.axes[order[0]] if dims == 3 else ""
        mm = tuple(where.mm[i] for i in order) if where.mm and len(where.mm) == dims else None
        made.append(
            DisplayPlane(name, order, flip, edges, mm, OPPOSITE[ends] + ends if ends else "")
        )
    return made


def orient(picture: np.ndarray, at: DisplayPlane) -> np.ndarray:
    """Return a stored picture [h,w] or [h,w,3] as it hangs."""
    turned = np.swapaxes(picture, 0, 1) if at.order[-2] > at.order[-1] else picture
    return turned[:: -1 if at.flip[0] else 1, :: -1 if at.flip[1] else 1]


def orient_slice(volume: np.ndarray, at: DisplayPlane, index: int) -> np.ndarray:
    """Slice `index` of a stored volume [D,H,W] as it hangs."""
    return orient(np.take(volume, index, axis=at.order[0]), at)


def make_pixels_square(picture: np.ndarray, at: DisplayPlane) -> np.ndarray:
    """Return a hung uint8 picture [h,w,3] with square pixels as large as the finer of its two
    spacings; as it is where these are alike, unknown, or so far apart (50 times) that they cannot
    be meant.
    """
    from PIL import Image

    if at.mm is None:
        return picture
    down, across = at.mm[-2:]
    if abs(down / across - 1) < 0.01 or not 1 / MOST_APART < down / across < MOST_APART:
        return picture
    fine = min(down, across)
    size = (
        max(1, round(picture.shape[1] * across / fine)),
        max(1, round(picture.shape[0] * down / fine)),
    )
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BILINEAR)
    )


def scale_bar(mm: float, pixels: float, share: float = 0.3) -> tuple[float, str]:
    """Return the longest of 1, 2, 5 x 10^k millimetres that fills at most `share` of `pixels` of
    `mm` each: (its millimetres, in words).
    """
    most = mm * pixels * share
    ten = 10.0 ** np.floor(np.log10(most))
    long = float(ten * max(m for m in (1, 2, 5) if m * ten <= most * (1 + 1e-9)))
    return long, f"{long / 10:g} cm" if long >= 10 else f"{long:g} mm"


def common_plane(data: Dataset, side: str = "radiological") -> DisplayPlane | None:
    """Return how all rows of the data hang (of volumes: their slices along the first axis), None
    where they lie differently or it is not known.
    """
    if "axes" not in data.table or data.table["axes"].nunique(dropna=False) != 1:
        return None
    planes = display_planes(case_geometry(data, int(data.rows[0])), len(data.shape) - 1, side)
    return next(h for h in planes if len(h.order) == 2 or h.order[0] == 0)
