"""What a gate should let through, from how badly a place was filled in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def share_to_keep(error: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return 1 where the error [b,1,h,w] is at most `low`, 0 from `high` on, linear between."""
    return 1 - ((error - low) / (high - low).clamp_min(1e-8)).clamp(0, 1)


def gate_error(gates: Sequence[Tensor], targets: Sequence[Tensor], rare: float) -> Tensor:
    """Binary cross-entropy of gates [b,1,h,w] in (0, 1) and what they should be, a mean over the
    levels; what should be shut counts `rare` times.
    """
    found = [
        F.binary_cross_entropy(gate, target, 1 + (rare - 1) * (1 - target))
        for gate, target in zip(gates, targets, strict=True)
    ]
    return torch.stack(found).mean()
