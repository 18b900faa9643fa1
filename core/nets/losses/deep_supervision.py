"""The loss of an outlining network with several heads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.losses import DiceCELoss
from torch import Tensor


def dice_and_cross_entropy() -> Callable[[list[Tensor], Tensor], Tensor]:
    """A loss (heads, truth) -> [heads]: cross-entropy + (1 - soft Dice of the marked pixels over
    the batch) of each head's logits [b,2,H,W] against the truth [b,H,W], 0 or 1. Logits may be
    larger below and to the right (padded); what lies beyond the truth is not looked at.
    """
    loss_of = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)

    def losses(heads: list[Tensor], truth: Tensor) -> Tensor:
        h, w = truth.shape[1:]
        y = truth[:, None].float()
        return torch.stack([loss_of(head[..., :h, :w].float(), y) for head in heads])

    return losses
