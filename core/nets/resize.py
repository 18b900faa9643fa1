"""Linear interpolation to another size whose gradient a graphics card adds up in one order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

MODES = ("linear", "bilinear", "trilinear")


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """[b,c,*spatial] -> [b,c,*size], linear along each axis, corners not aligned: `F.interpolate`,
    on the processor bit for bit.

    On a card a product with a matrix an axis instead: torch's kernel adds gradients up in any order
    there, and its way in one order sorts them: a VAE of 128 x 128 pixels took 49 ms a step with it.
    The matrices are torch's own interpolation of the unit vectors.
    """
    if not x.is_cuda:
        return F.interpolate(x, size=tuple(size), mode=MODES[x.ndim - 3], align_corners=False)
    return by_matrices(x, size)


def by_matrices(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return the same by a product an axis, channels last in memory."""
    x = x.movedim(1, -1)  # no copy of what convolutions in that order give
    for axis, m in enumerate(size, 1):
        before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
        x = (weights(n, m, x.device) @ x.reshape(math.prod(before), n, math.prod(after))).reshape(
            *before, m, *after
        )
    return x.movedim(-1, 1)


@lru_cache(256)
def weights(n: int, m: int, device: torch.device) -> Tensor:
    """float32 [m,n]: what each of n places gives to each of m."""
    with torch.inference_mode(False), torch.no_grad():
        return (
            F.interpolate(torch.eye(n)[None], size=m, mode="linear", align_corners=False)[0]
            .T.contiguous()
            .to(device)
        )
