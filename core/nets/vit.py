"""A small vision transformer, and how it learns by itself from pictures with patches hidden."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Self-attention of tokens [b,N,d] with `heads` heads. Where a token lies, `place` [N,d] or 0,
    is added to queries and keys only, so that the tokens say what is there and not where.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key, self.value = nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, place: Tensor | float = 0.0) -> Tensor:
        b, n, d = x.shape
        parts = [*self.query_key(x + place).split(d, 2), self.value(x)]
        q, k, v = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in parts)
        return self.out(self.attend(q, k, v).transpose(1, 2).reshape(b, n, d))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return what each query [b,h,N,e] gathers of the values [b,h,N,e] by its key."""
        return F.scaled_dot_product_attention(q, k, v)


class Block(nn.Module):
    """Attention, then two layers to four times the width and back, each after a LayerNorm and added
    to what it was given.
    """

    def __init__(self, dim: int, attention: Attention) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-8), nn.LayerNorm(dim, eps=1e-8)
        self.attention = attention
        self.layers = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, place: Tensor | float = 0.0) -> Tensor:
        x = x + self.attention(self.norm1(x), place)
        return x + self.layers(self.norm2(x))


class TinyViT(nn.Module):
    """forward(pictures [b,C,S,S] in [0, 1]) -> the tokens [b,N,dim] after each of the `taps`.

    N = (S / patch)²; tokens lie row by row, and attention knows where by fixed waves. `extra` = 0
    tokens stand before those of the patches.
    """

    extra = 0

    def __init__(
        self,
        channels: int,
        dim: int = 64,
        depth: int = 6,
        patch: int = 4,
        taps: tuple[int, ...] = (1, 2, 3, 4),
    ) -> None:
        super().__init__()
        self.dim, self.patch, self.taps = dim, patch, taps
        self.embed = nn.Conv2d(channels, dim, patch, patch)
        self.hidden = nn.Parameter(torch.zeros(dim))
        self.heads = max(1, dim // 16)
        self.blocks = nn.ModuleList(Block(dim, Attention(dim, self.heads)) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.redraw = nn.Linear(dim, channels * patch * patch)

    def side(self, size: int) -> int:
        """Tokens a side of pictures of `size` pixels a side."""
        return size // self.patch

    def place(self, size: int) -> Tensor:
        """Return where the tokens of pictures of `size` pixels a side lie: [N,dim]."""
        return waves(self.side(size), self.dim, self.hidden.device).to(self.hidden.dtype)

    def forward(self, x: Tensor) -> list[Tensor]:
        place = self.place(x.shape[-1])
        x, found = self.tokens(2 * x - 1), []
        for i, block in enumerate(self.blocks[: max(self.taps) + 1]):
            x = block(x, place)
            if i in self.taps:
                found.append(x)
        return found

    def tokens(self, x: Tensor, shown: Tensor | None = None) -> Tensor:
        """Return the tokens [b,N,dim] of pictures [b,C,S,S] in [-1, 1]; those that are not `shown`
        (bool [b,N]) all the same.
        """
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        if shown is not None:
            tokens = torch.where(shown[..., None], tokens, self.hidden.to(tokens.dtype))
        return tokens

    def hidden_loss(self, x: Tensor, share: float = 0.6) -> Tensor:
        """Return the mean squared error of hidden patches of x [b,C,S,S] in [0, 1], redrawn from
        those that are shown; each patch at mean 0 and deviation 1. A `share` of them is drawn to
        be hidden (He and others, masked autoencoders, 2022; as in Xie and others' SimMIM, hidden
        patches go through the whole network).
        """
        shown = torch.rand(len(x), self.side(x.shape[-1]) ** 2, device=x.device) > share
        tokens, place = self.tokens(2 * x - 1, shown), self.place(x.shape[-1])
        for block in self.blocks:
            tokens = block(tokens, place)
        truth = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        spread, mean = torch.std_mean(truth, -1, keepdim=True)
        wrong = (
            (self.redraw(self.norm(tokens)) - (truth - mean) / (spread + 0.02)).square().mean(-1)
        )
        return (wrong * ~shown).sum() / (~shown).sum().clamp(min=1)


def waves(side: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Return fixed places [side²,dim] of a grid of tokens: sines and cosines of row and
    column. Made on the `device`, since a step recorded on a GPU may copy nothing there.
    """
    steps = torch.arange(dim // 4, device=device)
    speeds = torch.exp(-math.log(1e4) * steps / max(1, dim // 4))
    along = torch.arange(side, device=device)[:, None] * speeds
    one = torch.cat([along.sin(), along.cos()], 1)
    rows = one[:, None].expand(-1, side, -1)
    columns = one[None].expand(side, -1, -1)
    both = torch.cat([rows, columns], 2).reshape(side**2, -1)
    return F.pad(both, (0, dim - both.shape[1]))
