"""Hot areas of a case: connected parts of its heat map above a threshold, with size and place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.data.geometry import Geometry
from core.imaging import orientation

MOST = 20  # areas described of a case


@dataclass(frozen=True)
class Component:
    """One connected area: `pixels` it has, `size` in `unit` ("mm²" of pictures, "ml" of volumes;
    None where the size of pixels is not known), highest and mean heat, `peak_at` the indices of the
    highest along the stored axes, and `place`, where in the displayed picture, in words.
    """

    pixels: int
    size: float | None
    unit: str
    peak: float
    mean: float
    peak_at: tuple[int, ...]
    place: str


def find_components(
    heat: np.ndarray, above: np.ndarray, where: Geometry, side: str = "radiological"
) -> list[Component]:
    """Return the connected areas (diagonal neighbours count) of bool `above` [H,W] or [D,H,W],
    largest first, at most 20.

    Parameters: `heat`, float like `above`; `where`, how the case lies in space; `side`, from which
    it is seen, for the words of the place.
    """
    from scipy.ndimage import find_objects, label

    number, many = label(above, np.ones((3,) * above.ndim, int))
    if not many:
        return []
    size = np.bincount(number.ravel(), minlength=many + 1)
    order = [int(j) for j in np.argsort(-size[1:], kind="stable")[:MOST] + 1]
    boxes = find_objects(number)
    plane = orientation.display_planes(where, above.ndim, side)[0]
    each = None if where.mm is None else float(np.prod(where.mm[-above.ndim :]))
    flat = above.ndim == 2
    found = []
    for j in order:
        box = boxes[j - 1]
        inside = number[box] == j
        values = np.where(inside, heat[box], -np.inf)
        offset = np.unravel_index(int(values.argmax()), values.shape)
        peak_at = tuple(int(s.start + o) for s, o in zip(box, offset, strict=True))
        found.append(
            Component(
                int(size[j]),
                None if each is None else float(size[j]) * each / (1 if flat else 1000),
                "mm²" if flat else "ml",
                float(values.max()),
                float(heat[box][inside].mean()),
                peak_at,
                _place(above.shape, peak_at, plane),
            )
        )
    return found


def _place(
    shape: tuple[int, ...], peak_at: tuple[int, ...], plane: orientation.DisplayPlane
) -> str:
    """Where a point lies in the picture as it is displayed: thirds of it, with the letters of its
    edges where the axes are known.
    """
    mark = np.zeros(shape, bool)
    mark[peak_at] = True
    slice_ = ""
    if len(shape) == 3:
        k = peak_at[plane.order[0]]
        mark = np.take(mark, k, plane.order[0])
        slice_ = f"slice {k + 1}, "
    row, column = (int(v[0]) for v in np.nonzero(orientation.orient(mark, plane)))
    height, width = orientation.orient(mark, plane).shape
    words = []
    for at, long, names, edges in (
        (row, height, ("upper", "middle", "lower"), ("top", "bottom")),
        (column, width, ("left", "centre", "right"), ("left", "right")),
    ):
        third = min(2, 3 * at // long)
        letter = plane.edges.get(edges[third // 2], "") if third != 1 else ""
        words.append(names[third] + (f" ({letter})" if letter else ""))
    return slice_ + " ".join(words)
