"""HDBSCAN: finds dense islands of any shape and leaves the cases between them in no group.

Objective
    The most persistent branches of the single-linkage tree on mutual reachability distance, with at
    least `smallest` cases each.

Cost
    O(n^2) at worst; seconds for 10,000 cases in few dimensions.

Differences from the paper
    None; scikit-learn computes it. It has no rule for new cases, so it is fitted on all rows at
    once (it uses no labels), and a case in no island stays in none.

Reference
    Campello, Moulavi, Sander, Density-based clustering based on hierarchical density estimates,
    PAKDD 2013.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Clusters
from core.method import Takes
from core.methods.clustering._on_embedding import TAKES, OnEmbedding
from core.params import BaseParams, param

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run


class HDBSCAN(OnEmbedding):
    id = "hdbscan"
    title = "HDBSCAN clusters"
    takes = Takes(TAKES.modalities, on=TAKES.on, min_rows=10, trains=False, deterministic=True)
    tiny = {"smallest": 5}
    presets = {"fast": {"smallest": 0}, "standard": {"smallest": 0}, "thorough": {"smallest": 0}}

    class Params(BaseParams):
        smallest: int = param(
            0,
            "Fewest cases an island must have; 0 takes one in a hundred, at least five.",
            ge=0,
            le=100_000,
        )

    def fit(self, data: Dataset, run: Run) -> None:
        from sklearn.cluster import HDBSCAN as Islands

        rows, z = self.coordinates(data, run)
        run.check()
        fitted = Islands(
            min_cluster_size=max(2, self.params.smallest or max(5, len(z) // 100)), copy=True
        ).fit(z)
        self.rows_, self.label_, self.strength_ = (
            rows,
            fitted.labels_.astype(np.int64),
            fitted.probabilities_.astype(np.float32),
        )
        run.report(0)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        order = np.argsort(self.rows_)
        at = order[np.searchsorted(self.rows_, data.rows, sorter=order).clip(0, len(order) - 1)]
        at = at[self.rows_[at] == data.rows]
        yield Clusters(rows=self.rows_[at], name="groups", label=self.label_[at])
