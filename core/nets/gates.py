"""One soft gate for all skip connections of a U-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GRID = 2  # the level at whose places the gate is computed


class SkipGates(nn.Module):
    """Two linear layers a place over what all levels hold there (`channels` in all, standardised),
    and a sigmoid that begins at 0.95: levels [b,C_l,S_l,S_l], from fine to coarse -> a gate
    [b,1,S_l,S_l] in [0, 1] for each but the last, the same one resized.
    """

    def __init__(self, channels: int, hidden: int = 32) -> None:
        super().__init__()
        self.scale = nn.BatchNorm2d(channels, affine=False)
        self.first, self.last = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, 1, 1)
        nn.init.constant_(self.last.bias, 3.0)  # type: ignore[arg-type]

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        size = levels[GRID].shape[-1]
        fine = [F.adaptive_avg_pool2d(x, size) for x in levels[: GRID + 1]]
        before = self._standardised if self.training else self._folded
        hidden = torch.relu(before(fine, levels[GRID + 1 :], size))
        gate = torch.sigmoid(self.last(hidden))
        return [self.resized(gate, x.shape[-1]) for x in levels[:-1]]

    def _standardised(self, fine: Sequence[Tensor], coarse: Sequence[Tensor], size: int) -> Tensor:
        """Return the first layer of all levels, standardised by this batch: [b,hidden,h,w]."""
        here = [*fine, *(F.interpolate(x, size, mode="nearest") for x in coarse)]
        return self.first(self.scale(torch.cat(here, 1)))

    def _folded(self, fine: Sequence[Tensor], coarse: Sequence[Tensor], size: int) -> Tensor:
        """Return the same by what was learned of all batches; each coarse level at its own size,
        which a quarter or a sixteenth of the work is enough for.
        """
        mean, var = self.scale.running_mean, self.scale.running_var
        assert mean is not None  # as its constructor has it
        assert var is not None
        weight = self.first.weight * torch.rsqrt(var + self.scale.eps)[None, :, None, None]
        bias = self.first.bias - (weight[..., 0, 0] * mean).sum(1)  # type: ignore[operator]
        many = sum(x.shape[1] for x in fine)
        total = F.conv2d(torch.cat(list(fine), 1), weight[:, :many], bias)
        for x in coarse:
            small = F.conv2d(x, weight[:, many : many + x.shape[1]])
            total = total + F.interpolate(small, size, mode="nearest")
            many += x.shape[1]
        return total

    @staticmethod
    def resized(gate: Tensor, size: int) -> Tensor:
        """Return a gate [b,1,H,W] at another size: its mean where smaller, repeated where larger;
        no value leaves the bounds of its own.
        """
        if size <= gate.shape[-1]:
            return F.adaptive_avg_pool2d(gate, size)
        times = size // gate.shape[-1]
        return gate.repeat_interleave(times, 2).repeat_interleave(times, 3)


def attenuated(levels: Sequence[Tensor], gates: Sequence[Tensor]) -> list[Tensor]:
    """Return the skips, each times its gate, and the deepest level, which has none, as it is."""
    return [x * gate for x, gate in zip(levels, gates)] + [levels[-1]]
