"""The best weights of a discriminator that trains to the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Best:
    """The weights with the least loss on the validation cases so far: a discriminator that has
    learned its training cases by heart says nothing.
    """

    def __init__(self, net: torch.nn.Module) -> None:
        self.net, self.loss, self.weights = (
            net,
            float("inf"),
            {k: v.clone() for k, v in net.state_dict().items()},
        )

    def look(self, x: torch.Tensor, sites: torch.Tensor) -> None:
        """Keep the present weights when they are the best; the network is left as it was."""
        import torch
        from torch.nn import functional as F

        self.net.eval()
        with torch.no_grad():
            loss = float(F.cross_entropy(self.net(x).float(), sites))
        self.net.train()
        if loss < self.loss:
            self.loss, self.weights = loss, {k: v.clone() for k, v in self.net.state_dict().items()}

    def put_back(self) -> None:
        self.net.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        import torch

        return {"loss": torch.tensor(self.loss, dtype=torch.float64), "kept": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loss, self.weights = float(state["loss"]), dict(state["kept"])
