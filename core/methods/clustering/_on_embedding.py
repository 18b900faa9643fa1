"""What the clustering methods share: they work on the latent coordinates of an earlier run, fit on
its training rows, and name no one's class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Artifact, Clusters, Embedding
from core.method import Method, Takes
from core.methods._on_embedding import coordinates

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run

TAKES = Takes(
    ("image", "volume", "table", "text", "series"), on=("Embedding",), min_rows=5, trains=False
)


class OnEmbedding(Method):
    """Base: `learn(z)` on the training rows' coordinates [n,d], `assign(z)` gives (label [m] int64,
    prob [m,k] or None).
    """

    takes = TAKES
    gives = (Clusters,)

    def learn(self, z: np.ndarray, run: Run) -> None:
        raise NotImplementedError

    def assign(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        raise NotImplementedError

    def coordinates(self, data: Dataset, run: Run) -> tuple[np.ndarray, np.ndarray]:
        """(row ids, float64 coordinates) of the rows of `data` that the earlier run holds; unit
        length where its metric is cosine.
        """
        return coordinates(run.base(Embedding), data.rows)

    def fit(self, data: Dataset, run: Run) -> None:
        self.curve_: dict[str, list[float]] = {}
        self.learn(self.coordinates(data.part("train"), run)[1], run)
        run.report(0)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        rows, z = self.coordinates(data, run)
        label, prob = self.assign(z)
        yield Clusters(
            rows=rows,
            name="groups",
            label=label.astype(np.int64),
            prob=None if prob is None else prob.astype(np.float32),
            curve=self.curve_,
        )


def best_k(
    z: np.ndarray, fit: Any, most: int, rng: np.random.Generator, check: Any
) -> tuple[int, dict[str, list[float]]]:
    """Return the number of groups with the best mean silhouette over 2..most on at most 2,000 rows,
    and the curve.
    """
    from sklearn.metrics import silhouette_score

    some = z if len(z) <= 2000 else z[rng.choice(len(z), 2000, replace=False)]
    ks = list(range(2, min(most, len(some) - 1) + 1))
    scores = []
    for k in ks:
        check()
        label = fit(some, k)
        scores.append(float(silhouette_score(some, label)) if len(np.unique(label)) > 1 else -1.0)
    return ks[int(np.argmax(scores))], {"k": [float(k) for k in ks], "silhouette": scores}
