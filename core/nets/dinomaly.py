"""Dinomaly's network: what a frozen transformer sees of a picture goes through a noisy bottleneck,
and a decoder with linear attention makes it anew; where it cannot, the picture is unusual.

Guo, Lu, Zhang, Chen, Li, Liao, Dinomaly: the less is more philosophy in multi-class unsupervised
anomaly detection, CVPR 2025.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.vit import Attention, Block

LEAST = 1e-6  # of the sum that linear attention divides by


class LinearAttention(Attention):
    """Attention whose weights are products of positive features elu(u) + 1, so that the sums over
    keys are taken once for all queries: O(N) in the number of tokens.
    """

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = F.elu(q) + 1, F.elu(k) + 1
        gathered = k.transpose(-1, -2) @ v
        total = q @ k.sum(-2)[..., None]
        return (q @ gathered) / (total + LEAST)


class Bottleneck(nn.Module):
    """Two layers, to four times the width and back, with dropout before, between and after."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.second(self.drop(F.gelu(self.first(self.drop(x))))))


class Dinomaly(nn.Module):
    """forward(pictures [b,C,S,S]) -> two pairs (seen, made anew) of maps [b,dim,s,s], shallow and
    deep, of which the seen ones have no gradient; or, while the encoder learns by itself, its loss.

    `encoder` gives tokens after each of its taps; the decoder has as many blocks as there are taps.
    What the decoder's blocks give is taken in reverse, so that the last ones imitate the shallow
    half of the taps. Tokens of a small encoder are first brought to mean 0 and deviation 1 in each
    direction, since what all of them share would hide where they differ.
    """

    def __init__(self, encoder: Any, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        dim, heads = encoder.dim, encoder.heads
        self.bottleneck = Bottleneck(dim, dropout)
        self.decoder = nn.ModuleList(
            Block(dim, LinearAttention(dim, heads)) for _ in range(len(encoder.taps))
        )
        self.level = nn.ModuleList(
            nn.BatchNorm1d(dim, affine=False) if encoder.extra == 0 else nn.Identity()
            for _ in encoder.taps
        )
        for part in (self.bottleneck, self.decoder):
            part.apply(_begin)

    def forward(self, x: Tensor, pretraining: bool = False) -> Any:
        if pretraining:
            return self.encoder.hidden_loss(x)
        seen = self.see(x)
        made = self.remake(seen, self.encoder.place(x.shape[-1]))
        return self.compare(seen, made, self.encoder.side(x.shape[-1]))

    @torch.no_grad()
    def see(self, x: Tensor) -> list[Tensor]:
        """Return the encoder's tokens [b,extra+N,dim] of pictures, levelled, at each tap."""
        tokens = self.encoder(x)
        return [level(t.flatten(0, 1)).view_as(t) for level, t in zip(self.level, tokens)]

    def remake(self, seen: list[Tensor], place: Tensor | float = 0.0) -> list[Tensor]:
        """Return what the decoder's blocks give [b,N,dim], last first, of what was `seen`."""
        x, made = self.bottleneck(torch.stack(seen).mean(0)), []
        for block in self.decoder:
            x = block(x, place)
            made.append(x)
        return made[::-1]

    def compare(
        self, seen: list[Tensor], made: list[Tensor], side: int
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the means of the halves of both lists of tokens as maps [b,dim,side,side]."""
        half = len(seen) // 2

        def maps(tokens: list[Tensor]) -> Tensor:
            mean = torch.stack(tokens).mean(0)[:, self.encoder.extra :]
            return mean.transpose(1, 2).unflatten(2, (side, side))

        return [
            (maps(seen[part]), maps(made[part])) for part in (slice(0, half), slice(half, None))
        ]


def _begin(part: nn.Module) -> None:
    if isinstance(part, nn.Linear):
        nn.init.trunc_normal_(part.weight, std=0.01, a=-0.03, b=0.03)
        nn.init.zeros_(part.bias)


def distance_maps(pairs: list[tuple[Tensor, Tensor]], size: int) -> Tensor:
    """Return the cosine distances in [0, 2] of pairs of maps [b,d,s,s], each brought to `size`
    pixels a side: [b,pairs,size,size].
    """
    found = [1 - F.cosine_similarity(a, b, dim=1)[:, None] for a, b in pairs]
    size_ = (size, size)
    return torch.cat(
        [F.interpolate(m, size_, mode="bilinear", align_corners=True) for m in found], 1
    )


def blur(heat: Tensor) -> Tensor:
    """Return maps [b,S,S] blurred by a Gaussian of 4 pixels, cut off at 5 x 5; at the border the
    edge goes on.
    """
    along = torch.exp(-(torch.arange(-2, 3, device=heat.device, dtype=heat.dtype) ** 2) / 32)
    kernel = along[:, None] * along / along.sum() ** 2
    padded = F.pad(heat[:, None], (2, 2, 2, 2), mode="replicate")
    return F.conv2d(padded, kernel[None, None])[:, 0]
