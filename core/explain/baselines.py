"""What an attribution compares a case with: the baseline, chosen by name and kept with the map.

Which baseline is right depends on the question (Sturmfels, Lundberg, Lee, Visualizing the impact of
feature attribution baselines, Distill 2020), so it is shown beside every map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Embedding
from core.data.normal import is_normal
from core.errors import UserError
from core.explain.normal_neighbours import (
    embed_grey_levels,
    embed_values,
    find_normal_neighbours,
)
from core.training.loader import in_order

if TYPE_CHECKING:
    from core.data.dataset import Dataset

BASELINES = {
    "mean": "the average training case",
    "zero": "a black picture (every value 0)",
    "blur": "a blurred copy of the case",
    "normal": "the most similar normal case",
    "other": "the most similar case of another class",
}
BLUR = 0.15  # standard deviation of the blur, as a share of the shorter side
TOGETHER = 256  # cases read in one go for the mean


def list_baselines(data: Dataset) -> dict[str, str]:
    """Return the baselines that this data offers: key -> title. A blur where there are places;
    other cases where classes are known, and not for volumes, which are taken slice by slice.
    """
    found = dict(BASELINES)
    if data.modality != "image":
        found["zero"] = "every value 0"
    if data.modality not in ("image", "series"):
        del found["blur"]
    if not data.normal or data.modality == "volume":
        del found["normal"]
    if len(np.unique(data.labels[data.labels >= 0])) < 2 or data.modality == "volume":
        del found["other"]
    return found


def check_baseline(data: Dataset, which: str) -> None:
    """UserError where `which` is no baseline of this data."""
    offered = list_baselines(data)
    if which not in offered:
        raise UserError(
            f"“{which}” cannot be the baseline for “{data.name}”; choose {', '.join(offered)}."
        )


def mean_input(data: Dataset) -> np.ndarray:
    """Mean input [*shape] in the type of inputs, missing values left out (0 where all are missing);
    read a block at a time.
    """
    import torch

    total, count = np.zeros(data.shape), np.zeros(data.shape)
    for x in in_order(data, torch.device("cpu"), TOGETHER):
        there = ~x.isnan()
        total += x.nan_to_num(0.0).double().sum(0).numpy()
        count += there.sum(0).numpy()
    return (total / np.maximum(count, 1)).astype(data.input_type)


def blurred(x: np.ndarray) -> np.ndarray:
    """Return inputs [n,C,*places] smoothed over their places by a Gaussian of `BLUR` of the shorter
    side.
    """
    from scipy.ndimage import gaussian_filter

    places = x.shape[2:]
    deviation = max(1.0, BLUR * min(places))
    return gaussian_filter(x, (0, 0, *[deviation] * len(places)), mode="nearest").astype(x.dtype)


def find_cases(data: Dataset, rows: np.ndarray, which: str, space: Embedding | None) -> np.ndarray:
    """Return for each of `rows` the id of the case it is compared with, int64: of the training part
    the nearest normal one, or the nearest of another class; by the run's latent `space`, or where
    it has none by grey levels (tables: by their columns). Never a case of the same patient.
    """
    space = space if space is not None else _plain_space(data)
    reference, groups = data.reference, None
    if data.groups is not None:
        known = dict(zip(data.rows.tolist(), data.groups))
        groups = np.array([known.get(int(r)) for r in space.rows], object)
    normal = reference.rows[is_normal(reference)] if which == "normal" else None
    label = dict(zip(data.rows.tolist(), data.labels.tolist()))
    found = []
    for row in np.asarray(rows).tolist():
        among = normal
        if among is None:
            own = reference.labels
            among = reference.rows[(own >= 0) & (own != label[row])]
        near = find_normal_neighbours(space, row, among, groups, 1).rows
        if not len(near):
            raise UserError(
                f"There is no {'normal case' if which == 'normal' else 'case of another class'}"
                f" among the training cases of “{data.name}” to compare row {row} with; choose"
                " another baseline."
            )
        found.append(int(near[0]))
    return np.asarray(found, np.int64)


def _plain_space(data: Dataset) -> Embedding:
    return embed_values(data) if data.modality == "table" else embed_grey_levels(data)


def starts(data: Dataset, x: Any, which: str, mean: Any, against: np.ndarray | None) -> Any:
    """Baselines [b,*shape] of the inputs `x` (torch, [b,*shape]); `mean` [1,*shape] fills what is
    missing, `against` [b] are row ids where other cases are the baseline.
    """
    import torch

    if which == "mean":
        return mean.expand_as(x)
    if which == "zero":
        return torch.zeros_like(x)
    if which == "blur":
        return torch.from_numpy(blurred(x.cpu().numpy())).to(x)
    assert against is not None
    base = torch.from_numpy(data.of(against).inputs()).to(x)
    return torch.where(base.isnan(), mean.expand_as(x), base)
