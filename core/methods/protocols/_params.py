"""Parameters of the method “Domain adaptation benchmark (SKADA-bench)”."""

from __future__ import annotations

from typing import Literal

from core.methods.protocols._names import BLIND, CONTESTING
from core.params import BaseParams, param


class SkadaBenchParams(BaseParams):
    """What a user sets."""

    shifts: Literal["pairs", "leave one out"] = param(
        "pairs",
        "From each site to each other one, or from all other sites together to each one.",
    )
    scorer: Literal[BLIND] = param(  # type: ignore[valid-type]
        BLIND[0], "What chooses settings and contestant without the new site's labels."
    )
    measure: Literal["accuracy", "balanced accuracy"] = param(
        "accuracy", "What is counted on the new site's held-out rows."
    )
    contestants: str = param(
        "",
        f"Which to compare, with commas between; empty takes all ({', '.join(CONTESTING[1:-1])}).",
    )
    splits: int = param(3, "Outer splits of every shift.", ge=1, le=50)
    inner: int = param(3, "Inner splits in which settings are chosen.", ge=1, le=50, advanced=True)
    grid: Literal["small", "full"] = param(
        "small", "How many settings of each contestant are tried.", advanced=True
    )
