"""Maximum-intensity projections of one scan, a stored volume or slices that are rows of their own:
each pixel shows the highest value along its line through the scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.geometry import case_geometry
from core.imaging import orientation, render
from core.imaging.orientation import UNKNOWN, DisplayPlane
from core.imaging.stacks import find_run

if TYPE_CHECKING:
    from core.data.dataset import Dataset

# side of the body -> the plane that one looks at along it
ALONG = dict(zip("HFAPRL", ("axial", "axial", "coronal", "coronal", "sagittal", "sagittal")))
PERCENT = (1.0, 99.8)  # of the projected values: what is drawn black and white


@dataclass(frozen=True)
class Scan:
    """The `rows` of a scan, int64, [1] of a volume or [D] of slices in their order, and the three
    planes it is seen in; `planes[k].order` are axes of [D,H,W].
    """

    rows: np.ndarray
    planes: list[DisplayPlane]

    def volume(self, values: np.ndarray) -> np.ndarray:
        """Return what belongs to `rows`, [1,D,H,W] or [D,H,W], as [D,H,W]."""
        return values[0] if len(self.rows) == 1 else values


def find_scan(data: Dataset, row: int, side: str = "radiological") -> Scan | None:
    """Return the scan of row id `row`: a volume, or the slices in which it lies without a gap; None
    for a picture that has none beside it.
    """
    where = case_geometry(data, row)
    if data.modality == "volume":
        return Scan(np.array([row]), orientation.display_planes(where, 3, side))
    rows = find_run(data, row)
    if len(rows) < 3:
        return None
    thick = float(data.table.iloc[int(row)].get("mm_slice", np.nan))
    flat = orientation.display_planes(where, 2, side)[0]
    return Scan(rows, _planes_of_slices(flat, thick))


def _planes_of_slices(flat: DisplayPlane, thick: float) -> list[DisplayPlane]:
    """Return the planes of a stack of pictures hung as `flat`, `thick` mm apart (NaN = unknown); on
    which side of the body the first lies is not known, so it is drawn at the top.
    """
    down, across = (1 + axis for axis in flat.order)
    mm = None if flat.mm is None or not thick > 0 else (thick, *flat.mm)
    ends = flat.edges
    sides = {k: ends[k] for k in ("left", "right") if k in ends}
    heights = {"left": ends["top"], "right": ends["bottom"]} if ends else {}
    names = [ALONG[ends[k]] for k in ("bottom", "right")] if ends else UNKNOWN[1:]
    axes = (0, down, across)

    def plane(name: str, order: tuple[int, ...], flip: tuple[bool, bool], edges: Any) -> Any:
        sizes = None if mm is None else tuple(mm[axes.index(i)] for i in order)
        return DisplayPlane(name, order, flip, edges, sizes)

    return [
        plane(flat.plane, axes, flat.flip, ends),
        plane(names[0], (down, 0, across), (False, flat.flip[1]), sides),
        plane(names[1], (across, 0, down), (False, flat.flip[0]), heights),
    ]


def project(values: np.ndarray, at: DisplayPlane) -> np.ndarray:
    """Return the highest of `values` [D,H,W] along the lines through plane `at`, as it hangs."""
    return orientation.orient(values.max(at.order[0]), at)


def draw_projection(
    flat: np.ndarray,
    at: DisplayPlane,
    side: int,
    outlines: list[tuple[np.ndarray, tuple[int, int, int], int]],
    colours: np.ndarray | None = None,
) -> np.ndarray:
    """Return a projection [h,w] as uint8 [h',w',3], at least `side` pixels on its longer side, with
    letters at its edges where they are known.

    `outlines`: (bool [D,H,W], colour, width in pixels), later ones over earlier; `colours` uint8
    [256,3] in place of grey. Black and white are the 1st and the 99.8th percentile of this picture.
    """
    low, high = np.percentile(flat, PERCENT)
    share = (np.clip((flat - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)
    picture = np.repeat(share[..., None], 3, 2) if colours is None else colours[share]
    made = render.enlarge(picture, side)
    for mask, colour, width in outlines:
        if mask.any():
            made = render.draw_outline(made, project(mask, at), colour, width)
    made = orientation.make_pixels_square(made, at)
    return render.draw_edges(made, at)
