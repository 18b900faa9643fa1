"""Which places of a picture stand out: without training, or by what a transformer attends to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.vit import TinyViT

LARGEST = 64  # pixels a side: Hou and Zhang look at pictures of about this size


def spectral_residual(x: Tensor) -> Tensor:
    """Return the saliency [b,1,S,S] >= 0 of pictures x [b,C,S,S]: the picture of what their
    log-spectrum has beyond its local average. Hou and Zhang, CVPR 2007.

    Channels are averaged, pictures above 64 pixels looked at in 64; the mean over a picture does
    not depend on its brightness or contrast. A picture of one grey has saliency 0.
    """
    side = x.shape[-1]
    grey = x.mean(1, keepdim=True)
    if side > LARGEST:
        grey = F.adaptive_avg_pool2d(grey, LARGEST)
    spectrum = torch.fft.fft2(grey)
    log = torch.log(spectrum.abs() + 1e-8)
    average = F.avg_pool2d(F.pad(log, (1, 1, 1, 1), mode="circular"), 3, 1)
    residual = torch.polar(torch.exp(log - average), torch.angle(spectrum))
    salient = blurred(torch.fft.ifft2(residual).abs().square() * grey[0, 0].numel(), 2.5)
    salient = salient * (grey.std((2, 3), keepdim=True) > 1e-5)
    if side > LARGEST:
        salient = F.interpolate(salient, (side, side), mode="bilinear")
    return salient


class HiddenPatches(nn.Module):
    """forward(pictures [b,C,S,S] in [0, 1]) -> what a transformer that redraws hidden patches is to
    make small, 0-d.
    """

    def __init__(self, vit: TinyViT) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, x: Tensor) -> Tensor:
        return self.vit.hidden_loss(x)


def attention_received(vit: TinyViT, x: Tensor) -> Tensor:
    """Return how much the patches of x [b,C,S,S] in [0, 1] are attended to in the last block of a
    transformer without a class token: [b,1,S,S], mean over heads and over the patches that attend,
    in units of even attention, so that the mean of a picture is 1.
    """
    place, size = vit.place(x.shape[-1]), x.shape[-1]
    tokens = vit.tokens(2 * x - 1)
    last: Any = vit.blocks[-1]
    for block in vit.blocks[:-1]:
        tokens = block(tokens, place)
    parts = last.attention.query_key(last.norm1(tokens) + place).split(vit.dim, 2)
    q, k = (t.unflatten(2, (vit.heads, -1)).transpose(1, 2) for t in parts)
    weight = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, -1)
    return _at_pixels(weight.mean((1, 2)), size)


def class_attention(dino: Any, x: Tensor) -> Tensor:
    """Return how much the class token of a `core.nets.dino.Dino` attends to the patches of x
    [b,C,S,S] in [0, 1] in the last block: [b,1,S,S], mean over heads, in units of even attention
    among patches, so that the mean of a picture is 1.
    """
    if x.shape[1] != 3:
        x = x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    size = dino.side(x.shape[-1]) * dino.patch
    given = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
    dino.model.set_attn_implementation("eager")  # the fused one keeps no weights
    weights = dino.model((given - dino.mean) / dino.spread, output_attentions=True).attentions
    return _at_pixels(weights[-1][:, :, 0, dino.extra :].mean(1), x.shape[-1])


def _at_pixels(weight: Tensor, size: int) -> Tensor:
    """Return weights of patches [b,N], N a square, at mean 1 and `size` pixels: [b,1,S,S]."""
    side = round(weight.shape[1] ** 0.5)
    even = weight / weight.mean(1, keepdim=True)
    return F.interpolate(even.view(-1, 1, side, side), (size, size), mode="bilinear")


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Return x [b,1,S,S] blurred by a Gaussian of `sigma` pixels, edges mirrored."""
    reach = min(int(3 * sigma + 0.5), x.shape[-1] - 1)
    place = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    weight = torch.exp(-0.5 * (place / sigma) ** 2)
    weight = weight / weight.sum()
    x = F.pad(x, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(x, weight.view(1, 1, 1, -1)), weight.view(1, 1, -1, 1))
