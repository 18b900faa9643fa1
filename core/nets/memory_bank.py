"""A memory of the last pictures that a network saw."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class MemoryBank:
    """The last `size` projected pictures of each of two views, float32 [2,size,width], the newest
    first; to be used only once it is full, since zeros would poison what is made of them.
    """

    def __init__(self, size: int, width: int) -> None:
        self.kept = torch.zeros(2, size, width)
        self.filled = torch.zeros(2, dtype=torch.long)  # pictures that each view has seen
        self.full = (False, False)  # whether each view's memory was, when last looked at

    def to(self, device: Any) -> MemoryBank:
        """Move it to a torch device; gives itself."""
        self.kept, self.filled = self.kept.to(device), self.filled.to(device)
        return self

    def push(self, view: int, z: Tensor) -> None:
        """Keep z [b,width] of this view; the oldest are forgotten."""
        size = self.kept.shape[1]
        if size:
            self.kept[view] = torch.cat([z.detach(), self.kept[view]])[:size]
            self.filled[view] += len(z)

    def look(self) -> tuple[bool, bool]:
        """Look whether each view's memory is full, as a step begins, and keep that in `full`. Until
        both are, a GPU is waited for.
        """
        size = self.kept.shape[1]
        if size and not all(self.full):
            first, second = (self.filled >= size).tolist()
            self.full = (first, second)
        return self.full

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"kept": self.kept, "filled": self.filled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        # one count for both in checkpoints of before
        self.kept, self.filled = state["kept"], state["filled"].expand(2).clone()
        self.full = (False, False)
