"""Networks for series [b,C,T]: a convolutional variational autoencoder, and the small one over
symbols that is tied to its latent space.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.resize import resized

HALVINGS, HIDDEN = 4, 256


class SeriesVAE(nn.Module):
    """forward(x) -> (reconstruction, mu [b,d], logvar [b,d]): four strided convolutions, one hidden
    layer of 256, the decoder its mirror.
    """

    def __init__(self, shape: tuple[int, ...], width: int, latent: int) -> None:
        super().__init__()
        channels, length = shape
        self.sizes = [length]
        for _ in range(HALVINGS):
            self.sizes.append(-(-self.sizes[-1] // 2))
        wide = [channels, width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for a, b in pairwise(wide):
            layers += [nn.Conv1d(a, b, 5, 2, 2), nn.GELU()]
        self.last = 4 * width
        self.encoder = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(self.last * self.sizes[-1], HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, 2 * latent),
        )
        self.start = nn.Sequential(
            nn.Linear(latent, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, self.last * self.sizes[-1]),
            nn.GELU(),
        )
        self.steps = nn.ModuleList(
            nn.Conv1d(a, b, 5, 1, 2) for a, b in zip(wide[:0:-1], [*wide[-2:0:-1], width])
        )
        self.out = nn.Conv1d(width, channels, 5, 1, 2)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return mu, logvar.clamp(-10, 4)

    def decode(self, z: Tensor) -> Tensor:
        x = self.start(z).unflatten(1, (self.last, self.sizes[-1]))
        for size, step in zip(self.sizes[-2::-1], self.steps):
            x = F.gelu(step(resized(x, (size,))))
        return self.out(x)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.randn_like(mu) * (0.5 * logvar).exp()), mu, logvar


class SymbolVAE(nn.Module):
    """q(z|y) and p(y|z) for multi-hot symbols y, as `worlds` independent copies side by side (one
    learns the truth, the others shuffled symbols).
    """

    def __init__(self, worlds: int, symbols: int, latent: int, hidden: int = 32) -> None:
        super().__init__()

        def layer(a: int, b: int) -> nn.ParameterList:
            return nn.ParameterList(
                [
                    nn.Parameter(torch.randn(worlds, a, b) * a**-0.5),
                    nn.Parameter(torch.zeros(worlds, 1, b)),
                ]
            )

        self.one = layer(symbols, hidden)
        self.two = layer(hidden, 2 * latent)
        self.three = layer(latent, hidden)
        self.four = layer(hidden, symbols)

    def encode(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """`y [u,k]` -> mu, logvar [worlds,u,d]."""
        hidden = torch.tanh(torch.matmul(y, self.one[0]) + self.one[1])
        mu, logvar = (torch.matmul(hidden, self.two[0]) + self.two[1]).chunk(2, dim=-1)
        return mu, logvar.clamp(-10, 4)

    def decode(self, z: Tensor) -> Tensor:
        """`z [...,worlds,u,d]` -> logits [...,worlds,u,k]."""
        return (
            torch.matmul(torch.tanh(torch.matmul(z, self.three[0]) + self.three[1]), self.four[0])
            + self.four[1]
        )

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(y)
        return self.decode(mu + torch.randn_like(mu) * (0.5 * logvar).exp()), mu, logvar


def divergence(m: Tensor, logvar: Tensor, mu: Tensor, logvar_to: Tensor) -> Tensor:
    """KL(N(m, exp logvar) || N(mu, exp logvar_to)) of each coordinate; shapes broadcast."""
    return 0.5 * (logvar_to - logvar + (logvar.exp() + (m - mu).square()) / logvar_to.exp() - 1)
