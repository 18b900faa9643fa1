"""How a picture that was filled in differs from the true one: values, structure, edges."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SCALES = 4
C = 0.0026  # keeps the similarity of two flat places at 1


def gradients(x: Tensor) -> Tensor:
    """Return the magnitude of Prewitt gradients [b,1,H,W] of x [b,C,H,W], channels averaged."""
    edge = torch.tensor([1.0, 0.0, -1.0], device=x.device, dtype=x.dtype) / 3
    across = edge.expand(3, 3)[None, None]
    grey = F.pad(x.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    dx, dy = F.conv2d(grey, across), F.conv2d(grey, across.transpose(2, 3))
    return torch.sqrt(dx.square() + dy.square() + 1e-12)


def edge_differences(x: Tensor, back: Tensor) -> list[Tensor]:
    """Return 1 - gradient magnitude similarity, in [0, 1], at four scales, each half the last:
    [b,1,H/2^l,W/2^l] of pictures [b,C,H,W] in [0, 1].
    """
    found = []
    for scale in range(SCALES):
        if scale:
            x, back = F.avg_pool2d(x, 2), F.avg_pool2d(back, 2)
        a, b = gradients(x), gradients(back)
        found.append(1 - (2 * a * b + C) / (a.square() + b.square() + C))
    return found


def edge_map(x: Tensor, back: Tensor) -> Tensor:
    """Return the mean over the scales of `edge_differences`, at full size: [b,1,H,W]."""
    found, size = edge_differences(x, back), x.shape[2:]
    whole = [found[0], *(F.interpolate(d, size, mode="bilinear") for d in found[1:])]
    return torch.stack(whole).mean(0)


def recovery(x: Tensor, back: Tensor, weight: float) -> dict[str, Tensor]:
    """Mean squared error + `weight` (1 - structural similarity) + `weight` (1 - multi-scale
    gradient similarity), over whole pictures x and back [b,C,H,W] in [0, 1].

    Gives 0-d tensors: the loss and its three terms.
    """
    from kornia.metrics import ssim

    error = F.mse_loss(back, x)
    structure = 1 - ssim(back, x, 7).mean()
    edges = torch.stack([d.mean() for d in edge_differences(x, back)]).mean()
    loss = error + weight * (structure + edges)
    return {"loss": loss, "squared error": error, "structure": structure, "edges": edges}
