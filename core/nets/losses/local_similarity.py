"""How unlike two pictures are at each place, by structural similarity at two scales."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

WINDOW = 7  # pixels a side of the Gaussian window (deviation 1.5)
SCALES = 2


def dissimilarity(x: Tensor, back: Tensor) -> Tensor:
    """Return (1 - SSIM) / 2 of pictures x and back [b,C,S,S] in [0, 1] at each place, the mean over
    channels and over the full and half the size: [b,S,S], in [0, 1], 0 where they are alike.

    SSIM is that of Wang, Bovik, Sheikh, Simoncelli (2004); that the maps of scales are averaged at
    each place, in place of multiplied as one number a picture, is ours.
    """
    from kornia.metrics import ssim

    size, found = tuple(x.shape[2:]), []
    for scale in range(SCALES):
        if scale:
            x, back = F.avg_pool2d(x, 2), F.avg_pool2d(back, 2)
        apart = (1 - ssim(x, back, WINDOW).mean(1, keepdim=True)) / 2
        found.append(F.interpolate(apart, size, mode="bilinear") if scale else apart)
    return sum(found[1:], found[0])[:, 0].clamp_min(0) / SCALES
