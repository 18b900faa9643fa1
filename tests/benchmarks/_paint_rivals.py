"""What AutoPaint is measured against, and the figures it is measured by."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import nn

from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.measures.pixel_anomaly import _binned, pooled
from core.methods.anomaly import _auto_paint_loop as loop
from core.nets.holes import irregular_holes
from core.nets.losses.inpainting import inpainting
from core.nets.partial_conv import PartialConv, PartialUNet


# -- what it is compared with ----------------------------------------------------------------------
class Autoencoder(nn.Module):
    """A convolutional autoencoder of as many channels, 64 latent numbers a picture of 64 x 64."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        down = [channels, 16, 32, 64, 64]
        self.encode = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU())
                for a, b in pairwise(down)
            ),
            nn.Conv2d(64, 4, 1),
        )
        up = [4, 64, 32, 16, 16]
        self.decode = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Upsample(scale_factor=2),
                    nn.Conv2d(a, b, 3, 1, 1),
                    nn.BatchNorm2d(b),
                    nn.ReLU(),
                )
                for a, b in pairwise(up)
            ),
            nn.Conv2d(16, channels, 3, 1, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(x))


def autoencoded(x: np.ndarray, train: np.ndarray, seconds: float, seed: int) -> np.ndarray:
    """x [n,C,S,S] as an autoencoder makes it that learned from `train` [m,C,S,S] for `seconds` of
    processor time.
    """
    torch.manual_seed(seed)
    net, rng = Autoencoder(x.shape[1]), np.random.default_rng(seed)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    start = time.process_time()
    while time.process_time() - start < seconds:
        some = torch.from_numpy(train[rng.choice(len(train), 16)])
        loss = (net(some) - some).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        return net.eval()(torch.from_numpy(x)).numpy()


class ZeroConv(PartialConv):
    """The broken control: holes are black, and nothing is divided by what is known."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        ones = torch.ones_like(mask)
        return super().forward(x, ones)


def zero_filled(channels: int, width: int) -> PartialUNet:
    """The same network of ordinary convolutions, holes filled with zeros."""
    net = PartialUNet(channels, width)
    for part in [*net.down, *net.up]:
        part.conv.__class__ = ZeroConv  # type: ignore[union-attr]
    return net


def trained_net(net: PartialUNet, x: np.ndarray, body: np.ndarray, steps: int) -> PartialUNet:
    """`net` after `steps` with holes on slices x [n,C,S,S]."""
    torch.manual_seed(0)
    optimiser, rng = torch.optim.Adam(net.parameters(), 2e-3), np.random.default_rng(0)
    for _ in range(steps):
        at = rng.choice(len(x), 8)
        some = torch.from_numpy(x[at])
        hole = irregular_holes(torch.from_numpy(body[at, None].astype("f4")))
        known = 1 - hole
        back = net(some * known, known)
        loss = inpainting(some, back, hole, torch.ones_like(hole), 0.5)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval()


def biharmonic(x: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """x [n,C,S,S] with holes filled by scikit-image's biharmonic equation."""
    from skimage.restoration import inpaint_biharmonic

    pairs = zip(x, hole)
    return np.stack([inpaint_biharmonic(i, h, channel_axis=0) for i, h in pairs])


def mean_filled(x: np.ndarray, hole: np.ndarray, body: np.ndarray) -> np.ndarray:
    """x with the mean of the body outside of the hole in it."""
    out = x.copy()
    for i in range(len(x)):
        out[i][:, hole[i]] = x[i][:, body[i] & ~hole[i]].mean(1)[:, None]
    return out


# -- figures ---------------------------------------------------------------------------------------
def best_dice(heat: np.ndarray, truth: np.ndarray) -> float:
    """Dice at the best threshold of all pixels pooled (oracle)."""
    counts = _binned(heat, truth)
    return float(pooled((counts[0].sum(0), counts[1].sum(0)))[2])


def psnr(filled: np.ndarray, x: np.ndarray, hole: np.ndarray) -> float:
    """Peak signal-to-noise ratio in holes, mean over slices, in dB."""
    square = (np.square(filled - x).mean(1) * hole).sum((1, 2)) / hole.sum((1, 2))
    return float(-10 * np.log10(np.maximum(square, 1e-10)).mean())


def halo(heat: np.ndarray, truth: np.ndarray, body: np.ndarray) -> float:
    """Mean heat [n,S,S] within four pixels beside lesions over that more than ten pixels away, in
    slices with as much marked as half of those with a lesion, or more; 1 = no halo.
    """
    area = truth.sum((1, 2))
    large = np.flatnonzero(area >= max(1.0, float(np.median(area[area > 0]))))
    away = np.stack([distance_transform_edt(~t) for t in truth[large]])
    near, far = (away > 0) & (away <= 4) & body[large], (away > 10) & body[large]
    return float(heat[large][near].mean() / heat[large][far].mean())


def own_dice(marked: np.ndarray, truth: np.ndarray) -> float:
    """Dice of marks bool [n,S,S], all slices in one."""
    return float(2 * (marked & truth).sum() / max(1, marked.sum() + truth.sum()))


def some_heads() -> Dataset:
    """A quarter of the slices of the generated heads, patients as they are split."""
    data = make_sample("head-phantom")
    kept = [np.flatnonzero(data.splits == s) for s in ("train", "val", "test")]
    some = np.sort(np.concatenate([kept[0][::4], kept[1][::4], kept[2][::4]]))
    return data.take(some)


def residual_heat(method: Any, x: np.ndarray, back: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Heat of another reconstruction `back` of x [n,C,S,S], standardised as ours on the rows
    `normal` bool [n].
    """
    body = method.prepare(x)[1]
    p = method.params
    standard = loop.standard_of((x - back)[normal], body[normal], p.sign, p.smooth)
    return standard.heat(x - back, body)
