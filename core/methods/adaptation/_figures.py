"""What moving a model to another site did, in figures; and which models can be moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Grid, Metric, Model, Predictions
from core.evaluate import held_out
from core.stats.metrics import mean_metric
from core.stats.overlap import mask_overlap

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def say_why_not(on: dict[str, Artifact]) -> str | None:
    """Why the model of this earlier run cannot be moved; None when it can."""
    base = next(a for a in on.values() if isinstance(a, Model))
    dimensions = [
        a.prob.ndim for a in on.values() if isinstance(a, Predictions) and a.prob is not None
    ]
    if "predict" not in base.abilities or not dimensions or len(base.input_shape) != 3:
        return (
            f"That run’s model ({base.method}) produces no segmentation; choose a run of a"
            " method that does."
        )
    if not {4, 5} & set(dimensions):  # of pictures, or of volumes outlined slice by slice
        return (
            f"That run’s model ({base.method}) judges whole pictures and produces no"
            " segmentation; choose a run of a method that does."
        )
    if not any(key.endswith("running_mean") for key in base.state):
        return (
            f"That run’s model ({base.method}) has no batch normalisation, and its statistics"
            " are what this method moves."
        )
    return None


def shift_grid(rows: np.ndarray, shifts: list[np.ndarray]) -> Grid:
    """How far each layer's channels [C] lie apart between the sites, the most shifted first."""
    widest = max(len(s) for s in shifts)
    value = np.full((len(shifts), widest), np.nan, np.float32)
    for i, s in enumerate(shifts):
        value[i, : len(s)] = np.sort(s)[::-1]
    return Grid(
        rows=rows,
        name="shift",
        value=value,
        x=[str(j + 1) for j in range(widest)],
        y=[f"layer {i + 1}" for i in range(len(shifts))],
        x_title="channels, the most shifted first",
        y_title="layer",
        unit="shift between the sites, in standard deviations",
    )


def figures(data: Dataset, predictions: dict[str, Predictions]) -> list[Metric]:
    """Dice on held-out outlined pictures of the new site, and how much of a picture is
    outlined, for each model.
    """
    known = (
        data.take(np.flatnonzero(data.outlined))
        if data.masks is not None
        else data.take(np.arange(0))
    )
    found = [
        Metric(
            "share of the picture outlined",
            float(np.mean(np.concatenate([s.marked(r).mean((1, 2)) for r in chunks(data.rows)]))),
            group=name,
            n=len(data),
            higher_is_better=None,
        )
        for name, s in predictions.items()
    ]
    if not len(known):
        return found
    part, at = held_out(known, known.rows)
    shown = known.take(at)
    for name, s in predictions.items():
        dice = np.concatenate(
            [mask_overlap(s.marked(r), shown.of(r).mask())[0] for r in chunks(shown.rows)]
        )
        there = np.isfinite(dice)
        if there.any():
            marked = shown.take(np.flatnonzero(there))
            found.append(mean_metric("Dice", dice[there], marked, (0, 1), split=part, group=name))
    return found


def chunks(rows: np.ndarray, size: int = 64) -> list[np.ndarray]:
    """`rows` in pieces, since the masks of many cases at once would not fit."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]
