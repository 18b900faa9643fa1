"""Parameters of the method “Batch conformal prediction sets”."""

from __future__ import annotations

from typing import Literal

from core.params import BaseParams, param


class BatchPIParams(BaseParams):
    """What a user sets."""

    batch: int = param(
        20, "How many new cases make a batch (a clinic's next patients).", ge=1, le=100
    )
    share: float = param(
        0.9, "At least this share of a batch's sets shall hold the truth.", gt=0.05, lt=1
    )
    certainty: float = param(
        0.9, "In at least this share of all batches the guarantee shall hold.", gt=0.05, lt=1
    )
    by: str = param(
        "",
        "A column of groups (hospital, ward), each calibrated by itself, whose share of each"
        " class is bounded; empty takes the site, or batches in turn.",
        column=True,
    )
    bound: Literal["counts above ranks", "rank sum"] = param(
        "counts above ranks", "How shares of a class are bounded; both hold.", advanced=True
    )
