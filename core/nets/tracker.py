"""A small network that follows an outlined object through the frames of a clip by looking back at a
memory of frames and their masks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.resize import resized


class Unit(nn.Module):
    """Two 3x3 convolutions with group normalisation and a way around them; `stride` halves the
    side.
    """

    def __init__(self, a: int, b: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(a, b, 3, stride, 1, bias=False),
            nn.GroupNorm(math.gcd(8, b), b),
            nn.ReLU(inplace=True),
            nn.Conv2d(b, b, 3, 1, 1, bias=False),
            nn.GroupNorm(math.gcd(8, b), b),
        )
        # Trap: torch 2.13's backward pass of a 1x1 convolution with a stride writes beyond its
        # memory for few channels (channels_last, CPU).
        self.around = (
            nn.Sequential(nn.AvgPool2d(stride) if stride > 1 else nn.Identity(), nn.Conv2d(a, b, 1))
            if stride > 1 or a != b
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.around(x), inplace=True)


def places(side: int, width: int) -> Tensor:
    """Sines and cosines of the place of each cell, float32 [side*side,width]."""
    at = (torch.arange(side) + 0.5) / side
    rate = torch.pi * 2.0 ** torch.arange(width // 4)
    wave = torch.cat([torch.sin(at[:, None] * rate), torch.cos(at[:, None] * rate)], 1)
    return torch.cat(
        [wave[:, None].expand(side, side, -1), wave[None].expand(side, side, -1)], 2
    ).reshape(side * side, -1)


def twice(x: Tensor) -> Tensor:
    """[b,c,h,w] -> [b,c,2h,2w]."""
    return resized(x, (2 * x.shape[2], 2 * x.shape[3]))


class TrackNet(nn.Module):
    """forward(frames [b,T,C,S,S], first [b,1,S,S] mask of frame 0) -> logits [b,T,S,S]; S = `side`,
    a multiple of 4. Entry 0 repeats the mask given.

    The mask of frame t is made from frame t and a memory of keys (what a place looks like) and
    values (what belonged to the object there): of frame 0, if `anchor`, and of the last `recent`
    frames with the masks made for them. Nothing of a later frame can reach it.
    """

    where: Tensor

    def __init__(
        self,
        channels: int,
        width: int = 32,
        recent: int = 3,
        anchor: bool = True,
        heads: int = 4,
        side: int = 64,
    ) -> None:
        super().__init__()
        self.recent, self.anchor, self.heads, self.side = recent, anchor, heads, side
        half = width // 2
        self.fine = Unit(channels, half)
        self.middle = Unit(half, width, 2)
        self.coarse = nn.Sequential(Unit(width, width, 2), Unit(width, width))
        self.query, self.key = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.place = nn.Parameter(torch.ones(1))
        self.value = nn.Sequential(
            nn.Conv2d(width + 16, width, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1),
        )
        # how much each memory is trusted: the first frame's, then the newest, ...
        self.slot = nn.Parameter(torch.zeros(recent + 1))
        self.join = Unit(2 * width, width)
        self.up1, self.up2 = Unit(2 * width, half), Unit(2 * half, half)
        self.out = nn.Conv2d(half, 1, 3, 1, 1)
        self.register_buffer("where", places(self.side // 4, width), persistent=False)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features at full, half and quarter side."""
        fine = self.fine(x)
        middle = self.middle(fine)
        return fine, middle, self.coarse(middle)

    def remember(self, coarse: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Key and value [b,cells,width] of a frame with its mask [b,1,S,S] in [0,1]."""
        value = self.value(torch.cat([coarse, F.pixel_unshuffle(mask, 4)], 1))
        return self.key(coarse).flatten(2).transpose(1, 2) + self.place * self.where, value.flatten(
            2
        ).transpose(1, 2)

    def recall(self, coarse: Tensor, memory: list[tuple[int, Tensor, Tensor]]) -> Tensor:
        """Return what the memory (slot, key, value) says about each cell of a frame, [b,width,s,s]:
        one cross-attention.
        """
        b, width, s, _ = coarse.shape
        query = self.query(coarse).flatten(2).transpose(1, 2) + self.place * self.where
        trust = torch.cat([self.slot[k].expand(s * s) for k, _, _ in memory])
        keys = torch.cat([k for _, k, _ in memory], 1)
        values = torch.cat([v for _, _, v in memory], 1)
        parts = [
            t.reshape(b, -1, self.heads, width // self.heads).transpose(1, 2)
            for t in (query, keys, values)
        ]
        scores = parts[0] @ parts[1].transpose(2, 3) / math.sqrt(width // self.heads) + trust
        return (
            (scores.softmax(-1) @ parts[2])
            .transpose(1, 2)
            .reshape(b, s * s, width)
            .transpose(1, 2)
            .reshape(b, width, s, s)
        )

    def decode(self, fine: Tensor, middle: Tensor, coarse: Tensor, told: Tensor) -> Tensor:
        """Logits [b,1,S,S]."""
        x = self.join(torch.cat([coarse, told], 1))
        x = self.up1(torch.cat([twice(x), middle], 1))
        return self.out(self.up2(torch.cat([twice(x), fine], 1)))

    def forward(self, frames: Tensor, first: Tensor) -> Tensor:
        kept: list[tuple[Tensor, Tensor]] = []
        made, mask = [torch.where(first > 0.5, 10.0, -10.0)], first
        for t in range(frames.shape[1]):
            fine, middle, coarse = self.encode(frames[:, t])
            if t:
                recent = kept[1:] if self.anchor else kept
                memory = [(0, *kept[0])] if self.anchor or not self.recent else []
                memory += [
                    (1 + k, *m)
                    for k, m in enumerate(reversed(recent[-self.recent :] if self.recent else []))
                ]
                made.append(self.decode(fine, middle, coarse, self.recall(coarse, memory)))
                mask = made[-1].sigmoid()
            kept.append(self.remember(coarse, mask))
            if len(kept) > self.recent + 1:
                kept.pop(1 if self.anchor else 0)
        return torch.cat(made, 1)


def overlap_loss(logits: Tensor, truth: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(loss, soft Dice), 0-d, of logits against masks in [0, 1] [b,T,S,S], averaged over the frames
    `known` bool [b,T]: (1 - Dice) + (1 - soft intersection over union) + cross-entropy.

    Source: Boussot and others, 2025; the cross-entropy is added.
    """
    weight = known.float() / known.sum().clamp(min=1)
    prob = logits.sigmoid()
    both, total = (prob * truth).sum((2, 3)), (prob + truth).sum((2, 3))
    dice, union = (2 * both + 1) / (total + 1), (both + 1) / (total - both + 1)
    each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((2, 3))
    return ((2 - dice - union + each) * weight).sum(), (dice * weight).sum()
