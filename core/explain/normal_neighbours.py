"""The normal cases most like a case in the latent space of a run, and how far they are beside what
is usual among normal cases.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Embedding
from core.neighbours import prepared

if TYPE_CHECKING:
    from core.data.dataset import Dataset

SAMPLE = 300  # normal cases whose own nearest normal one tells what is usual
MOST = 20_000  # normal cases among which these are sought
PLACES = {1: 64, 2: 16, 3: 8}  # along each axis of a signal, a picture and a volume


@dataclass(frozen=True)
class NormalNeighbours:
    """`rows` int64 [k] of the nearest normal cases, near first, their `distance` float [k] in
    latent space (Euclidean; of unit vectors where the metric is cosine), and `usual`: the median
    distance of a normal case to its own nearest normal one, NaN where there are too few. `among`:
    how many normal cases were looked at.
    """

    rows: np.ndarray
    distance: np.ndarray
    usual: float
    among: int


def find_normal_neighbours(
    embedding: Embedding,
    row: int,
    normal: np.ndarray,
    groups: np.ndarray | None = None,
    k: int = 3,
) -> NormalNeighbours:
    """Return the `k` cases of row ids `normal` nearest to `row`; itself, and cases of the same
    patient where `groups` (object, aligned to `embedding.rows`) tells, are no neighbours.

    Cost: one pass over the normal cases, and for `usual` one for each of at most 300 of them.
    """
    own = embedding.at(np.array([row]))
    at = embedding.at(normal[np.isin(normal, embedding.rows)])
    none = NormalNeighbours(np.zeros(0, np.int64), np.zeros(0), float("nan"), 0)
    if not len(own) or not len(at):
        return none
    z = prepared(np.asarray(embedding.z), embedding.metric)
    unit = np.arange(len(embedding.rows)) if groups is None else _units(groups)
    at = at[unit[at] != unit[own[0]]]
    if not len(at):
        return none
    distance = np.sqrt(np.square(z[at] - z[own[0]]).sum(1))
    near = np.argsort(distance, kind="stable")[:k]
    return NormalNeighbours(
        embedding.rows[at[near]], distance[near].astype(float), _usual(z, at, unit), len(at)
    )


def _units(groups: np.ndarray) -> np.ndarray:
    from core.stats.bootstrap import units

    return units(len(groups), groups)


def _usual(z: np.ndarray, at: np.ndarray, unit: np.ndarray) -> float:
    """Median distance of normal cases to their nearest normal one of another patient."""
    among = at[:: max(1, len(at) // MOST)]
    some = at[:: max(1, len(at) // SAMPLE)][:SAMPLE]
    x, y = z[some].astype(np.float64), z[among].astype(np.float64)
    square = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
    square[unit[some][:, None] == unit[among]] = np.inf
    nearest = square.min(1)
    nearest = nearest[np.isfinite(nearest)]
    return float(np.sqrt(np.maximum(np.median(nearest), 0.0))) if len(nearest) else float("nan")


def embed_values(data: Dataset) -> Embedding:
    """Return the values of a table as coordinates float32 [n,d], for runs without a latent space:
    each column less its median and divided by its robust spread (interquartile range / 1.349, the
    standard deviation where that is 0) among training rows; missing values at the median. Columns
    that do not vary there count nothing: 0 throughout.
    """
    x = data.inputs().astype(np.float64)
    train = data.splits == "train"
    own = x[train] if train.any() else x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without any value
        middle = np.nanmedian(own, 0)
        low, high = np.nanpercentile(own, [25, 75], axis=0)
        deviation = np.nanstd(own, 0)
    spread = np.where(high > low, (high - low) / 1.349, deviation)
    varies = np.isfinite(spread) & (spread > 0)
    z = (x - middle) / np.where(varies, spread, 1) * varies
    z = np.nan_to_num(z, posinf=0, neginf=0)
    return Embedding(rows=data.rows, name="values", z=z.astype(np.float32))


def embed_grey_levels(data: Dataset) -> Embedding:
    """Return pictures, volumes or signals as coordinates float32 [n,d], for runs without a latent
    space: the mean of the input in each of 16 x 16 places of a picture, 8 x 8 x 8 of a volume, 64
    of a signal (fewer where there are fewer values), channel by channel. Like cases are those with
    like values at like places, whatever they show. ValueError for other data; cost: every case is
    read once.
    """
    shape = data.shape[1:]
    if data.modality not in ("image", "volume", "series") or len(shape) not in PLACES:
        raise ValueError(f"Cases of a {data.modality} have no places.")
    found: list[np.ndarray] = []
    for start in range(0, len(data), 256):
        x: np.ndarray = data.inputs(np.arange(start, min(start + 256, len(data)))).astype(
            np.float32
        )
        for axis, size in enumerate(shape, 2):
            first = np.arange(min(size, PLACES[len(shape)])) * size // min(size, PLACES[len(shape)])
            many = np.diff([*first, size]).astype(np.float32)
            total: np.ndarray = np.add.reduceat(np.nan_to_num(x), first, axis)
            x = total / many.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        found.append(x.reshape(len(x), -1))
    return Embedding(rows=data.rows, name="grey levels", z=np.concatenate(found))
