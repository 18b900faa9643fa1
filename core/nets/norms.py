"""Batch normalisation between two sites: statistics of the source and of the batch at hand, mixed
by a share that can be turned.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class MixedNorm(nn.Module):
    """A BatchNorm2d whose mean and variance are share · source + (1 - share) · batch; `share` 1 is
    the source's network in evaluation mode, bit for bit. Scale and shift stay the layer's own
    parameters; buffers keep what they were, and a running mean of the target's statistics.
    """

    source_mean: Tensor
    source_var: Tensor
    source_scale: Tensor
    source_shift: Tensor
    target_mean: Tensor
    target_var: Tensor
    looks: Tensor  # how many batches the target's statistics are of

    def __init__(self, norm: nn.BatchNorm2d, pace: float = 0.1) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.weight = norm.weight
        self.bias = norm.bias
        self.eps = norm.eps
        self.pace = pace
        self.share = 1.0
        for name, value in (
            ("mean", norm.running_mean),
            ("var", norm.running_var),
            ("scale", norm.weight),
            ("shift", norm.bias),
        ):
            self.register_buffer(f"source_{name}", value.detach().clone())
        self.register_buffer("target_mean", norm.running_mean.detach().clone())
        self.register_buffer("target_var", norm.running_var.detach().clone())
        self.register_buffer("looks", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.share == 1.0:
            return F.batch_norm(
                x, self.source_mean, self.source_var, self.weight, self.bias, False, 0.0, self.eps
            )
        var, mean = torch.var_mean(x, (0, 2, 3), unbiased=False)
        with torch.no_grad():
            pace = max(self.pace, 1 / (int(self.looks) + 1))  # the first looks are a plain mean
            self.target_mean.lerp_(mean, pace)
            self.target_var.lerp_(var, pace)
            self.looks += 1
        mean = self.share * self.source_mean + (1 - self.share) * mean
        var = self.share * self.source_var + (1 - self.share) * var
        scale = self.weight * (var + self.eps).rsqrt()
        return x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]

    @property
    def shift(self) -> Tensor:
        """`d [C]`: how far source and target lie apart, |mean/sd - mean/sd|."""
        source = self.source_mean / (self.source_var + self.eps).sqrt()
        return (source - self.target_mean / (self.target_var + self.eps).sqrt()).abs()


def mixed(net: nn.Module) -> list[MixedNorm]:
    """Replace every BatchNorm2d of `net` by a MixedNorm, in place; gives them in order."""
    found = []
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and child.affine and child.track_running_stats:
                found.append(MixedNorm(child))
                setattr(parent, name, found[-1])
    return found


def plain(net: nn.Module, stats: Iterator[tuple[Tensor, Tensor]]) -> None:
    """Put ordinary BatchNorm2d layers back, in the order of `mixed`, with these (mean, variance) as
    their fixed statistics.
    """
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, MixedNorm):
                norm, (mean, var) = nn.BatchNorm2d(len(child.weight), eps=child.eps), next(stats)
                norm.weight, norm.bias = child.weight, child.bias
                norm.running_mean, norm.running_var = mean.detach().clone(), var.detach().clone()
                setattr(parent, name, norm.to(child.weight.device).eval())


def transferability(norms: list[MixedNorm]) -> list[Tensor]:
    """`alpha [C]` of each layer: L·C / (1 + d) over the sum of 1 / (1 + d); their mean over all
    channels is 1.
    """
    close = [1 / (1 + n.shift) for n in norms]
    total, count = sum(c.sum() for c in close), sum(len(c) for c in close)
    return [count * c / total for c in close]


def tied(norms: list[MixedNorm]) -> Tensor:
    """Sum over channels of (1 + alpha)(|scale - source's| + |shift - source's|): channels that
    hardly moved must keep theirs.
    """
    parts = [
        ((1 + a) * ((n.weight - n.source_scale).abs() + (n.bias - n.source_shift).abs()))
        for n, a in zip(norms, transferability(norms))
    ]
    return torch.cat(parts).sum()
