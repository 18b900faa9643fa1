"""What methods share that score a case by how badly they redraw it."""

from __future__ import annotations

import numpy as np

from core.artifacts import AnomalyMaps
from core.data.dataset import Dataset
from core.stats.calibration import validation_threshold


def make_anomaly_maps(
    data: Dataset, score: np.ndarray, maps: np.ndarray | None, unit: str, cases: str = "cases"
) -> AnomalyMaps:
    """Scores float32 [n] of the rows of `data`, with `maps` [n,*spatial] where there are any, and
    the threshold below which 95 % of the validation cases lie.
    """
    threshold, rule = (
        validation_threshold(score, data.splits),
        f"95 % of validation {cases} lie below",
    )
    if threshold is not None and not score[data.splits == "val"].any():
        rule = "every validation case scores 0"
    return AnomalyMaps(
        rows=data.rows, score=score, map=maps, threshold=threshold, rule=rule, unit=unit
    )
