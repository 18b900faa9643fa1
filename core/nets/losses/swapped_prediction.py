"""Swapped prediction: the code of one view is told from the others (Caron et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from core.nets.memory_bank import MemoryBank
from core.nets.sinkhorn import sinkhorn


def swapped_prediction(
    z: Tensor,
    scores: Tensor,
    b: int,
    prototypes: Tensor,
    bank: MemoryBank,
    epsilon: float,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """Return the loss, a 0-d tensor, and the codes [b,K] of the first view.

    z [v*b,d] unit length and scores [v*b,K] of v views of b pictures, stacked; prototypes [K,d].
    The first two views are coded, by Sinkhorn-Knopp of softness `epsilon` and with the earlier
    pictures in `bank`, which keeps them (call its `look` first); each code is then to be told from
    every other view's softmax of `temperature`.
    """
    many = len(scores) // b
    log = (scores.float() / temperature).log_softmax(1).view(many, b, -1)
    losses, codes = [], []
    for i in range(2):
        with torch.no_grad():
            own = scores[i * b : (i + 1) * b].detach()
            every = torch.cat([bank.kept[i] @ prototypes.T, own]) if bank.full[i] else own
            q = sinkhorn(every, epsilon)[-b:]
            bank.push(i, z[i * b : (i + 1) * b].float())
        codes.append(q)
        losses += [-(q * log[v]).sum(1).mean() for v in range(many) if v != i]
    return torch.stack(losses).mean(), codes[0]
