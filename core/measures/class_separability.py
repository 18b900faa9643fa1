"""How clearly an embedding falls into separate groups, without labels: the 0-th persistent homology
of its points.

The finite death times of H0 in the Vietoris-Rips filtration are the edge lengths of the Euclidean
minimum spanning tree. Divided by the largest, many tiny and few large ones mean tight groups with
gaps: S = 1 - mean(p / max p), in [0, 1), higher = more separable. (Leaving the 2 % longest out as
outliers follows the labels better on ten classes and worse on two, whose only gap is then left out:
measured, and not done.) Coordinates are brought to unit length. Computed on five draws of at most
300 rows, since S grows with n. Cost: O(n²) a draw.

Reference: Gourgoulias, Ghalyan, Labonne, Satsangi, Moran, Sabelja, Estimating class separability of
text embeddings with persistent homology, arXiv 2305.15016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Embedding, Metric
from core.measure import Measure

if TYPE_CHECKING:
    from core.data.dataset import Dataset

ROWS, DRAWS = 300, 5


def deaths(z: np.ndarray) -> np.ndarray:
    """float64 [n-1], sorted: death times of the connected components of points z [n,d] = edges of
    their minimum spanning tree.
    """
    from scipy.spatial.distance import pdist, squareform

    distance, n = squareform(pdist(np.asarray(z, np.float64))), len(z)
    near, inside, found = distance[0].copy(), np.zeros(n, bool), np.empty(n - 1)
    inside[0] = True
    near[0] = np.inf
    # Prim; scipy's tree takes a zero distance for a missing edge, and copies of a case are at
    # distance zero
    for i in range(n - 1):
        j = int(near.argmin())
        found[i] = near[j]
        inside[j] = True
        near = np.where(inside, np.inf, np.minimum(near, distance[j]))
    return np.sort(found)


def score(z: np.ndarray) -> float:
    """S of points z [n,d] at unit length; 0 where all fall together."""
    z = np.asarray(z, np.float64)
    p = deaths(z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12))
    return 0.0 if p[-1] < 1e-9 else float(1 - (p / p[-1]).mean())


def fisher(z: np.ndarray, y: np.ndarray) -> float:
    """Fisher's ratio tr(S_B) / tr(S_W) of points [n,d] at unit length with classes y; NaN for fewer
    than two classes.
    """
    z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    classes = np.unique(y)
    if len(classes) < 2:
        return float("nan")
    middle = np.stack([z[y == c].mean(0) for c in classes])
    size = np.array([(y == c).sum() for c in classes])
    within = sum(np.square(z[y == c] - m).sum() for c, m in zip(classes, middle))
    return float((size * np.square(middle - z.mean(0)).sum(1)).sum() / max(within, 1e-12))


class ClassSeparability(Measure):
    id = "class_separability"
    title = "Separability without labels"
    seed_number = 75
    takes = (Embedding,)
    along_training = True
    help = (
        "Whether the cases fall into tight groups with gaps between them, read from the lengths of"
        " the shortest tree that joins them. Higher is more separate. It sees gaps, not overlap,"
        " and grows with the number of cases: compare runs on the same data only."
    )

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        return "there are fewer than 20 rows" if len(artifacts[0].rows) < 20 else None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (embedding,) = artifacts
        assert isinstance(embedding, Embedding)
        z, y = np.asarray(embedding.z, np.float64), data.of(embedding.rows).labels
        n = min(ROWS, len(z))
        draws = [rng.choice(len(z), n, replace=False) for _ in range(DRAWS if n < len(z) else 1)]
        values = [score(z[at]) for at in draws]
        low, high = (float(min(values)), float(max(values))) if len(values) > 1 else (None, None)
        note = (
            f"{len(draws)} draws of {n} cases; least and largest"
            if len(draws) > 1
            else f"all {n} cases"
        )
        found = [
            Metric(
                self.title.lower(), float(np.mean(values)), low, high, n=n, note=note, kind="range"
            )
        ]
        known = draws[0][y[draws[0]] >= 0]
        ratio = fisher(z[known], y[known])
        if ratio == ratio:
            found.append(
                Metric(
                    "Fisher ratio (with labels)",
                    ratio,
                    n=len(known),
                    note="between over within classes",
                )
            )
        return found
