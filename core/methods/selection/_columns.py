"""What columns there are to select from; of pictures, every pixel is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.data.scaling import Standardise

if TYPE_CHECKING:
    from core.data.dataset import Dataset


def column_names(data: Dataset) -> list[str]:
    """The features' names, or where each value stands in the sample."""
    if data.features:
        return list(data.features)
    width = data.shape[-1]
    return [f"row {i // width}, column {i % width}" for i in range(int(np.prod(data.shape)))]


def fit_scale(train: Dataset) -> Standardise:
    """Mean and deviation of each column of `train`, for pictures as well."""
    if train.modality == "table":
        return Standardise.fit(train)
    x = train.inputs().reshape(len(train), -1)
    deviation = x.std(0)
    deviation = np.where(deviation < 1e-6, 1.0, deviation).astype("f4")
    return Standardise(torch.from_numpy(x.mean(0)), torch.from_numpy(deviation), (x.shape[1],))


class Strengths:
    """Strength of every column after each epoch, float32 [epochs,p]; part of the checkpoint."""

    def __init__(self, epochs: int, p: int) -> None:
        self.strength = torch.zeros(epochs, p)

    def keep(self, epoch: int, strength: torch.Tensor) -> None:
        """Keep the strengths [p] at the end of this epoch."""
        self.strength[epoch] = strength.cpu()

    def state_dict(self) -> dict[str, Any]:
        return {"strength": self.strength}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.strength = state["strength"]
