"""The loss of an outlining network with several heads."""

from __future__ import annotations

import torch
from torch import Tensor

from core.nets.monai_parts import DiceCELoss


def dice_and_cross_entropy(heads: list[Tensor], truth: Tensor) -> Tensor:
    """Cross-entropy + (1 - soft Dice of the marked pixels over the batch) of each head's logits
    [b,2,H,W] against the truth [b,H,W], 0 or 1: [heads].
    """
    loss_of = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    return torch.stack([loss_of(head.float(), truth[:, None].float()) for head in heads])
