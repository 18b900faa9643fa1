"""Losses are looked at a few steps late, since looking makes a GPU wait; a bad one is told with its
step and cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

EVERY = 10  # steps after which losses are looked at, at the latest
NAMED = 5  # cases of a bad batch that are named


class LossLog:
    """The losses of a loop since they were looked at, as (step, loss, positions in `data`)."""

    def __init__(self) -> None:
        self.data: Dataset | None = None
        self.recent: list[tuple[int, torch.Tensor, np.ndarray]] = []

    def begin(self, data: Dataset) -> None:
        """Begin a loop over `data`."""
        self.data, self.recent = data, []

    def add(self, step: int, loss: torch.Tensor, at: np.ndarray) -> None:
        """Keep the loss of a step and the positions [b] of its cases until they are looked at."""
        self.recent.append((step, loss, at))

    def check(self) -> None:
        """UserError naming the step and cases of the batch at which the loss was no finite number
        for the first time, if it was.
        """
        import torch

        recent, self.recent = self.recent, []
        if not recent:
            return
        bad = ~torch.stack([loss.float() for _, loss, _ in recent]).isfinite()
        if bool(bad.any()):
            step, _, at = recent[int(bad.float().argmax())]
            raise UserError(
                f"The loss stopped being a number at step {step}{self.worst(at)}; look at them for"
                " extreme values, or try a smaller learning rate."
            )

    def check_weights(self, net: Any, done: int, at: np.ndarray) -> None:
        """UserError where a weight of `net` is no finite number after `done` steps."""
        if net is not None and not all(bool(v.isfinite().all()) for v in net.parameters()):
            raise UserError(
                f"The weights stopped being numbers at step {done}{self.worst(at)}; look at them"
                " for extreme values, or try a smaller learning rate."
            )

    def worst(self, at: np.ndarray) -> str:
        """Return the cases of a batch in words, those with the most extreme inputs first."""
        assert self.data is not None
        rows, names = self.data.rows[at], self.data.names()[at]
        order = np.arange(len(at))
        if self.data.samples is not None:
            x = np.abs(self.data.raw(at).reshape(len(at), -1).astype(np.float64))
            order = np.argsort(-np.where(np.isnan(x), 0, x).max(1, initial=0), kind="stable")
        # slices of volumes are called by the volume's row
        deep = getattr(self.data.samples, "depth", 0)
        named = []
        for r, name in zip(rows[order[:NAMED]], names[order[:NAMED]], strict=True):
            row = f"row {r // deep}, slice {r % deep}" if deep else f"row {r}"
            named.append(row + (f" ({name})" if name != f"row {r}" else ""))
        more = f" and {len(at) - NAMED} more" if len(at) > NAMED else ""
        return f", in a batch of {len(at)} cases: {', '.join(named)}{more}"
