"""Gaussian variational autoencoder: a smooth latent space from which every case can be redrawn,
with a classifier on it where there are labels.

Objective
    R(x, x') + beta * KL(N(mu, sd^2) || N(0, 1)), R the Gaussian log-likelihood with variance 0.01
    for pictures; for the last third of the epochs, where there are labels, cross-entropy of a
    classifier on mu is added, while the step size falls to 0, half of it on average (the paper’s
    joint variant).

Cost
    O(epochs n w^2 pixels) time; memory one batch. About one minute for 2,400 pictures of 28x28 on
    two processor cores.

Differences from the paper
    Fewer channels, the number of halvings follows the picture's size; squared error in place of L1
    and SSIM; no capacity annealing; one optimiser holds autoencoder and classifier; Gaussian noise
    variance fixed rather than tuned.

Reference
    Keel, Quyn, Jayne, Relton, Variational autoencoders for feature exploration and malignancy
    prediction of lung lesions, BMVC 2023; Kingma, Welling, Auto-encoding variational Bayes, ICLR
    2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.artifacts import AnomalyMaps, Embedding, Images, Model, Predictions
from core.method import DemoRun
from core.methods.generative._vae import PRESETS, VAE, VAEParams
from core.params import param

if TYPE_CHECKING:
    import numpy as np
    import torch

    from core.data.dataset import Dataset


class GaussianVAE(VAE):
    id = "gaussian_vae"
    title = "Variational autoencoder"
    seed_number = 44
    gives = (Model, Embedding, Images, AnomalyMaps, Predictions)
    shares_batches = True
    tiny = {"epochs": 2, "latent": 4, "width": 4, "batch_size": 16}
    presets = PRESETS
    suggested_for = {"map": 2, "unusual": 2}
    demo = (DemoRun("digits", 5, "fast"), DemoRun("head-phantom", 6, "fast"))
    least_steps = 500

    class Params(VAEParams):
        beta: float = param(
            1.0,
            "Weight of keeping the latent space tidy; larger: smoother, blurrier.",
            ge=0,
            le=100,
        )

    def make_net(self) -> torch.nn.Module:
        from core.nets import vae

        p, classes = self.params, len(self.class_names_)
        return vae.GaussianVAE(self.shape_, p.width, p.latent, classes)

    def loss_of(self, out: Any) -> torch.Tensor:
        from core.nets.losses.elbo import gaussian_kl

        return gaussian_kl(out[1], out[2])

    def latent(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mu, logvar = self.net_.encode(self.scale_(x))
        return mu, (0.5 * logvar).exp()

    def embedding(self, data: Dataset, z: np.ndarray, spread: np.ndarray) -> Embedding:
        return Embedding(rows=data.rows, name="latent", z=z, std=spread)
