"""Losses of SeaS: attention of defect tokens is to lie on the defect and that of the normal token
beside it; and a loss of rare pixels for the mask.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def shrink_mask(mask: Tensor, side: int) -> Tensor:
    """Return masks [b,S,S] (1 = defect) at `side` pixels a side, [b,side,side]: a place is 1 where
    any pixel of it is (max-pooling).
    """
    return F.adaptive_max_pool2d(mask[:, None].float(), side)[:, 0]


def scale_over_batch(maps: Tensor) -> Tensor:
    """Return maps [b,h,w] moved and stretched to [0, 1] by the least and largest value of the whole
    batch; 0 where all are equal.
    """
    low, high = maps.min(), maps.max()
    return (maps - low) / (high - low).clamp_min(1e-8)


def separation(anomaly: Tensor, normal: Tensor, mask: Tensor) -> Tensor:
    """Mean over places of (A - M)², plus mean over the places of the mask of N²: a 0-d tensor.

    A and N are the attention maps [b,h,w] of the anomaly tokens' mean and of the normal token, each
    scaled over the batch; M the mask at their size (SeaS, decoupled anomaly alignment).
    """
    a, n, m = (
        scale_over_batch(anomaly),
        scale_over_batch(normal),
        shrink_mask(mask, anomaly.shape[-1]),
    )
    return (a - m).square().mean() + (n.square() * m).sum() / m.sum().clamp_min(1)


def focal(logits: Tensor, mask: Tensor, gamma: float = 2.0) -> Tensor:
    """Mean of (1 - p)^gamma · -log p, p the probability given to what each pixel is: logits and
    masks (0 or 1) of equal shape (Lin and others, 2017).
    """
    wrong = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    return ((1 - torch.exp(-wrong)).pow(gamma) * wrong).mean()
