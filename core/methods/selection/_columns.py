"""What columns there are to select from (of pictures, every pixel is one), and their strengths
while a network learns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.data.scaling import Standardise

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.nets.sparse import SparseAutoencoder


def column_names(data: Dataset) -> list[str]:
    """Return the features' names, or where each value stands in the sample."""
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


class Renewal:
    """Keeps the strength of every column after each epoch, float32 [epochs,p], and then has the
    network's weakest connections, a `share` of them, renewed; part of the checkpoint.
    """

    def __init__(
        self,
        net: SparseAutoencoder,
        optimiser: torch.optim.Optimizer,
        epochs: int,
        share: float,
        seed: int,
    ) -> None:
        self.net, self.optimiser, self.share, self.seed = net, optimiser, share, seed
        self.strength = torch.zeros(epochs, net.first.n_in)

    def renew(self, epoch: int) -> None:
        """Do so as this epoch begins; what is drawn is fixed by the seed and the epoch."""
        self.strength[epoch - 1] = self.net.first.strength().cpu()
        self.net.renew(self.share, (self.seed, epoch - 1), self.optimiser)

    def history(self) -> np.ndarray:
        """Return the strengths, those at the end included."""
        self.strength[-1] = self.net.first.strength().cpu()
        return self.strength.cpu().numpy()

    def state_dict(self) -> dict[str, Any]:
        return {"strength": self.strength}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.strength = state["strength"]
