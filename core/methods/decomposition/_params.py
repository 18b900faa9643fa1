"""Parameters of the method “Principal components”."""

from __future__ import annotations

from typing import Literal

from core.params import BaseParams, param


class PCAParams(BaseParams):
    """What a user sets."""

    dimensions: int = param(
        16,
        "How many directions to keep. Fewer than asked are kept when the data has fewer.",
        ge=1,
        le=1024,
    )
    variance: float = param(
        0.95,
        "No more directions are kept than explain this share of the training cases' variance,"
        " so that something is left over to score a case by. Where the columns have nothing in"
        " common all are kept, and there is no score. 1 keeps as many as asked.",
        ge=0.1,
        le=1,
        only="table",
    )
    volumes: Literal["slice by slice", "whole (3-D)"] = param(
        "whole (3-D)",
        "How volumes are taken. Slice by slice there is something to learn from few of them.",
        only="volume",
    )
