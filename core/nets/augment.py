"""Augmentation of picture batches on the device they are on. What is done to each picture is drawn
for the whole batch at once, from torch's global generator of that device.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SMALL = 24  # pixels; crops of pictures of fewer no longer show what they are of
GREY = (0.299, 0.587, 0.114)  # luma of red, green, blue (ITU-R BT.601)
# red, green, blue to luma and two chroma axes (YIQ), in whose plane a hue is an angle
TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True)
class Views:
    """Alters pictures [b,C,H,W] in [0,1], each in its own way, to views [b,C,side,side] (or
    [b,C,H,W] without `side`) in [0,1].

    Pictures of SMALL pixels and more are cropped to a share of their area in `scale`, turned (half
    of them, to 10 degrees), blurred (30 %); smaller ones turned to 12 degrees, shifted by 12 % and
    zoomed by 15 %. Grey pictures, and pictures of other than three channels, change in brightness
    (half of them, by 0.25), contrast (half, 30 %) and gamma (30 %, 0.7 to 1.4); coloured ones in
    brightness, contrast, saturation (40 %) and hue (a tenth of a turn), four of five, and one of
    five loses its colour. 30 % get noise (0.05). `strength` multiplies these ranges. Sides are not
    swapped unless `flip` is asked for, since they matter in medicine.
    """

    strength: float = 1.0
    flip: bool = False
    side: int = 0
    scale: tuple[float, float] = (0.35, 1.0)

    def __call__(self, x: Tensor) -> Tensor:
        small = min(x.shape[2:]) < SMALL
        x = self._cut(x, small)
        x = self._recolour(x) if x.shape[1] == 3 else self._relight(x)
        if not small:
            x = _blur(
                x, _chosen(x, 0.3) * _uniform(x, 0.1, 1.5), max(3, min(x.shape[2:]) // 10 | 1)
            )
        noise = _chosen(x, 0.3) * 0.05 * self.strength
        return (x + noise[:, None, None, None] * torch.randn_like(x)).clamp(0, 1)

    def _cut(self, x: Tensor, small: bool) -> Tensor:
        """Crop, turn, shift, zoom and mirror by sampling once; black beyond the borders."""
        s, (height, width) = self.strength, x.shape[2:]
        if small:
            angle = _uniform(x, -12 * s, 12 * s)
            high = wide = 1 / _uniform(x, 1 - 0.15 * s, 1 + 0.15 * s)
            down, right = (2 * _uniform(x, -0.12 * s, 0.12 * s) for _ in "xy")
        else:
            angle = _chosen(x, 0.5) * _uniform(x, -10 * s, 10 * s)
            ratio = _uniform(x, math.log(0.85), math.log(1.18)).exp()
            area = _uniform(x, *self.scale)
            high, wide = (area / ratio).sqrt().clamp(max=1), (area * ratio).sqrt().clamp(max=1)
            down, right = ((1 - part) * _uniform(x, -1, 1) for part in (high, wide))
        mirror = 1 - 2 * _chosen(x, 0.5 * self.flip)
        cos, sin = (f(angle * math.pi / 180) for f in (torch.cos, torch.sin))
        # in halves of the picture's sides, as `affine_grid` counts
        across = torch.stack([mirror * wide * cos, -high * sin * height / width, right], 1)
        along = torch.stack([mirror * wide * sin * width / height, high * cos, down], 1)
        size = [*x.shape[:2], self.side or height, self.side or width]
        grid = F.affine_grid(torch.stack([across, along], 1), size, align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    def _relight(self, x: Tensor) -> Tensor:
        s = self.strength
        brightness = _chosen(x, 0.5) * _uniform(x, -0.25 * s, 0.25 * s)
        contrast = 1 + _chosen(x, 0.5) * _uniform(x, -0.3 * s, 0.3 * s)
        gamma = 1 + _chosen(x, 0.3) * _uniform(x, -0.3 * s, 0.4 * s)
        x = _contrast((x + _each(brightness)).clamp(0, 1), contrast)
        return x.pow(_each(gamma))

    def _recolour(self, x: Tensor) -> Tensor:
        s, changed = self.strength, _chosen(x, 0.8)
        brightness, contrast, saturation = (
            1 + changed * _uniform(x, -0.4 * s, 0.4 * s) for _ in range(3)
        )
        saturation = saturation * (1 - _chosen(x, 0.2))
        turn = changed * _uniform(x, -0.1 * s, 0.1 * s) * 2 * math.pi
        x = _contrast((x * _each(brightness)).clamp(0, 1), contrast)
        # a change of hue and saturation is a turn and a stretch of the plane of chroma
        plane = torch.zeros(len(x), 3, 3, device=x.device, dtype=x.dtype)
        plane[:, 0, 0] = 1
        plane[:, 1, 1] = plane[:, 2, 2] = saturation * turn.cos()
        plane[:, 2, 1] = saturation * turn.sin()
        plane[:, 1, 2] = -plane[:, 2, 1]
        to_yiq = _constant(TO_YIQ, x.device, x.dtype)
        mixed = torch.linalg.inv(to_yiq) @ plane @ to_yiq
        return torch.bmm(mixed, x.flatten(2)).view_as(x).clamp(0, 1)


def _uniform(x: Tensor, low: float, high: float) -> Tensor:
    """Draw a number from `low` to `high` for each picture of x [b,...]: [b]."""
    return torch.rand(len(x), device=x.device, dtype=x.dtype) * (high - low) + low


def _chosen(x: Tensor, share: float) -> Tensor:
    """1 for about `share` of the pictures of x [b,...], 0 for the others: [b]."""
    return (torch.rand(len(x), device=x.device) < share).to(x.dtype)


@functools.cache
def _constant(values: tuple[Any, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return `values` as a tensor, sent to the device once, since a GPU is waited for each time."""
    return torch.tensor(values, device=device, dtype=dtype)


def _each(value: Tensor) -> Tensor:
    """[b] for use with [b,C,H,W]."""
    return value[:, None, None, None]


def _contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Distances from each picture's mean, of its luma where it has colours, times `factor` [b]."""
    colours = x.shape[1] == 3
    weight = (
        _constant(GREY, x.device, x.dtype) if colours else x.new_full((x.shape[1],), 1 / x.shape[1])
    )
    mean = torch.einsum("bchw,c->b", x, weight) / (x.shape[2] * x.shape[3])
    return (_each(mean) + _each(factor) * (x - _each(mean))).clamp(0, 1)


def _blur(x: Tensor, sigma: Tensor, side: int) -> Tensor:
    """Each picture of x [b,C,H,W] under its own Gaussian of standard deviation `sigma` [b] pixels,
    cut off at `side` pixels (odd); those with 0 stay.
    """
    # on a GPU all are, since to count those that are to be it would have to be waited for
    picked = torch.arange(len(x), device=x.device) if x.is_cuda else sigma.nonzero()[:, 0]
    some, (b, c) = x[picked], (len(picked), x.shape[1])
    if not b:
        return x
    place = torch.arange(side, device=x.device, dtype=x.dtype) - side // 2
    # the smallest leaves a picture as it is
    kernel = (-(place**2) / (2 * sigma[picked, None].clamp(min=1e-3) ** 2)).exp()
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0)
    grown = [n + 2 * (side // 2) for n in some.shape[2:]]
    flat = F.pad(some, [side // 2] * 4, mode="reflect").reshape(1, b * c, *grown)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=b * c)
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=b * c)
    return x.index_copy(0, picked, flat.reshape(some.shape))


def multi_crop(
    shape: tuple[int, ...], small_crops: int, strength: float = 1.0, flip: bool = False
) -> Callable[[Tensor], list[Tensor]]:
    """Return a function [b,C,H,W] -> views of it (see `Views`): two of the whole size, and from 28
    pixels on `small_crops` of half the side (at least 14).
    """
    large, side = Views(strength, flip), min(shape[1:])
    if side < 28 or not small_crops:
        return lambda x: list(large(x.repeat(2, 1, 1, 1)).chunk(2))
    small = Views(strength, flip, side=max(14, side // 2), scale=(0.1, 0.35))

    def cut(x: Tensor) -> list[Tensor]:
        few = small(x.repeat(small_crops, 1, 1, 1)).chunk(small_crops)
        return [*large(x.repeat(2, 1, 1, 1)).chunk(2), *few]

    return cut


def crops(x: Tensor, y: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Random crops of pictures x [b,C,H,W] and their masks y [b,H,W], `side` pixels or the whole
    (0, or smaller pictures), turned by quarters and mirrored; every third lies around a marked
    pixel, since what is marked may be rare. It draws from torch's global generator.

    The masks stay in the machine's memory until they are cut, since where to cut is decided there;
    both come back on the device of `x`.
    """
    h, w = ((min(side, s) if side else s) for s in y.shape[1:])
    xs, ys = [], []
    for k in range(len(x)):
        top, left = (
            int(torch.randint(s - c + 1, ())) for s, c in ((y.shape[1], h), (y.shape[2], w))
        )
        marked = y[k].nonzero() if torch.rand(()) < 1 / 3 else y.new_zeros(0, 2)
        if len(marked):
            at = marked[int(torch.randint(len(marked), ()))].tolist()
            top, left = (
                min(max(p - int(torch.randint(c, ())), 0), s - c)
                for p, c, s in zip(at, (h, w), y.shape[1:])
            )
        own, mask = x[k, :, top : top + h, left : left + w], y[k, top : top + h, left : left + w]
        turn, mirror = int(torch.randint(4, ())), bool(torch.rand(()) < 0.5)
        turn = turn if h == w else 2 * (turn % 2)
        own, mask = own.rot90(turn, (1, 2)), mask.rot90(turn, (0, 1))
        xs.append(own.flip(2) if mirror else own)
        ys.append(mask.flip(1) if mirror else mask)
    return torch.stack(xs), torch.stack(ys).to(x.device, non_blocking=True)


def same_crop(x: Tensor, side: int) -> Tensor:
    """Return the same random square of every picture x [b,C,H,W], at most `side` pixels; 0 = all of
    it. It draws from torch's global generator.
    """
    if not side:
        return x
    top, left = (int(torch.randint(max(s - side, 0) + 1, ())) for s in x.shape[2:])
    return x[:, :, top : top + side, left : left + side]
