"""Dinomaly's loose loss: whole maps are to agree, and places that already do count less."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

EASY = 0.1  # what is left of the gradient at easy places


def loose(pairs: list[tuple[Tensor, Tensor]], easy: float) -> Tensor:
    """Return the mean over pairs (seen, made anew) of maps [b,d,s,s] of 1 - their cosine, each
    picture's map taken as one vector; in [0, 2].

    The share `easy` in [0, 1) of the places of a batch, those nearest to what was seen, passes on a
    tenth of its gradient; the value does not depend on it.
    """
    losses = []
    for seen, made in pairs:
        seen = seen.detach()
        if easy > 0 and made.requires_grad:
            apart = 1 - F.cosine_similarity(seen, made.detach(), dim=1)
            rank = min(apart.numel(), max(1, round(easy * apart.numel())))
            limit = apart.flatten().kthvalue(rank).values
            share = torch.where(apart <= limit, EASY, 1.0)[:, None]
            made.register_hook(lambda gradient, share=share: gradient * share)
        losses.append((1 - F.cosine_similarity(seen.flatten(1), made.flatten(1))).mean())
    return torch.stack(losses).mean()
