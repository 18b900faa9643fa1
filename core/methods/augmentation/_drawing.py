"""How SeaS makes a picture with its mask out of a normal one, and which real one is like it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.nets import diffusion as d

LAST = 3  # steps before the end over which the mask is the mean


def prompt_of(mix: Tensor) -> Tensor:
    """Return weights of tokens [b,tokens] that ask for so much of each kind, `mix` [b,k] in [0, 1];
    all 0 = a normal picture.
    """
    kinds = mix.shape[1]
    weights = d.normal_prompt(kinds).to(mix).repeat(len(mix), 1)
    for kind in range(kinds):
        weights[:, d.tokens_of(kind)] = mix[:, kind : kind + 1]
    return weights


def kind_maps(maps: dict[int, Tensor], mix: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """Return by side the attention [b,s,s] of the tokens of the kinds asked for, mean weighted by
    `mix` [b,k], and that of the normal token, of maps [b,tokens,s,s].
    """
    share = prompt_of(mix)
    share[:, : d.FILLERS + 1] = 0
    share = share / share.sum(1, keepdim=True).clamp_min(1e-6)
    return {
        side: (torch.einsum("bn,bnhw->bhw", share, seen), seen[:, d.FILLERS])
        for side, seen in maps.items()
    }


def joined(maps: dict[int, Tensor]) -> Tensor:
    """Return the mean [b,tokens,s,s] of maps of both sides, at the larger."""
    side = max(maps)
    both = [
        F.interpolate(m, (side, side), mode="bilinear") if m.shape[-1] < side else m
        for m in maps.values()
    ]
    return torch.stack(both).mean(0)


@dataclass
class Drawn:
    """Made pictures `image` [b,C,S,S] in [0, 1], `prob` [b,S,S] of a pixel being abnormal,
    `attention` [b,tokens,S/2,S/2], and `noised` [b,C,S,S], what they were made from.
    """

    image: Tensor
    prob: Tensor
    attention: Tensor
    noised: Tensor


def draw(
    net: Any,
    head: Any,
    x: Tensor,
    mix: Tensor,
    noise: Tensor,
    start: float,
    guidance: float,
    steps: int,
    check: Callable[[], None] = lambda: None,
) -> Drawn:
    """Make pictures from normal ones x [b,C,S,S] in [0, 1] under the prompts `mix` [b,k]: `noise`
    is added up to the share `start` of the noise levels, and taken away in `steps` of DDIM, guided
    from what is normal to what is asked for. `check` is called before each step and may raise.
    """
    kept = d.shares_kept().to(x.device)
    levels = d.noise_levels(max(1, round(start * (d.STEPS - 1))), steps)
    asked, plain = prompt_of(mix), prompt_of(torch.zeros_like(mix))
    now = d.add_noise(2 * x - 1, noise, kept[[levels[0]] * len(x)])
    noised, probs, maps = ((now + 1) / 2).clamp(0, 1), list[Tensor](), list[Tensor]()
    clean = now
    for i, (level, after) in enumerate(pairwise([*levels, -1])):
        check()
        t = torch.full((len(x),), level, device=x.device)
        seen = net(now, t, asked)
        guess = seen.noise
        if guidance != 1:
            base = net(now, t, plain).noise
            guess = base + guidance * (seen.noise - base)
        left = float(kept[after]) if after >= 0 else 1.0
        now, clean = d.step_down(now, guess, float(kept[level]), left)
        if 2 * i >= len(levels) - 1:
            maps.append(joined(seen.maps))
        if i >= len(levels) - LAST:
            probs.append(head(seen.features, clean)[1][:, 0].sigmoid())
    prob, attention = torch.stack(probs).mean(0), torch.stack(maps).mean(0)
    return Drawn(((clean + 1) / 2).clamp(0, 1), prob, attention, noised)


def all_turns(x: np.ndarray, turns: str) -> np.ndarray:
    """Return pictures [n,C,S,S] in every way they may be turned while learning: [w,n,C,S,S]."""
    ways = [x]
    if turns != "none":
        ways.append(x[..., ::-1])
    if turns == "all":
        ways += [w[..., ::-1, :] for w in ways]
        ways += [w.swapaxes(-1, -2) for w in ways]
    return np.stack(ways)


def nearest(x: np.ndarray, real: np.ndarray, turns: str) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the pictures `real` [n,C,S,S], turned whichever way, each of x [m,C,S,S] is
    most like, int64 [m], and how far it is, the root of the mean squared difference [m]. Of equal
    arrays, where x is `real`, the next one that is not the picture itself.
    """
    flat = x.reshape(len(x), -1).astype(np.float64)
    far = np.full((len(x), len(real)), np.inf)
    for way in all_turns(real, turns):
        other = way.reshape(len(real), -1).astype(np.float64)
        squares = (flat**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * flat @ other.T
        far = np.minimum(far, squares)
    if x is real:
        np.fill_diagonal(far, np.inf)
    at = far.argmin(1)
    found = far[np.arange(len(x)), at]
    return at, np.sqrt(np.maximum(found, 0) / flat.shape[1]).astype(np.float32)


def turned(x: Tensor, turns: str) -> Tensor:
    """Return pictures [b,C,S,S], each turned one of the ways allowed, drawn for it."""

    def coin() -> Tensor:
        return torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5

    if turns != "none":
        x = torch.where(coin(), x.flip(3), x)
    if turns == "all":
        x = torch.where(coin(), x.flip(2), x)
        x = torch.where(coin(), x.transpose(2, 3), x)
    return x
