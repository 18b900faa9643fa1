"""Variational autoencoders for pictures of any size and for tables: one forward call gives all that
a loss needs.

The convolution unit follows the lung-lesion VAE (conv 3x3 without bias, GELU, batch norm); the
number of halvings comes from the picture's size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.resize import resized


def unit(a: int, b: int, stride: int = 1, dims: int = 2) -> nn.Sequential:
    """Conv 3x3 (no bias) -> GELU -> BatchNorm; 3x3x3 of volumes (`dims` 3)."""
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
    return nn.Sequential(conv(a, b, 3, stride, 1, bias=False), nn.GELU(), norm(b))


def sizes(spatial: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the spatial sizes from the input's on, halved until the smallest axis (of volumes,
    which may be flat: the longest) is at most 4.
    """
    found = [tuple(spatial)]
    while min(found[-1]) > 4 if len(spatial) == 2 else max(found[-1]) > 4:
        found.append(tuple(-(-n // 2) for n in found[-1]))
    return found


class Encoder(nn.Module):
    """[b,C,H,W] or [b,C,D,H,W] in [0,1] -> features [b,width*16]; tables [b,d] -> [b,width*16]."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.out = width * 16
        if len(shape) == 1:
            self.body = nn.Sequential(
                nn.Linear(shape[0], self.out),
                nn.GELU(),
                nn.BatchNorm1d(self.out),
                nn.Linear(self.out, self.out),
                nn.GELU(),
                nn.BatchNorm1d(self.out),
            )
            return
        dims, down = len(shape) - 1, sizes(shape[1:])
        layers, c = [unit(shape[0], width, dims=dims)], width
        for _ in down[1:]:
            layers += [unit(c, min(4 * width, 2 * c), 2, dims)]
            c = min(4 * width, 2 * c)
        self.body = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(c * math.prod(down[-1]), self.out),
            nn.GELU(),
            nn.BatchNorm1d(self.out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Decoder(nn.Module):
    """[b,d] -> the input's shape; pictures through a sigmoid, tables as they are."""

    def __init__(self, shape: tuple[int, ...], width: int, latent: int) -> None:
        super().__init__()
        self.shape, hidden = shape, width * 16
        if len(shape) == 1:
            self.body = nn.Sequential(
                nn.Linear(latent, hidden),
                nn.GELU(),
                nn.BatchNorm1d(hidden),
                nn.Linear(hidden, hidden),
                nn.GELU(),
                nn.BatchNorm1d(hidden),
                nn.Linear(hidden, shape[0]),
            )
            return
        down = sizes(shape[1:])
        self.sizes = down[::-1]
        self.first = min(4 * width, width * 2 ** (len(down) - 1))
        small = math.prod(self.sizes[0])
        self.start = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.GELU(),
            nn.BatchNorm1d(hidden),
            nn.Linear(hidden, self.first * small),
            nn.GELU(),
        )
        c, steps = self.first, []
        for k in range(len(self.sizes) - 1):
            following = max(width, min(4 * width, width * 2 ** (len(down) - 2 - k)))
            steps.append(unit(c, following, dims=len(shape) - 1))
            c = following
        self.steps = nn.ModuleList(steps)
        self.last = (nn.Conv2d if len(shape) == 3 else nn.Conv3d)(c, shape[0], 3, 1, 1)

    def forward(self, z: Tensor) -> Tensor:
        if len(self.shape) == 1:
            return self.body(z)
        x = self.start(z).unflatten(1, (self.first, *self.sizes[0]))
        for size, step in zip(self.sizes[1:], self.steps):
            x = step(resized(x, size))
        return torch.sigmoid(self.last(x))


class Classifier(nn.Module):
    """Small MLP on the latent: [b,d] -> logits [b,k]."""

    def __init__(self, latent: int, classes: int, hidden: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.GELU(),
            nn.BatchNorm1d(hidden),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z)


class GaussianVAE(nn.Module):
    """forward(x) -> (reconstruction, mu [b,d], logvar [b,d], logits [b,k] or None); z = mu + sd *
    noise in training.
    """

    def __init__(self, shape: tuple[int, ...], width: int, latent: int, classes: int = 0) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(shape, width), Decoder(shape, width, latent)
        self.head = nn.Linear(self.encoder.out, 2 * latent)
        self.classifier = Classifier(latent, classes) if classes else None

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.head(self.encoder(x)).chunk(2, dim=1)
        return mu, logvar.clamp(-8, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp() if self.training else mu
        return (
            self.decoder(z),
            mu,
            logvar,
            self.classifier(mu) if self.classifier is not None else None,
        )


class DirichletVAE(nn.Module):
    """forward(x) -> (reconstruction, z [b,d] on the simplex, alpha [b,d], logits or None); z ~
    Dir(alpha), implicit reparameterised gradients.
    """

    def __init__(self, shape: tuple[int, ...], width: int, latent: int, classes: int = 0) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(shape, width), Decoder(shape, width, latent)
        self.head = nn.Linear(self.encoder.out, latent)
        self.classifier = Classifier(latent, classes) if classes else None

    def alpha(self, x: Tensor) -> Tensor:
        """Concentrations, softplus of the head, kept within [1e-3, 1e3]: below it the gamma
        gradients are NaN.
        """
        return F.softplus(self.head(self.encoder(x)).float()).clamp(1e-3, 1e3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        alpha = self.alpha(x)
        z = (
            torch.distributions.Dirichlet(alpha).rsample()
            if self.training
            else alpha / alpha.sum(1, keepdim=True)
        )
        return (
            self.decoder(z),
            z,
            alpha,
            (
                self.classifier(alpha / alpha.sum(1, keepdim=True))
                if self.classifier is not None
                else None
            ),
        )
