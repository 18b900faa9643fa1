"""A U-Net of partial convolutions: what lies under a hole is never read.

Every feature comes with a mask that says where it is known (1) or not (0). With X the values in a
window of k x k pixels and c channels and M their mask, a layer gives W (X M) k²c / sum(M) + b where
sum(M) > 0, else 0, and the place counts as known from there on. Outside the picture nothing is
known.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PartialConv(nn.Module):
    """A convolution of features that come in `parts`, numbers of channels that share a mask each:
    (features, mask) -> (features, mask).
    """

    ones: Tensor

    def __init__(self, parts: tuple[int, ...], out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.parts, self.stride, self.reach = parts, stride, kernel // 2
        self.conv = nn.Conv2d(sum(parts), out, kernel, stride, kernel // 2)
        ones = torch.tensor(parts, dtype=torch.float32)[None, :, None, None]
        self.register_buffer("ones", ones.repeat(1, 1, kernel, kernel), persistent=False)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features [b,c,H,W] and masks [b,len(parts),H,W] of 0 and 1 -> [b,out,H',W'] and
        [b,1,H',W'].
        """
        conv = self.conv
        assert conv.bias is not None
        pieces = [v * m for v, m in zip(x.split(self.parts, 1), mask.split(1, 1))]
        known = F.conv2d(mask, self.ones, None, self.stride, self.reach)
        seen = (known > 0).to(x.dtype)
        whole = float(conv.weight[0].numel())
        found = F.conv2d(torch.cat(pieces, 1), conv.weight, None, self.stride, self.reach)
        scaled = found * (whole / known.clamp(min=1.0)) + conv.bias[:, None, None]
        return scaled * seen, seen


class Down(nn.Module):
    """Half the size: partial convolution, normalisation, ReLU."""

    def __init__(self, into: int, out: int, kernel: int) -> None:
        super().__init__()
        self.conv, self.norm = PartialConv((into,), out, kernel, 2), nn.BatchNorm2d(out)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x, mask = self.conv(x, mask)
        return F.relu(self.norm(x)), mask


class Up(nn.Module):
    """Twice the size: nearest neighbour, the features of that size beside it, partial convolution;
    normalisation and leaky ReLU unless it is the `last`.
    """

    def __init__(self, below: int, beside: int, out: int, last: bool = False) -> None:
        super().__init__()
        self.conv = PartialConv((below, beside), out)
        self.norm = None if last else nn.BatchNorm2d(out)

    def forward(
        self, below: tuple[Tensor, Tensor], beside: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        pairs = zip((F.interpolate(v, scale_factor=2.0) for v in below), beside)
        x, mask = self.conv(*(torch.cat(pair, 1) for pair in pairs))
        return (x if self.norm is None else F.leaky_relu(self.norm(x), 0.2)), mask


class PartialUNet(nn.Module):
    """Fills holes in pictures [b,C,H,W] whose sides are multiples of 16; `width` channels at half
    the size, then twice and four times as many.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        widths = (channels, width, 2 * width, 4 * width, 4 * width)
        self.down = nn.ModuleList(
            Down(widths[i], widths[i + 1], 5 if i == 0 else 3) for i in range(4)
        )
        self.up = nn.ModuleList(
            Up(widths[i + 1], widths[i], widths[i], last=i == 0) for i in reversed(range(4))
        )

    def encode(self, x: Tensor, known: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Features and masks of each size, the picture itself first: x [b,C,H,W], known [b,1,H,W]
        of 0 and 1.
        """
        levels = [(x, known)]
        for down in self.down:
            levels.append(down(*levels[-1]))
        return levels

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """Return what the network makes of all places [b,C,H,W] from those that are known."""
        levels = self.encode(x, known)
        found = levels.pop()
        for up in self.up:
            found = up(found, levels.pop())
        return found[0]

    def filled(self, x: Tensor, hole: Tensor) -> Tensor:
        """Return x [b,C,H,W] with the network's values where `hole` [b,1,H,W] is 1; what lies there
        in x changes nothing.
        """
        return torch.where(hole > 0, self(x, 1 - hole), x)

    def freeze_norms(self, frozen: bool) -> None:
        """Keep the statistics of the encoder's normalisation as they are, or have them learned."""
        for down in self.down:
            down.norm.train(self.training and not frozen)  # type: ignore[union-attr, operator]
