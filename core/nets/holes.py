"""Holes of pictures: unions of circles, squares and ellipses to learn from, and patterns that
together cover every pixel once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST = 8  # shapes a picture
SHARES = (0.05, 0.4)  # of the body


def irregular_holes(body: Tensor, radius: tuple[float, float] = (0.08, 0.3)) -> Tensor:
    """Return holes float32 [b,1,H,W] of 0 and 1 for pictures whose body is `body` [b,1,H,W] of 0
    and 1: unions of one to eight circles, squares and ellipses that lie in the body, as many as
    take 5 to 40 % of it.

    Half axes are drawn from `radius` times the root of the body's area. Where eight shapes take
    less than 5 %, it stays at that; a picture without a body has no hole.
    """
    b, _, height, width = body.shape
    at: Any = {"device": body.device}
    area = body.sum((1, 2, 3))
    chance = body.flatten(1) + 1e-12
    middle = torch.multinomial(chance, MOST, replacement=True)
    size = (radius[0] + (radius[1] - radius[0]) * torch.rand(b, MOST, **at)) * area.sqrt()[:, None]
    kind = torch.randint(0, 3, (b, MOST), **at)  # circle, square, ellipse
    longer = torch.where(kind == 2, 0.4 + 0.6 * torch.rand(b, MOST, **at), 1.0)
    turn = torch.pi * torch.rand(b, MOST, **at)
    y = torch.arange(height, **at)[None, None, :, None] - (middle // width)[..., None, None]
    x = torch.arange(width, **at)[None, None, None, :] - (middle % width)[..., None, None]
    cos, sin, size, longer = (v[..., None, None] for v in (turn.cos(), turn.sin(), size, longer))
    u, v = (
        (y * cos + x * sin) / size.clamp(min=0.5),
        (x * cos - y * sin) / (size * longer).clamp(min=0.5),
    )
    square = (kind == 1)[..., None, None]
    inside = torch.where(square, torch.maximum(u.abs(), v.abs()), u.square() + v.square()) <= 1
    union = inside.to(body.dtype).cummax(1).values * body
    share = union.sum((2, 3)) / area.clamp(min=1)[:, None]
    place = torch.arange(1, MOST + 1, **at)
    wanted = torch.randint(1, MOST + 1, (b, 1), **at)
    enough = (share < SHARES[0]).sum(1, keepdim=True) + 1
    many = torch.minimum(torch.maximum(wanted, enough), (share <= SHARES[1]).sum(1, keepdim=True))
    return (union * (place == many)[..., None, None]).sum(1, keepdim=True)


def tilings(side: int, cells: tuple[int, ...], patterns: int = 4) -> np.ndarray:
    """Return patterns of holes bool [len(cells),patterns,side,side], for each size of square cells
    in pixels: those of one size have no pixel in common and cover all.
    """
    across = int(np.ceil(np.sqrt(patterns)))
    found = []
    for cell in cells:
        at = np.arange(side) // cell
        number = (at[:, None] % across * across + at[None] % across) % patterns
        found.append(number[None] == np.arange(patterns)[:, None, None])
    return np.stack(found)
