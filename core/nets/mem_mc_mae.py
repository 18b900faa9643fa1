"""MemMC-MAE's network: a masked autoencoder whose attention can look things up in a memory of
normal patterns, and whose decoder sees the shown patches only through gated attention to all levels
of the encoder.

Objective, layers and gates as far as the authors' abstract and the meshed-memory transformer of
Cornia, Stefanini, Baraldi, Cucchiara (CVPR 2020) tell; no code of the method is public.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.vit import Attention, Block, TinyViT

SPREAD = 0.5  # of a memory's values at the beginning, about that of a token's keys


class MemoryAttention(Attention):
    """Self-attention whose keys and values are joined by `slots` learned ones that are the same for
    all pictures: K' = [K; M_k], V' = [V; M_v]. Queries come from tokens alone, so there are as many
    results as tokens; without slots it is plain attention.
    """

    def __init__(self, dim: int, heads: int, slots: int) -> None:
        super().__init__(dim, heads)
        self.memory_key = nn.Parameter(SPREAD * torch.randn(slots, dim))
        self.memory_value = nn.Parameter(SPREAD * torch.randn(slots, dim))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k = torch.cat([k, self._by_head(self.memory_key, q)], 2)
        v = torch.cat([v, self._by_head(self.memory_value, q)], 2)
        return super().attend(q, k, v)

    def _by_head(self, memory: Tensor, q: Tensor) -> Tensor:
        """Return a memory [M,d] as attention wants it: [b,h,M,d/h]."""
        heads = memory.to(q.dtype).unflatten(1, (self.heads, -1)).transpose(0, 1)
        return heads.expand(len(q), -1, -1, -1)

    def shares(self, x: Tensor) -> Tensor:
        """Return how much of its attention each token of x [b,N,d] gives to each slot, the mean
        over heads: [b,N,M]; what is missing to 1 goes to tokens.
        """
        both = self.query_key(x).unflatten(2, (2, self.heads, -1))
        q, k = both.permute(2, 0, 3, 1, 4)
        k = torch.cat([k, self._by_head(self.memory_key, q)], 2)
        weight = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        return weight[..., x.shape[1] :].mean(1)


class LevelAttention(Attention):
    """Attention of the decoder's tokens to the shown patches at each of `levels` of the encoder:
    with C_l what they gather of level l, by the same weights for all levels, and gates
    a_l = sigmoid(W_l [y; C_l] + b_l), it gives the sum of a_l C_l over the root of their number.
    """

    def __init__(self, dim: int, heads: int, levels: int) -> None:
        super().__init__(dim, heads)
        self.gates = nn.ModuleList(nn.Linear(2 * dim, dim) for _ in range(levels))

    def gather(self, y: Tensor, levels: list[Tensor]) -> Tensor:
        """Return what tokens y [b,N,d] gather of each level [b,V,d]: [L,b,N,d]."""
        weight, bias = self.query_key.weight.chunk(2), self.query_key.bias.chunk(2)
        x = torch.cat(levels)
        parts = [F.linear(y, weight[0], bias[0]), F.linear(x, weight[1], bias[1]), self.value(x)]
        q, k, v = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in parts)
        found = self.attend(q.repeat(len(levels), 1, 1, 1), k, v).transpose(1, 2).flatten(2)
        return self.out(found).unflatten(0, (len(levels), -1))

    def opened(self, y: Tensor, gathered: Tensor) -> Tensor:
        """Return the gates, in (0, 1), of tokens y [b,N,d] for what they `gathered`: [L,b,N,d]."""
        return torch.stack(
            [gate(torch.cat([y, c], 2)).sigmoid() for gate, c in zip(self.gates, gathered)]
        )

    def forward(self, y: Tensor, levels: list[Tensor]) -> Tensor:  # type: ignore[override]
        gathered = self.gather(y, levels)
        return (self.opened(y, gathered) * gathered).sum(0) / math.sqrt(len(levels))


class LevelBlock(nn.Module):
    """A layer of the decoder: attention to levels of the encoder, then two layers to four times the
    width and back. Its tokens do not see one another.
    """

    def __init__(self, dim: int, attention: LevelAttention) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = attention
        self.layers = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, y: Tensor, levels: list[Tensor]) -> Tensor:
        y = y + self.attention(self.norm1(y), levels)
        return y + self.layers(self.norm2(y))


class MemMCMAE(TinyViT):
    """forward(pictures [b,C,S,S] in [0, 1], at [V] or [b,V]) -> the pictures redrawn [b,C,S,S] from
    the patches at the places `at`, int64 in [0, N).

    The other patches reach no layer. `slots` of memory a layer of the encoder; the decoder sees all
    its levels, or the last alone. Where patches lie is added to tokens once, by fixed waves.
    """

    def __init__(
        self,
        channels: int,
        dim: int = 64,
        depth: int = 4,
        patch: int = 4,
        slots: int = 32,
        layers: int = 2,
        last_only: bool = False,
    ) -> None:
        taps = (depth - 1,) if last_only else tuple(range(depth))
        super().__init__(channels, dim, 0, patch, taps)
        self.blocks = nn.ModuleList(
            Block(dim, MemoryAttention(dim, self.heads, slots)) for _ in range(depth)
        )
        self.level = nn.LayerNorm(dim)
        self.decoder = nn.ModuleList(
            LevelBlock(dim, LevelAttention(dim, self.heads, len(taps))) for _ in range(layers)
        )

    def forward(self, x: Tensor, at: Tensor) -> Tensor:  # type: ignore[override]
        return self.decode(self.encode(x, at), at, x.shape[-1])

    def shown(self, x: Tensor, at: Tensor) -> Tensor:
        """Return the tokens [b,V,d] of the patches of x [b,C,S,S] at the places `at`."""
        tokens = self.tokens(2 * x - 1) + self.place(x.shape[-1])
        return tokens.gather(1, self._places(at, len(x)))

    def encode(self, x: Tensor, at: Tensor) -> list[Tensor]:
        """Return the tokens [b,V,d] of the patches shown after each layer that the decoder sees."""
        tokens, found = self.shown(x, at), []
        for i, block in enumerate(self.blocks):
            tokens = block(tokens)
            if i in self.taps:
                found.append(self.level(tokens))
        return found

    def decode(self, levels: list[Tensor], at: Tensor, size: int) -> Tensor:
        """Return pictures [b,C,size,size] of the levels [b,V,d] of the patches at `at`."""
        y = self.first(levels, at, size)
        for block in self.decoder:
            y = block(y, levels)
        flat = self.redraw(self.norm(y)).transpose(1, 2)
        return F.fold(flat, (size, size), self.patch, stride=self.patch)

    def first(self, levels: list[Tensor], at: Tensor, size: int) -> Tensor:
        """Return the decoder's tokens [b,N,d] before its first layer: the last level where a patch
        is shown, else one that is the same for all hidden patches, and where they lie.
        """
        last, many = levels[-1], self.side(size) ** 2
        hidden = self.hidden.to(last.dtype).expand(len(last), many, -1)
        return hidden.scatter(1, self._places(at, len(last)), last) + self.place(size)

    def _places(self, at: Tensor, many: int) -> Tensor:
        return at.expand(many, -1)[..., None].expand(-1, -1, self.dim)

    def draw(self, x: Tensor, groups: int) -> Tensor:
        """Return places [b,N/groups] drawn anew for each picture of x [b,C,S,S]."""
        many = self.side(x.shape[-1]) ** 2
        return torch.rand(len(x), many, device=x.device).argsort(1)[:, : many // groups]

    def loss(self, x: Tensor, at: Tensor, hidden_only: bool = False) -> Tensor:
        """Return the mean squared error of x [b,C,S,S] redrawn from the patches `at` [b,V]; of
        those that are hidden, or of all.
        """
        wrong = (self(x, at) - x).square()
        if not hidden_only:
            return wrong.mean()
        each = F.unfold(wrong, self.patch, stride=self.patch).mean(1)
        return (each.sum() - each.gather(1, at).sum()) / (each.numel() - at.numel())

    def memory_shares(self, x: Tensor, at: Tensor) -> Tensor:
        """Return how much attention the patches `at` of x [b,C,S,S] give to each slot in each layer
        of the encoder: [b,V,layers,M].
        """
        tokens, found = self.shown(x, at), []
        for block in cast(Any, self.blocks):
            found.append(block.attention.shares(block.norm1(tokens)))
            tokens = block(tokens)
        return torch.stack(found, 2)

    def gates(self, x: Tensor, at: Tensor) -> Tensor:
        """Return how far the gates of each decoder layer are open for each level, in (0, 1), the
        mean over tokens and their values: [b,layers,L].
        """
        levels = self.encode(x, at)
        y, found = self.first(levels, at, x.shape[-1]), []
        for block in cast(Any, self.decoder):
            normed = block.norm1(y)
            opened = block.attention.opened(normed, block.attention.gather(normed, levels))
            found.append(opened.mean((2, 3)).T)
            y = block(y, levels)
        return torch.stack(found, 1)
