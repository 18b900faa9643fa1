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
