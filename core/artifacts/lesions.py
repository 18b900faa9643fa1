"""What was outlined in slices or volumes, one by one, with sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from core.artifacts.base import Array, Artifact


@dataclass(kw_only=True)
class Lesions(Artifact):
    """`mask [n,*spatial]` int32 holds the number of the lesion at each pixel, 0 = none, from 1
    within a volume, scan or picture; a lesion may reach over several slices.

    `table[i]` has a line for each lesion whose heat is highest in row i: its `number` and `place`
    (indices of the last axes of `mask`, of volumes slice first) where `largest`, its highest heat
    in `unit`, lies; `mean` heat; `ml`, its volume, None where the size of pixels is not known;
    `slices` and `pixels` it takes; `residual`, the largest departure from what is healthy, and
    `mean residual`, in `residual_unit`. `twin` names the Images of the same run that show the cases
    as they would be without lesions, "" where there are none. They are proposals: whether one is a
    lesion a person decides.
    """

    mask: Array
    table: list[list[dict[str, Any]]]
    unit: str = ""
    residual_unit: str = ""
    twin: str = ""

    per_row = ("mask",)
    lists = ("table",)

    def validate(self) -> None:
        super().validate()
        if self.mask.dtype.kind != "i":
            raise ValueError(f"Lesions.mask must be whole numbers, got {self.mask.dtype}")
        if len(self.table) != len(self.rows):
            raise ValueError(
                f"Lesions.table has {len(self.table)} entries for {len(self.rows)} rows"
            )

    def summary(self) -> str:
        many = [len(lines) for lines in self.table]
        cases = sum(n > 0 for n in many)
        return f"{sum(many)} proposed lesions in {cases} of {len(self.rows)} cases"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        mask = np.zeros((n, 16, 16), np.int32)
        mask[0, 4:8, 5:9] = 1
        line = {"number": 1, "place": [5, 6], "slices": 1, "pixels": 16, "ml": 0.1}
        values = {"largest": 6.0, "mean": 4.0, "residual": 0.4, "mean residual": 0.3}
        return cls(
            rows=np.arange(n), mask=mask, table=[[line | values], *([] for _ in range(n - 1))]
        )
