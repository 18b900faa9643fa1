"""A transformer layer whose attention knows how far apart steps lie (rotary positions, Su and
others 2021) and looks no further than a window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BASE = 10000.0


def rotate(x: Tensor) -> Tensor:
    """Return x [b,h,T,d] with each pair of values (i, i + d/2) turned by the angle
    t * BASE^(-2i/d), so that products of two steps depend on their distance alone.
    """
    half = x.shape[-1] // 2
    pace = BASE ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)[:, None] * pace
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def within(there: Tensor, window: int) -> Tensor:
    """Return bool [b,1,T,T]: whether step i (query) sees step j: j is there (bool [b,T]) and at
    most `window` // 2 steps away; 0 = however far. Every step sees itself.
    """
    at = torch.arange(there.shape[1], device=there.device)
    away = (at[:, None] - at[None]).abs()
    near = away <= window // 2 if window else torch.ones_like(away, dtype=torch.bool)
    return (there[:, None, None, :] & near) | (away == 0)


class RotaryLayer(nn.Module):
    """forward(x [b,T,dim], there bool [b,T]) -> [b,T,dim]: attention of `heads` within `window`
    steps (0 = all) and a feed-forward part four times as wide, each followed by its norm.
    """

    def __init__(self, dim: int, heads: int, window: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.wide = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.first, self.second = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        b, steps, dim = x.shape
        qkv = self.qkv(x).view(b, steps, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(
            rotate(q), rotate(k), v, attn_mask=within(there, self.window)
        )
        x = self.first(x + self.drop(self.out(seen.transpose(1, 2).reshape(b, steps, dim))))
        return self.second(x + self.drop(self.wide(x)))
