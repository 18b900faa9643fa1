"""The parts of label-agnostic forgetting: autoencoders of embeddings, and the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from core.training.run import Run


class EmbeddingVAE(nn.Module):
    """e [b,d] -> its reconstruction through z (8): 128-32-8 and back."""

    def __init__(self, d: int, z: int = 8) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(d, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(32, z), nn.Linear(32, z)
        self.decoder = nn.Sequential(
            nn.Linear(z, 32), nn.ReLU(), nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, d)
        )

    def forward(self, e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.encoder(e)
        mean, lv = self.mean(h), self.log_variance(h).clamp(-8, 8)
        z = mean + (0.5 * lv).exp() * torch.randn_like(mean) if self.training else mean
        return self.decoder(z), mean, lv


def fitted(e: np.ndarray, epochs: int, run: Run) -> EmbeddingVAE:
    """Return the autoencoder of embeddings e [n,d], its weights fixed: squared error + 0.025 KL,
    Adam 1e-3.
    """
    net = EmbeddingVAE(e.shape[1]).to(run.where)
    optimiser, x = torch.optim.Adam(net.parameters(), 1e-3), torch.from_numpy(e).to(run.where)
    rng = np.random.default_rng(run.seed)
    # few cases have few steps a pass
    for _ in range(max(epochs, min(epochs * 10, epochs * 2000 // max(len(x), 1)))):
        order = rng.permutation(len(x))
        for i in range(0, len(order), 64):
            batch = x[torch.from_numpy(order[i : i + 64]).to(run.where)]
            back, mean, lv = net(batch)
            kl = 0.5 * (mean.square() + lv.exp() - 1 - lv).sum(1).mean()
            loss = (back - batch).square().sum(1).mean() + 0.025 * kl
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    net.eval()
    for q in net.parameters():
        q.requires_grad_(False)
    return net


class Guard:
    """Stops forgetting before the retained cases suffer: keeps the last state whose agreement with
    the old model lies within what is allowed.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net, self.agreement, self.stopped = net, 1.0, False
        self.weights = {k: v.clone() for k, v in net.state_dict().items()}

    def look(self, agreement: float, allowed: float) -> bool:
        """Keep the present state if it is good; else stop. Whether it goes on."""
        if self.stopped:
            return False
        if agreement >= 1 - allowed:
            self.agreement = agreement
            self.weights = {k: v.clone() for k, v in self.net.state_dict().items()}
        else:
            self.stopped = True
        return not self.stopped

    def put_back(self) -> None:
        self.net.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "agreement": torch.tensor(self.agreement, dtype=torch.float64),
            "stopped": torch.tensor(self.stopped),
            "kept": self.weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.agreement = float(state["agreement"])
        self.stopped = bool(state["stopped"])
        self.weights = dict(state["kept"])
