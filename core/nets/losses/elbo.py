"""The terms of the evidence lower bound: reconstruction error and divergence from the prior."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_error(back: Tensor, x: Tensor) -> Tensor:
    """Squared error of x [b,...] summed over a case: [b]. Over twice a noise variance it is the
    negative log-likelihood of a Gaussian, up to a constant.
    """
    return (back - x).square().flatten(1).sum(1)


def gaussian_kl_by_axis(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, var) || N(0, 1)) of each dimension: [b,d] of mu and log var [b,d]."""
    return -0.5 * (1 + logvar - mu.square() - logvar.exp())


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, var) || N(0, 1)) per row, summed over dimensions: [b] of mu and log var [b,d]."""
    return gaussian_kl_by_axis(mu, logvar).sum(1)


def dirichlet_kl(p: Tensor, t: Tensor) -> Tensor:
    """KL(Dir(p) || Dir(t)) per row [b], closed form; p [b,d], t [b,d] or [d]."""
    total_p, total_t = p.sum(-1), t.sum(-1)
    const = (
        torch.lgamma(total_p) - torch.lgamma(total_t) + (torch.lgamma(t) - torch.lgamma(p)).sum(-1)
    )
    return const + ((p - t) * (torch.digamma(p) - torch.digamma(total_p)[..., None])).sum(-1)
