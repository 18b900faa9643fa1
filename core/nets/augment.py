"""Augmentation of picture batches on the device, by kornia. Grey pictures get brightness, contrast,
gamma and noise in place of hue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def views(
    shape: tuple[int, ...],
    strength: float = 1.0,
    flip: bool = False,
    crop: int = 0,
    scale: tuple[float, float] = (0.35, 1.0),
) -> Callable[[Tensor], Tensor]:
    """Return a function [b,C,H,W] in [0,1] -> one augmented view in [0,1], of side `crop` if given.
    It draws from torch's global generator.

    Below 24 pixels only slight turns, shifts and zooms: crops of such small pictures no longer show
    what they are of. Left-right flips are off by default, since sides matter in medicine.
    """
    import kornia.augmentation as K

    channels, height, width = shape
    small = min(height, width) < 24
    steps: list[Any] = []
    if small:
        steps.append(
            K.RandomAffine(
                degrees=12 * strength,
                translate=(0.12 * strength, 0.12 * strength),
                scale=(1 - 0.15 * strength, 1 + 0.15 * strength),
                p=1.0,
            )
        )
    else:
        steps.append(
            K.RandomResizedCrop((crop or height, crop or width), scale=scale, ratio=(0.85, 1.18))
        )
        steps.append(K.RandomRotation(10 * strength, p=0.5))
    if flip:
        steps.append(K.RandomHorizontalFlip(p=0.5))
    if channels == 3:
        steps.append(
            K.ColorJitter(0.4 * strength, 0.4 * strength, 0.4 * strength, 0.1 * strength, p=0.8)
        )
        steps.append(K.RandomGrayscale(p=0.2))
    else:
        steps.append(K.RandomBrightness((1 - 0.25 * strength, 1 + 0.25 * strength), p=0.5))
        steps.append(K.RandomContrast((1 - 0.3 * strength, 1 + 0.3 * strength), p=0.5))
        steps.append(K.RandomGamma((1 - 0.3 * strength, 1 + 0.4 * strength), p=0.3))
    if not small:
        side = max(3, min(height, width) // 10 | 1)
        steps.append(K.RandomGaussianBlur((side, side), (0.1, 1.5), p=0.3))
    steps.append(K.RandomGaussianNoise(std=0.05 * strength, p=0.3))
    made = K.AugmentationSequential(*steps, data_keys=["input"])
    return lambda x: made(x).clamp(0, 1)


def multi_crop(
    shape: tuple[int, ...], small_crops: int, strength: float = 1.0, flip: bool = False
) -> Callable[[Tensor], list[Tensor]]:
    """Return a function [b,C,H,W] -> views of it: two of the whole size, and from 28 pixels on
    `small_crops` of half the side (at least 14).
    """
    large, side = views(shape, strength, flip), min(shape[1:])
    if side < 28 or not small_crops:
        return lambda x: [large(x), large(x)]
    small = views(shape, strength, flip, crop=max(14, side // 2), scale=(0.1, 0.35))
    return lambda x: [large(x), large(x), *(small(x) for _ in range(small_crops))]


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
