"""Early stopping: a training ends when nothing improved for a while, with the weights that were
best.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LEAST = 20  # steps between two looks: with few rows an epoch is too short to tell anything


class Stopping:
    """Looks at `score` (lower is better, without gradients, `net` in evaluation mode) after every
    epoch of at least `LEAST` steps once `after` epochs are over; `patience`: so many looks in a row
    without a new best end the training. What it remembers is saved with the checkpoints, so that a
    resumed training ends alike.

    Cost: one `score` an epoch and a copy of the weights.
    """

    def __init__(
        self, net: torch.nn.Module, patience: int, score: Callable[[], float], after: int = 0
    ) -> None:
        self.net, self.patience, self.score, self.after = net, patience, score, after
        self.best, self.since, self.looks, self.at = math.inf, 0, 0, 0
        self.weights = _copy(net)

    def is_due(self, done: int, per_epoch: int) -> bool:
        """Whether to look after `done` steps: at the end of an epoch behind the first `after`."""
        return done % _steps_between(per_epoch) == 0 and done > self.after * per_epoch

    def say(self, done: int, total: int, per_epoch: int) -> str:
        """In words, that and why the training ended."""
        epochs = self.patience * _steps_between(per_epoch) // per_epoch
        return (
            f"Stopped at epoch {done // per_epoch} of {total // per_epoch}, since nothing improved"
            f" on the validation cases for {epochs} epochs."
        )

    def look(self) -> float:
        """Return the score now; remembers the weights when it is the best so far."""
        import torch

        self.net.eval()
        with torch.no_grad(), torch.random.fork_rng():
            found = self.score()
        self.net.train()
        self.looks += 1
        if found < self.best:
            self.best, self.since, self.at, self.weights = found, 0, self.looks, _copy(self.net)
        else:
            self.since += 1
        return found

    @property
    def over(self) -> bool:
        """Whether the score has not got better for `patience` looks."""
        return self.since >= self.patience

    def put_back(self) -> None:
        """Give the network its best weights."""
        self.net.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors a checkpoint keeps."""
        return {
            "best": self.best if math.isfinite(self.best) else None,
            "since": self.since,
            "looks": self.looks,
            "at": self.at,
            "weights": self.weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.best = math.inf if state["best"] is None else state["best"]
        self.since = state["since"]
        self.looks = state["looks"]
        self.at = state["at"]
        self.weights = state["weights"]


def _steps_between(per_epoch: int) -> int:
    """Return the steps between two looks: whole epochs."""
    return per_epoch * -(-LEAST // per_epoch)


def _copy(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}
