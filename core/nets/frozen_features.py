"""Pictures as a few numbers by a frozen encoder that needs no weights from elsewhere: random
convolutions, and the directions in which their answers to the training pictures differ most.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 32  # pixels a side that pictures are brought to
CELLS = 4  # places a side whose answers are kept apart
FLOOR = 0.05  # of the first direction's spread: directions that vary less are not stretched further


class FrozenFeatures(nn.Module):
    """forward(pictures [b,C,H,W] in [0, 1]) -> [b,dim]. Nothing in it is trained; `settle` chooses
    the directions from the training pictures' answers. Grey values of a picture are brought to
    mean 0 and deviation 1 first, so that a brighter film is the same film.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, channels: int, dim: int, width: int = 24) -> None:
        super().__init__()
        self.dim = dim
        self.first = nn.Conv2d(channels, width, 5, padding=2)
        self.second = nn.Conv2d(width, 2 * width, 3, padding=1)
        answers = 2 * width * CELLS**2 + channels * 64
        self.register_buffer("mean", torch.zeros(answers))
        self.register_buffer("basis", torch.zeros(answers, dim))
        self.requires_grad_(False)

    def answers(self, x: Tensor) -> Tensor:
        """Return what the convolutions answer, and the picture at 8 x 8: [b,F]."""
        if x.shape[-2:] != (SIDE, SIDE):
            x = F.interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)
        flat = x.flatten(1)
        level = flat.mean(1)[:, None, None, None]
        x = (x - level) / (flat.std(1)[:, None, None, None] + 1e-3)
        seen = F.max_pool2d(F.relu(self.first(x)), 2)
        seen = F.adaptive_avg_pool2d(F.relu(self.second(seen)), CELLS)
        small = F.adaptive_avg_pool2d(x, 8)
        return torch.cat([seen.flatten(1), 0.3 * small.flatten(1)], 1)

    def settle(self, answers: Tensor) -> None:
        """Choose the directions from `answers` [n,F] of training pictures: the first `dim`
        principal ones, each brought to deviation 1 unless it hardly varies.
        """
        self.mean.copy_(answers.mean(0))
        centred = (answers - self.mean).double()
        # eigenvectors of the covariance, whose size does not grow with the pictures
        values, vectors = torch.linalg.eigh(centred.T @ centred / max(1, len(centred) - 1))
        values, vectors = values.flip(0)[: self.dim].clamp_min(0), vectors.flip(1)[:, : self.dim]
        spread = values.sqrt()
        spread = spread.clamp_min(FLOOR * float(spread[0]) + 1e-9)
        # a direction's sign is the solver's whim: the largest weight is made positive
        largest = vectors.abs().argmax(0)
        vectors = vectors * vectors[largest, torch.arange(vectors.shape[1])].sign()
        self.basis.zero_()
        self.basis[:, : vectors.shape[1]] = (vectors / spread).to(self.basis.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return (self.answers(x) - self.mean) @ self.basis
