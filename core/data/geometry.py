"""Where a picture or volume lies in the body, and how large its pixels are: columns of the table,
alike for every reader and every view.

`axes` holds, for each spatial axis of the stored sample in order, the letter of the body side
toward which its index grows: two letters for a picture (down, across), three for a volume (slice,
down, across), of R L (right, left), A P (front, back), H F (head, feet). "PL" is an axial picture
as radiologists hang it: rows grow toward the back, columns toward the patient's left, so the left
edge of the picture is the patient's right. Missing or "" = unknown, which is said on screen and
never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from core.data.dataset import Dataset

OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "H": "F", "F": "H"}


@dataclass(frozen=True)
class Geometry:
    """`axes`: see above, "" = unknown. `mm`: millimetres from one sample point to the next, one an
    axis as in `axes`; None = unknown.

    `oblique`: degrees by which the axes lean away from their letters (0 = along the body). `unit`:
    of the stored values, "HU", "SUV" or "".
    """

    axes: str = ""
    mm: tuple[float, ...] | None = None
    oblique: float = 0.0
    unit: str = ""

    @property
    def edges(self) -> dict[str, str]:
        """Letters at the "left", "right", "top" and "bottom" of a picture (of a volume: of its
        slices); {} when unknown.
        """
        if len(self.axes) < 2:
            return {}
        down, across = self.axes[-2], self.axes[-1]
        return {"left": OPPOSITE[across], "right": across, "top": OPPOSITE[down], "bottom": down}


def case_geometry(data: Dataset, row: int) -> Geometry:
    """Return the geometry of row id `row`, from the columns `axes`, `mm_slice`, `mm_down`,
    `mm_across`, `oblique_deg` and the card's `unit`.
    """
    facts = data.table.iloc[int(row)]
    axes = facts.get("axes")
    axes = (
        axes if isinstance(axes, str) and len(axes) in (2, 3) and set(axes) <= set(OPPOSITE) else ""
    )
    names = (
        ("mm_slice", "mm_down", "mm_across")[3 - max(0, len(data.shape) - 1) :]
        if data.modality in ("image", "volume")
        else ()
    )
    mm = [float(facts.get(n, np.nan)) for n in names]
    known = bool(mm) and all(np.isfinite(v) and v > 0 for v in mm)
    lean = float(facts.get("oblique_deg", 0.0))
    return Geometry(
        axes,
        tuple(mm) if known else None,
        lean if np.isfinite(lean) else 0.0,
        str(data.card.get("unit", "")),
    )


def axis_letters(axes: np.ndarray) -> tuple[str, float]:
    """Letters and leaning (degrees) of axes [k,3], k = 2 or 3: the direction in which each index
    grows, in DICOM's coordinates (x to the patient's left, y to the back, z to the head). Each body
    axis is given once, to the axes it fits best. ("", nan) for anything that is no direction.
    """
    axes = np.asarray(axes, dtype=np.float64)
    length = np.linalg.norm(axes, axis=1)
    if not np.isfinite(axes).all() or not (length > 1e-6).all():
        return "", float("nan")
    unit = axes / length[:, None]
    lines = np.arange(len(unit))
    best = max(permutations(range(3), len(unit)), key=lambda p: np.abs(unit[lines, list(p)]).sum())
    along = unit[lines, list(best)]
    if (np.abs(along) < 1e-6).any():
        return "", float("nan")
    lean = float(np.degrees(np.arccos(np.clip(np.abs(along).min(), 0, 1))))
    return "".join(("RL", "AP", "FH")[a][int(v > 0)] for a, v in zip(best, along)), round(lean, 1)


def spacing_after_fit(
    mm: tuple[float, float], size: tuple[int, int], fitted: tuple[int, int]
) -> tuple[float, float]:
    """Millimetres a pixel down and across once a picture of `size` was fitted into `fitted` with
    its aspect kept (see `readers.image_decoding.resize`).
    """
    f = min(fitted[0] / size[0], fitted[1] / size[1])
    inner = [max(1, round(s * f)) for s in size] if size != fitted else size
    return mm[0] * size[0] / inner[0], mm[1] * size[1] / inner[1]
