"""What the gates of a network's skip connections let through, level by level.

`method` is a fitted method with `resized`, which brings inputs to the working size, `levels(x
[b,C,S,S])`, what its network makes of them from fine to coarse, `gates(levels)`, what is let
through of each level but the last, [b,1,s,s] in [0, 1], and `fill_in(levels, gates)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.sampling import evenly_spaced

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

MANY = 64  # pictures that tell what is usual, at most
AT_ONCE = 16
SHUT = 0.5  # a gate that lets less through is called shut
SAME = 0.02  # levels whose mean gates lie closer are called alike


@dataclass(frozen=True)
class GateUse:
    """Of `n` pictures by level, from fine to coarse: the mean share let through `open` [L], the
    share of places that let less than half through `shut` [L], and `side` [L], places a side.
    """

    open: np.ndarray
    shut: np.ndarray
    side: list[int]
    n: int

    @property
    def is_one_gate(self) -> bool:
        """Whether the levels are alike, as where one gate serves all of them."""
        return bool(np.ptp(self.open) < SAME)


def has_gates(kind: Any) -> bool:
    """Return whether a method (its class or a fitted one) has gates on skip connections."""
    return all(callable(getattr(kind, name, None)) for name in ("gates", "levels", "fill_in"))


def open_gates(method: Any, x: torch.Tensor) -> list[np.ndarray]:
    """Return what is let through of each level of inputs [b,C,H,W]: float32 [b,s,s], fine first."""
    import torch

    with torch.no_grad():
        found = method.gates(method.levels(method.resized(x)))
    return [np.asarray(gate[:, 0].float().cpu()) for gate in found]


def measure_gates(method: Any, data: Dataset) -> GateUse:
    """Return the use of the gates on at most 64 pictures of `data`, evenly taken. ValueError for
    none.
    """
    import torch

    if not len(data):
        raise ValueError("There are no pictures to measure gates on.")
    at = evenly_spaced(len(data), MANY)
    parts = [
        open_gates(method, torch.from_numpy(data.inputs(at[start : start + AT_ONCE])))
        for start in range(0, len(at), AT_ONCE)
    ]
    levels = [np.concatenate(level) for level in zip(*parts)]
    return GateUse(
        np.array([level.mean() for level in levels]),
        np.array([(level < SHUT).mean() for level in levels]),
        [level.shape[-1] for level in levels],
        len(at),
    )
