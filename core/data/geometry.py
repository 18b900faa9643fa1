"""Where a picture or volume lies in the body, and how large its pixels are: columns of the table, alike for every reader and every view.

`axes` holds, for each spatial axis of the stored sample in order, the letter of the body side toward which its index grows: two letters for a
picture (down, across), three for a volume (slice, down, across), of R L (right, left), A P (front, back), H F (head, feet). "PL" is an axial picture
as radiologists hang it: rows grow toward the back, columns toward the patient's left, so the left edge of the picture is the patient's right.
Missing or "" = unknown, which is said on screen and never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.data.dataset import Dataset

OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "H": "F", "F": "H"}


@dataclass(frozen=True)
class Geometry:
    """`axes`: see above, "" = unknown. `mm`: millimetres from one sample point to the next, one an axis as in `axes`; None = unknown.

    `oblique`: degrees by which the axes lean away from their letters (0 = along the body). `unit`: of the stored values, "HU", "SUV" or "".
    """

    axes: str = ""
    mm: tuple[float, ...] | None = None
    oblique: float = 0.0
    unit: str = ""

    @property
    def edges(self) -> dict[str, str]:
        """Letters at the "left", "right", "top" and "bottom" of a picture (of a volume: of its slices); {} when unknown."""
        if len(self.axes) < 2:
            return {}
        down, across = self.axes[-2], self.axes[-1]
        return {"left": OPPOSITE[across], "right": across, "top": OPPOSITE[down], "bottom": down}


def geometry(data: Dataset, row: int) -> Geometry:
    """The geometry of row id `row`, from the columns `axes`, `mm_slice`, `mm_down`, `mm_across`, `oblique_deg` and the card's `unit`."""
    facts = data.table.iloc[int(row)]
    axes = facts.get("axes")
    axes = axes if isinstance(axes, str) and len(axes) in (2, 3) and set(axes) <= set(OPPOSITE) else ""
    names = ("mm_slice", "mm_down", "mm_across")[3 - max(0, len(data.shape) - 1) :] if data.modality in ("image", "volume") else ()
    mm = [float(facts.get(n, np.nan)) for n in names]
    known = bool(mm) and all(np.isfinite(v) and v > 0 for v in mm)
    lean = float(facts.get("oblique_deg", 0.0))
    return Geometry(axes, tuple(mm) if known else None, lean if np.isfinite(lean) else 0.0, str(data.card.get("unit", "")))
