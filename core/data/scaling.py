"""Standardising inputs with the statistics of the training rows, in torch, so that it is part of
the model and gradients pass through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset


LOST = 1e-5  # of a column's spread: float32 may round its values by that much
PIECE = 1 << 14  # values looked at at a time
LOOKED = 10_000  # values of a column by which its spread is judged


def needs_float64(values: np.ndarray) -> bool:
    """Whether a column (float64 [n], NaN = missing) has to be stored as float64: float32 would
    round whole numbers, or others by more than `LOST` of their spread. So it is with Julian days,
    seconds since 1970 and genome positions: large numbers with small differences.
    """
    largest, worst = _find_largest(values)
    if np.isnan(largest):
        return False
    if np.isinf(largest):
        return needs_float64(values[np.isfinite(values)])
    if largest > float(np.finfo(np.float32).max):
        return True
    if worst == 0:
        return False
    missing = np.isnan(values)
    there = values[~missing] if missing.any() else values
    if worst >= 0.5 and bool((there == np.round(there)).all()):
        return True
    some = there[:: max(1, len(there) // LOOKED)]
    low, high = np.quantile(some, [0.25, 0.75])
    middle = float(high - low) / 1.349
    spread = min(float(some.std()), middle) if middle > 0 else float(some.std())
    return 0 < LOST * spread < worst


def _find_largest(values: np.ndarray) -> tuple[float, float]:
    """Return the largest number (float64 [n]) without its sign, and by how much float32 rounds one
    at most; nan without numbers. A piece at a time, which the processor's cache holds.
    """
    largest = worst = np.nan
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(values), PIECE):
            part = values[start : start + PIECE]
            largest = np.fmax(largest, np.fmax.reduce(np.abs(part)))
            worst = np.fmax(worst, np.fmax.reduce(np.abs(part - part.astype(np.float32))))
    return float(largest), float(worst)


class Standardise:
    """(x - mean) / scale per column for tables (scale: standard deviation or range), missing values
    becoming the mean (0); images, volumes and series pass unchanged, but for series whose channels
    have different units: each channel is then standardised, or the one with the largest numbers
    would be all that counts.

    Constant columns get scale 1. float32 [b,*shape] in and out; `back` is the inverse (missing
    values come back as the mean). Of tables stored as float64 the statistics are float64, which the
    offset is subtracted in; what comes out is float32, and `back` gives float64 again.
    """

    def __init__(self, mean: torch.Tensor, sd: torch.Tensor, shape: tuple[int, ...]) -> None:
        self.mean, self.sd, self.shape = mean, sd, shape

    @classmethod
    def fit(cls, train: Dataset, by: Literal["deviation", "range"] = "deviation") -> Standardise:
        """Statistics of `train`. `by` "range" divides by largest minus smallest value: columns that
        hardly vary stay small, which suits clustering, where a z-score would make their noise as
        loud as the rest.
        """
        import torch

        if train.modality == "series" and len(set(train.card.get("units") or [])) > 1:
            x = train.inputs()
            sd = x.std((0, 2), dtype=np.float64)[:, None]
            return cls(
                torch.from_numpy(x.mean((0, 2), dtype=np.float64)[:, None].astype("f4")),
                torch.from_numpy(np.where(sd < 1e-12, 1.0, sd).astype("f4")),
                train.shape,
            )
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
        kind = train.input_type
        return cls(
            torch.from_numpy(mean.astype(kind)), torch.from_numpy(sd.astype(kind)), train.shape
        )

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Values [b,*shape] as float32 in standard deviations from the mean; missing ones are 0."""
        return ((x - self.mean) / self.sd).float().nan_to_num(nan=0.0)

    def back(self, x: torch.Tensor) -> torch.Tensor:
        """From standard deviations back to the data's own units."""
        return x * self.sd + self.mean

    def to(self, device: Any) -> Standardise:
        """Move mean and deviation to a device; gives itself."""
        self.mean, self.sd = self.mean.to(device), self.sd.to(device)
        return self

    def state(self) -> dict[str, Any]:
        """Return what `restore` makes it again from."""
        return {"mean": self.mean, "sd": self.sd, "shape": list(self.shape)}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Standardise:
        """Return the scale that `state` was given by."""
        return cls(state["mean"], state["sd"], tuple(state["shape"]))
