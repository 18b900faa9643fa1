"""Entropy of what a network says."""

from __future__ import annotations

from torch import Tensor


def pixel_entropy(prob: Tensor) -> Tensor:
    """Of each pixel, [b,H,W] in nats, of probabilities [b,k,H,W]."""
    return -(prob * prob.clamp(min=1e-6).log()).sum(1)
