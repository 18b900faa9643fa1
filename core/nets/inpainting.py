"""A network that fills in what was hidden of a picture, and ways to hide it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from core.nets.monai_parts import BasicUNet
from core.nets.unetpp import features


class Inpainter(BasicUNet):
    """U-Net of five levels: x [b,C,S,S], S a multiple of 16 -> the same shape, no bounds.

    `width` channels at the first level, twice as many at each further one (MONAI's BasicUNet).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(2, channels, channels, features(width), norm="batch")

    def encode(self, x: Tensor) -> list[Tensor]:
        """Return the levels from fine to coarse: [b,width*2^l,S/2^l,S/2^l], l from 0 to 4."""
        levels = [self.conv_0(x)]
        for down in (self.down_1, self.down_2, self.down_3, self.down_4):
            levels.append(down(levels[-1]))
        return levels

    def decode(self, levels: Sequence[Tensor]) -> Tensor:
        """Return the picture [b,C,S,S] of the levels that `encode` gives."""
        *skips, x = levels
        for up, skip in zip((self.upcat_4, self.upcat_3, self.upcat_2, self.upcat_1), skips[::-1]):
            x = up(x, skip)
        return self.final_conv(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def mosaic(x: Tensor, cell: int) -> Tensor:
    """Return x [b,C,S,S] with each cell of `cell` x `cell` pixels at its mean; S a multiple."""
    if cell == 1:
        return x
    return F.avg_pool2d(x, cell).repeat_interleave(cell, 2).repeat_interleave(cell, 3)


def grid_mask(side: int, cell: int, period: int) -> Tensor:
    """Float32 [1,1,side,side], 1 = hidden: of each `period` x `period` cells of `cell` pixels the
    first.
    """
    hidden = (torch.arange(side) // cell) % period == 0
    return (hidden[:, None] & hidden[None]).float()[None, None]


def excise(x: Tensor, mask: Tensor, hint: Tensor) -> Tensor:
    """Return x [b,C,S,S] with the `hint` [b,C,S,S] where the mask [b,1,S,S] is 1."""
    return x * (1 - mask) + hint * mask
