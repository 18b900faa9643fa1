"""Sinkhorn-Knopp: soft codes that use all prototypes equally (Cuturi 2013; Caron et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Scores [b,K] -> codes [b,K] float32, each row summing to 1, the columns near b/K. The maximum
    is subtracted first: it cancels and cannot overflow.
    """
    q = scores.float() / epsilon
    q = torch.exp(q - q.max()).T
    q /= q.sum()
    k, b = q.shape
    for _ in range(iterations):
        q /= q.sum(1, keepdim=True).clamp_min(1e-30) * k
        q /= q.sum(0, keepdim=True).clamp_min(1e-30) * b
    return (q * b).T
