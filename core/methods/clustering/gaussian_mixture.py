"""Gaussian mixture: groups as overlapping clouds, so that each case gets a probability for every
group.

Objective
    Maximise the likelihood of sum_j w_j N(z; m_j, S_j) by expectation maximisation; k is given, or
    the one with the lowest BIC among 1..12, so that “one group, no structure” can win.

Cost
    O(n k d^2) a pass with full covariances; above 32 latent dimensions diagonal ones are used.

Differences from the paper
    None; scikit-learn computes it.

Reference
    Dempster, Laird, Rubin, Maximum likelihood from incomplete data via the EM algorithm, JRSS B
    1977; Schwarz, Annals of Statistics 1978.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.methods.clustering._on_embedding import OnEmbedding
from core.params import BaseParams, param

if TYPE_CHECKING:
    from core.training.run import Run


class GaussianMixture(OnEmbedding):
    id = "gaussian_mixture"
    title = "Gaussian mixture clusters"
    tiny = {"k": 3}
    presets = {"fast": {"k": 0}, "standard": {"k": 0}, "thorough": {"k": 0}}

    class Params(BaseParams):
        k: int = param(
            0,
            "Number of clusters; 0 lets the Bayesian information criterion choose, one group"
            " included.",
            ge=0,
            le=200,
        )

    def learn(self, z: np.ndarray, run: Run) -> None:
        from sklearn.mixture import GaussianMixture as Mixture

        kind = "full" if z.shape[1] <= 32 and len(z) > 10 * z.shape[1] else "diag"
        ks = [self.params.k] if self.params.k else range(1, min(12, len(z) // 3) + 1)
        fits = []
        for k in ks:
            run.check()
            fits.append(
                Mixture(
                    min(k, len(z)),
                    covariance_type=kind,
                    reg_covar=1e-5,
                    random_state=run.seed,
                    n_init=1,
                ).fit(z)
            )
        scores = [f.bic(z) for f in fits]
        if len(fits) > 1:
            self.curve_ = {"k": [float(k) for k in ks], "BIC": [float(s) for s in scores]}
        best = fits[int(np.argmin(scores))]
        self.weights_, self.means_, self.covariances_ = (
            best.weights_,
            best.means_,
            best.covariances_,
        )
        self.precisions_, self.kind_ = best.precisions_cholesky_, kind

    @property
    def mixture(self) -> Any:
        """scikit-learn's mixture, as it was fitted."""
        from sklearn.mixture import GaussianMixture as Mixture

        mixture = Mixture(len(self.weights_), covariance_type=self.kind_)
        mixture.weights_, mixture.means_, mixture.covariances_ = (
            self.weights_,
            self.means_,
            self.covariances_,
        )
        mixture.precisions_cholesky_ = self.precisions_
        return mixture

    def assign(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        prob = self.mixture.predict_proba(z)
        return prob.argmax(1), prob
