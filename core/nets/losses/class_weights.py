"""Weights by which rare classes count as much as frequent ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def class_weights(codes: np.ndarray, classes: int) -> Tensor:
    """float32 [classes]: n / (classes * count) of codes int64 [n] in 0..classes-1; a class of none
    counts as one case. With them a cross-entropy is that of classes of one size.
    """
    count = np.bincount(codes, minlength=classes)
    return torch.from_numpy((len(codes) / (classes * np.maximum(count, 1))).astype("f4"))
