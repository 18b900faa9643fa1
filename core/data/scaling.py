"""Standardising inputs with the statistics of the training rows, in torch, so that it is part of the model and gradients pass through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset


class Standardise:
    """(x - mean) / sd per column for tables, missing values becoming the mean (0); images, volumes and series pass unchanged.

    Constant columns get sd 1. float32 [b,*shape] in and out; `back` is the inverse (missing values come back as the mean).
    """

    def __init__(self, mean: torch.Tensor, sd: torch.Tensor, shape: tuple[int, ...]) -> None:
        self.mean, self.sd, self.shape = mean, sd, shape

    @classmethod
    def fit(cls, train: Dataset) -> Standardise:
        import torch

        if train.modality != "table":
            return cls(torch.zeros(1), torch.ones(1), train.shape)
        x = train.inputs().astype(np.float64)
        there = np.isfinite(x)
        count = np.maximum(there.sum(0), 1)
        mean = np.where(there, x, 0).sum(0) / count
        sd = np.sqrt((np.where(there, x - mean, 0) ** 2).sum(0) / count)
        sd[sd < 1e-12] = 1.0
        return cls(torch.from_numpy(mean.astype("f4")), torch.from_numpy(sd.astype("f4")), train.shape)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return ((x - self.mean) / self.sd).nan_to_num(nan=0.0)

    def back(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.sd + self.mean

    def to(self, device: Any) -> None:
        self.mean, self.sd = self.mean.to(device), self.sd.to(device)

    def state(self) -> dict[str, Any]:
        return {"scale.mean": self.mean, "scale.sd": self.sd, "scale.shape": list(self.shape)}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Standardise:
        return cls(state["scale.mean"], state["scale.sd"], tuple(state["scale.shape"]))
