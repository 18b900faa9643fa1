"""How holes were filled: values in and outside of them, edges, structure, smoothness."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def differences(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each pixel of x [b,C,H,W] is above its left and its upper neighbour."""
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def inpainting(
    x: Tensor, back: Tensor, hole: Tensor, counts: Tensor, structure: float
) -> dict[str, Tensor]:
    """Absolute error, outside of holes x 1 and within x 6, + `structure` (edges + 1 - structural
    similarity) + 0.1 (smoothness within and at the border of holes).

    Parameters: x and what was made of it `back` [b,C,H,W], `hole` and `counts` [b,1,H,W] of 0 and
    1; where `counts` is 0 the picture is not to be learned. Edges are the absolute error of
    differences between neighbours. Gives 0-d tensors: the loss and its parts.

    Source: Liu, Reda, Shih, Wang, Tao, Catanzaro, Image inpainting for irregular holes using
    partial convolutions, ECCV 2018, with edges and structure in place of a photograph network's
    features.
    """
    from kornia.metrics import ssim

    error = (back - x).abs().mean(1, keepdim=True)
    within, outside = hole * counts, (1 - hole) * counts
    valid = (error * outside).sum() / outside.sum().clamp(min=1)
    holed = (error * within).sum() / within.sum().clamp(min=1)
    back = torch.where(counts > 0, back, x)
    whole = torch.where(hole > 0, back, x)
    pairs = zip(differences(back), differences(x))
    edges = torch.stack([(a - b).abs().mean() for a, b in pairs]).sum()
    alike = 1 - ssim(back, x, 7).mean()
    near = F.max_pool2d(within, 3, 1, 1)
    dx, dy = differences(whole)
    smooth = (dx.abs() * near[..., 1:]).mean() + (dy.abs() * near[..., 1:, :]).mean()
    loss = valid + 6 * holed + structure * (edges + alike) + 0.1 * smooth
    return {"loss": loss, "outside": valid, "in holes": holed, "edges": edges, "structure": alike}
