"""A linear layer that holds and computes its existing connections only, and their renewal by sparse
evolutionary training (SET).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

CHUNK = 1 << 22  # products held at once by the backward pass


class SparseLinear(nn.Module):
    """[b,n_in] -> [b,n_out] with about epsilon (n_in + n_out) random connections (Erdos-Renyi),
    values N(0, 0.1²); a dense bias.

    `source`, `target` int64 [connections] say what each value joins. Memory and time grow with the
    connections, never with n_in x n_out.
    """

    source: Tensor
    target: Tensor

    def __init__(self, n_in: int, n_out: int, epsilon: float, rng: np.random.Generator) -> None:
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        wanted = min(n_in * n_out, round(epsilon * (n_in + n_out)))
        place = (
            np.sort(rng.choice(n_in * n_out, wanted, replace=False))
            if n_in * n_out <= 1 << 26
            else np.unique(rng.integers(0, n_in * n_out, wanted))
        )
        self.register_buffer("source", torch.from_numpy(place // n_out))
        self.register_buffer("target", torch.from_numpy(place % n_out))
        self.value = nn.Parameter(torch.from_numpy(rng.normal(0, 0.1, len(place)).astype("f4")))
        self.bias = nn.Parameter(torch.zeros(n_out))

    @property
    def density(self) -> float:
        return len(self.value) / (self.n_in * self.n_out)

    def forward(self, x: Tensor) -> Tensor:
        return _Product.apply(x, self.value, self.source, self.target, self.n_out) + self.bias

    def strength(self) -> Tensor:
        """[n_in]: sum of the absolute values of an input's connections."""
        return torch.zeros(self.n_in, device=self.value.device).index_add_(
            0, self.source, self.value.detach().abs()
        )

    def renew(self, share: float, rng: np.random.Generator, momentum: Tensor | None = None) -> int:
        """SET: the `share` of the positive and of the negative values nearest to zero are taken
        away and as many connections N(0, 0.1²) made at empty places, their momentum 0; gives how
        many. The number of connections stays as it is.
        """
        value = self.value.detach().cpu().numpy()
        gone = np.zeros(len(value), bool)
        for sign in (1, -1):
            own = np.flatnonzero(sign * value > 0)
            gone[own[np.argsort(np.abs(value[own]), kind="stable")[: int(share * len(own))]]] = True
        taken = self.source.cpu().numpy() * self.n_out + self.target.cpu().numpy()
        new: list[int] = []
        kept, wanted = set(taken[~gone].tolist()), int(gone.sum())
        # places are drawn until enough are empty; the layer is sparse, so few draws are in vain
        while len(new) < wanted:
            for place in rng.integers(
                0, self.n_in * self.n_out, 2 * (wanted - len(new)) + 8
            ).tolist():
                if place not in kept and len(new) < wanted:
                    kept.add(place)
                    new.append(place)
        place = taken.copy()
        place[gone] = new
        value = value.copy()
        value[gone] = rng.normal(0, 0.1, wanted)
        if momentum is not None:
            momentum[torch.from_numpy(gone).to(momentum.device)] = 0.0
        with torch.no_grad():
            self.value.copy_(torch.from_numpy(value))
            self.source.copy_(torch.from_numpy(place // self.n_out))
            self.target.copy_(torch.from_numpy(place % self.n_out))
        return wanted


class _Product(torch.autograd.Function):
    """x W for a W given by its entries, in O(batch x connections), in float32: no sparse product is
    there in bf16; gradients for x and the entries alone.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, value: Tensor, source: Tensor, target: Tensor, n_out: int
    ) -> Tensor:
        x = x.float()
        ctx.save_for_backward(x, value, source, target)
        weight = torch.sparse_coo_tensor(
            torch.stack([target, source]), value, (n_out, x.shape[1]), check_invariants=False
        )
        with torch.autocast(x.device.type, enabled=False):
            return torch.sparse.mm(weight, x.T).T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        x, value, source, target = ctx.saved_tensors
        weight = torch.sparse_coo_tensor(
            torch.stack([source, target]),
            value,
            (x.shape[1], grad.shape[1]),
            check_invariants=False,
        )
        to_x = torch.sparse.mm(weight, grad.T.contiguous()).T if ctx.needs_input_grad[0] else None
        step = max(1, CHUNK // max(1, len(x)))
        parts = [
            (x[:, source[i : i + step]] * grad[:, target[i : i + step]]).sum(0)
            for i in range(0, len(value), step)
        ]
        return to_x, torch.cat(parts), None, None, None


class SparseAutoencoder(nn.Module):
    """[b,p] -> [b,p]: sigmoid hidden units with dropout between two sparse layers."""

    def __init__(self, p: int, hidden: int, epsilon: float, dropout: float, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.first = SparseLinear(p, hidden, epsilon, rng)
        self.second = SparseLinear(hidden, p, epsilon, rng)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.dropout(torch.sigmoid(self.first(x))))

    def connections(self) -> int:
        """How many there are in both layers."""
        return len(self.first.value) + len(self.second.value)

    def renew(self, share: float, seed: tuple[int, int], optimiser: torch.optim.Optimizer) -> None:
        """Renew both layers (see `SparseLinear.renew`), drawn by `seed`; new connections begin
        without momentum.
        """
        for i, layer in enumerate((self.first, self.second)):
            momentum = optimiser.state[layer.value].get("momentum_buffer")
            layer.renew(share, np.random.default_rng((*seed, i)), momentum)
