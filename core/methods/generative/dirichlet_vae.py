"""Dirichlet variational autoencoder: every case is a mixture of a few shared ingredients, which can
be turned one at a time.

Objective
    R(x, x') + beta * KL(Dir(alpha) || Dir(a0)), alpha = softplus(head), the exact closed form, in
    the direction of the evidence bound; the joint classifier works on the mean alpha / sum(alpha).

Cost
    As the Gaussian one; sampling from gamma distributions adds about a fifth.

Differences from the paper
    As for the Gaussian one. The released code computes the divergence in the reverse direction,
    KL(Dir(a0) || Dir(alpha)); here that is the option “reverse”, and the bound's own direction the
    default. The classifier reads the mean of the mixture, not the raw logits.

Reference
    Keel, Quyn, Jayne, Relton, Variational autoencoders for feature exploration and malignancy
    prediction of lung lesions, BMVC 2023; Joo, Lee, Park, Moon, Dirichlet variational autoencoder,
    Pattern Recognition 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from core.artifacts import AnomalyMaps, Embedding, Images, Model, Predictions
from core.methods.generative._vae import PRESETS, VAE, VAEParams
from core.params import param

if TYPE_CHECKING:
    import numpy as np
    import torch

    from core.data.dataset import Dataset


class DirichletVAE(VAE):
    id = "dirichlet_vae"
    title = "Dirichlet variational autoencoder"
    seed_number = 44
    gives = (Model, Embedding, Images, AnomalyMaps, Predictions)
    tiny = {"epochs": 2, "latent": 4, "width": 4, "batch_size": 16}
    presets = PRESETS
    least_steps = 500

    class Params(VAEParams):
        beta: float = param(1.0, "Weight of the prior over mixtures.", ge=0, le=100)
        prior: float = param(
            0.9,
            "Concentration of the prior; below 1 prefers few ingredients per case.",
            gt=0.01,
            le=10,
        )
        divergence: Literal["forward", "reverse"] = param(
            "forward",
            "forward: the evidence bound's; reverse: as in the released code.",
            advanced=True,
        )

    def make_net(self) -> torch.nn.Module:
        from core.nets import vae

        p, classes = self.params, len(self.class_names_)
        return vae.DirichletVAE(self.shape_, p.width, p.latent, classes)

    def loss_of(self, out: Any) -> torch.Tensor:
        import torch

        from core.nets.losses.elbo import dirichlet_kl

        alpha = out[2].float()
        prior = torch.full_like(alpha, self.params.prior)
        return (
            dirichlet_kl(alpha, prior)
            if self.params.divergence == "forward"
            else dirichlet_kl(prior, alpha)
        )

    def latent(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        alpha = self.net_.alpha(self.scale_(x))
        total = alpha.sum(1, keepdim=True)
        mean = alpha / total
        return mean, (mean * (1 - mean) / (total + 1)).sqrt()

    def embedding(self, data: Dataset, z: np.ndarray, spread: np.ndarray) -> Embedding:
        names = [f"ingredient {j + 1}" for j in range(z.shape[1])]
        return Embedding(
            rows=data.rows, name="latent", z=z, std=spread, geometry="simplex", axes=names
        )
