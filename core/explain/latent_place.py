"""What puts a case where it lies on a map, through the model: by latent axes, and in the input.

A map that was laid out by its neighbours has no formula from latent space to places. Around a case
a linear surrogate stands for it, as in `map_place`, of the latent coordinates in place of the
columns; of a map by principal components it is the map itself. Where it foretells the places of
cases left out (the same bounds as there), its slope times the model's own tells what in the input
puts the case there: `Way` is how far along the line from the middle of its surroundings to its
place an input would lie, in shares of the map, which the ways of attribution explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.columns import format_distinct
from core.errors import UserError
from core.explain.map_place import (
    ALPHAS,
    Place,
    Surroundings,
    find_pushes,
    find_surroundings,
    measure_fit,
    why_not_told,
)

if TYPE_CHECKING:
    from core.artifacts import Embedding, Map
    from core.data.dataset import Dataset

WHAT = "The latent space of these cases"


@dataclass(frozen=True)
class Way:
    """A line through latent space: coordinates z [d] lie at `(z - middle) @ slope` on it, 0 in the
    middle of the surroundings, in shares of the map. `row`: the case it leads to.
    """

    row: int
    middle: np.ndarray
    slope: np.ndarray


def explain_by_axes(
    made: Map, embedding: Embedding, data: Dataset, row: int, top: int = 6
) -> Place:
    """Return what puts the case `row` where it lies on the map `made` of `embedding`, by its `top`
    latent axes.
    """
    around = find_surroundings(made, data, row)
    if isinstance(around, Place):
        return around
    z, x = _coordinates(embedding, around)
    fit, low, high = measure_fit(x, around)
    if (why := why_not_told(fit, low, WHAT)) is not None:
        return Place([], fit, low, high, around.many, why)
    told = []
    for j in range(z.shape[1]):
        own, usual = format_distinct(float(z[0, j]), float(z[:, j].mean()))
        name = embedding.axes[j] if embedding.axes else f"axis {j + 1}"
        told.append((name, [j], own, usual))
    return Place(find_pushes(x, around, told, top), fit, low, high, around.many)


def find_way(made: Map, embedding: Embedding, data: Dataset, row: int) -> Way:
    """Return the line from the middle of the surroundings of a case to its place. UserError where
    the latent space does not foretell places around it.
    """
    from sklearn.linear_model import RidgeCV

    around = find_surroundings(made, data, row)
    if isinstance(around, Place):
        raise UserError(around.why)
    z, x = _coordinates(embedding, around)
    fit, low, _ = measure_fit(x, around)
    if (why := why_not_told(fit, low, WHAT)) is not None:
        raise UserError(why)
    toward = around.xy[0] - around.xy.mean(0)
    toward = toward / max(float(np.hypot(*toward)), 1e-12)
    sd = np.where(z.std(0) > 0, z.std(0), np.inf)
    slope = (RidgeCV(ALPHAS).fit(x, around.xy).coef_.T @ toward) / sd
    return Way(int(row), z.mean(0).astype("f4"), slope.astype("f4"))


def _coordinates(embedding: Embedding, around: Surroundings) -> tuple[np.ndarray, np.ndarray]:
    """Latent coordinates [n,d] of the surroundings, of unit length where they go by cosine, and the
    same standardised.
    """
    at = embedding.at(around.part.rows)
    if len(at) < around.many:
        raise UserError("The map holds cases that the latent space lacks.")
    z = np.asarray(embedding.z, dtype=np.float64)[at]
    if embedding.metric == "cosine":
        z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    sd = z.std(0)
    return z, (z - z.mean(0)) / np.where(sd > 0, sd, 1.0)
