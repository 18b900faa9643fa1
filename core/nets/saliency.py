"""Which places of a picture stand out, without training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

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


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Return x [b,1,S,S] blurred by a Gaussian of `sigma` pixels, edges mirrored."""
    reach = min(int(3 * sigma + 0.5), x.shape[-1] - 1)
    place = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    weight = torch.exp(-0.5 * (place / sigma) ** 2)
    weight = weight / weight.sum()
    x = F.pad(x, (reach,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(x, weight.view(1, 1, 1, -1)), weight.view(1, 1, -1, 1))
