"""Variational sparse autoencoder: sparse features whose codes are drawn around their mean while
training.

Objective
    mu = ReLU(W_e (x - b) + b_e); z = mu + sigma eps while training, mu afterwards; the k entries
    largest in |z| stay. Loss: squared error + c KL with KL(N(mu, sigma²) || N(0, 1)) summed over
    all features, warmed up over a tenth of the steps, + the auxiliary loss for features that are
    never on.

Cost
    As the plain one: O(n d m) an epoch on latent coordinates.

Differences from the paper
    The authors' fixed-variance code draws nothing, so that its KL is a plain penalty on the codes;
    here sampling with spread 1 is one choice, a learned spread (the default) and no sampling are
    the others. Small embeddings instead of a language model's.

Reference
    Analysis of variational sparse autoencoders, 2025. Its finding, and ours: reconstruction is
    worse than with TopK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from core.methods.concepts._params import SAEParams
from core.methods.concepts._sae import SAE
from core.params import param

if TYPE_CHECKING:
    import torch


class VariationalSAE(SAE):
    id = "variational_sae"
    title = "Sparse autoencoder (variational)"
    seed_number = 77
    presets = {"fast": {"epochs": 100}, "standard": {"epochs": 300}, "thorough": {"epochs": 1000}}

    class Params(SAEParams):
        kl_weight: float = param(0.01, "Weight of the KL term, c in the paper.", ge=0, le=1000)
        spread: Literal["learned", "one", "none"] = param(
            "learned", "How wide codes are drawn while training; none: not at all.", advanced=True
        )

    def make_net(self) -> torch.nn.Module:
        from core.nets.coder import SparseCoder

        return SparseCoder(
            self.d_, self.size_, min(self.params.k, self.size_), "variational", self.params.spread
        )

    def extra(self, codes: torch.Tensor, kl: torch.Tensor, share: float) -> torch.Tensor:
        return self.params.kl_weight * min(1.0, 10 * share) * kl.mean()
