"""k-means: parts the cases into round groups around centres, in the latent space of an earlier run.

Objective
    Minimise the sum of squared distances to the nearest of k centres; k is given, or the one with
    the best silhouette among 2..20.

Cost
    O(n k d) a pass; choosing k repeats it 19 times on at most 2,000 cases.

Differences from the paper
    None; scikit-learn computes it (k-means++, 10 starts).

Reference
    Lloyd, Least squares quantization in PCM, IEEE Trans. Inf. Theory 1982; Arthur, Vassilvitskii,
    k-means++, SODA 2007.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.method import DemoRun
from core.methods.clustering._on_embedding import OnEmbedding, best_k
from core.params import BaseParams, param

if TYPE_CHECKING:
    from core.training.run import Run


class KMeans(OnEmbedding):
    id = "kmeans"
    title = "k-means clusters"
    tiny = {"k": 3}
    presets = {"fast": {"k": 0}, "standard": {"k": 0}, "thorough": {"k": 0}}
    suggested_for = {"clusters": 1}
    demo = (DemoRun("digits", 4),)

    class Params(BaseParams):
        k: int = param(
            0,
            "Number of clusters; 0 chooses the number whose clusters are best separated.",
            ge=0,
            le=500,
        )

    def learn(self, z: np.ndarray, run: Run) -> None:
        from sklearn.cluster import KMeans as Lloyd

        k = self.params.k
        if k == 0:
            k, self.curve_ = best_k(
                z,
                lambda x, j: Lloyd(j, n_init=3, random_state=run.seed).fit_predict(x),
                20,
                run.rng,
                run.check,
            )
        self.centres_ = (
            Lloyd(min(k, len(z)), n_init=10, random_state=run.seed).fit(z).cluster_centers_
        )

    def assign(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        from scipy.spatial.distance import cdist

        return cdist(z, self.centres_).argmin(1), None
