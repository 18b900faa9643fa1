"""What was outlined in slices or volumes, one by one, with sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from core.artifacts.base import Array, Artifact


@dataclass(kw_only=True)
class Lesions(Artifact):
    """`mask [n,*spatial]` int32 holds the number of the lesion at each pixel, 0 = none, from 1
    within a volume, scan or picture; a lesion may reach over several slices.

    `table` has a line for each lesion: its `number`, `row` and `place` (indices of the last axes of
    `mask`, of volumes slice first) where `largest`, its highest heat in `unit`, lies; `mean` heat;
    `ml`, its volume, None where the size of pixels is not known; `slices` and `pixels` it takes;
    `residual`, the largest departure from what is healthy, and `mean residual`, in
    `residual_unit`. `twin` names the Images of the same run that show the cases as they would be
    without lesions, "" where there are none. They are proposals: whether one is a lesion a person
    decides.
    """

    mask: Array
    table: list[dict[str, Any]] = field(default_factory=list)
    unit: str = ""
    residual_unit: str = ""
    twin: str = ""

    per_row = ("mask",)

    def validate(self) -> None:
        super().validate()
        if self.mask.dtype.kind != "i":
            raise ValueError(f"Lesions.mask must be whole numbers, got {self.mask.dtype}")

    def summary(self) -> str:
        cases = len({line["row"] for line in self.table})
        return f"{len(self.table)} proposed lesions in {cases} of {len(self.rows)} cases"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        mask = np.zeros((n, 16, 16), np.int32)
        mask[0, 4:8, 5:9] = 1
        line = {"number": 1, "row": 0, "place": [5, 6], "slices": 1, "pixels": 16, "ml": 0.1}
        values = {"largest": 6.0, "mean": 4.0, "residual": 0.4, "mean residual": 0.3}
        return cls(rows=np.arange(n), mask=mask, table=[line | values])
