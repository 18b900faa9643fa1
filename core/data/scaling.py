"""Standardising inputs with the statistics of the training rows, in torch, so that it is part of the model and gradients pass through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset


class Standardise:
    """(x - mean) / scale per column for tables (scale: standard deviation or range), missing values becoming the mean (0); images, volumes and series pass unchanged, but for
    series whose channels have different units: each channel is then standardised, or the one with the largest numbers would be all that counts.

    Constant columns get scale 1. float32 [b,*shape] in and out; `back` is the inverse (missing values come back as the mean).
    """

    def __init__(self, mean: torch.Tensor, sd: torch.Tensor, shape: tuple[int, ...]) -> None:
        self.mean, self.sd, self.shape = mean, sd, shape

    @classmethod
    def fit(cls, train: Dataset, by: Literal["deviation", "range"] = "deviation") -> Standardise:
        """Statistics of `train`. `by` "range" divides by largest minus smallest value: columns that hardly vary stay small, which suits
        clustering, where a z-score would make their noise as loud as the rest."""
        import torch

        if train.modality == "series" and len(set(train.card.get("units") or [])) > 1:
            x = train.inputs()
            sd = x.std((0, 2), dtype=np.float64)[:, None]
            return cls(torch.from_numpy(x.mean((0, 2), dtype=np.float64)[:, None].astype("f4")), torch.from_numpy(np.where(sd < 1e-12, 1.0, sd).astype("f4")), train.shape)
        if train.modality != "table":
            return cls(torch.zeros(1), torch.ones(1), train.shape)
        x = train.inputs().astype(np.float64)
        there = np.isfinite(x)
        count = np.maximum(there.sum(0), 1)
        mean = np.where(there, x, 0).sum(0) / count
        if by == "range":
            sd = np.where(there, x, -np.inf).max(0) - np.where(there, x, np.inf).min(0)
            sd[~np.isfinite(sd)] = 1.0
        else:
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
