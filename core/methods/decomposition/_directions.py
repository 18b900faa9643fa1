"""The directions of a principal component analysis: how many are kept, what they leave over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import UserError

if TYPE_CHECKING:
    import torch

# of a case's own size: a residual below it is no more than float32's rounding
ROUNDING = 32 * float(np.finfo(np.float32).eps)
# variance, relative to the first direction's, below which a direction is rounding
NO_DIRECTION = {"f4": 1e-6, "f8": 1e-11}


@dataclass(frozen=True)
class Directions:
    """`mean` [p], `components` [d,p] of unit length, the largest variance first, and the standard
    deviation `spread` [d] along each, float32 tensors; `explained`, the share of the variance;
    `varying`, how many of the p values differ between cases.
    """

    varying: int
    mean: torch.Tensor
    components: torch.Tensor
    spread: torch.Tensor
    explained: float


def find_directions(flat: np.ndarray, most: int, share: float, seed: int) -> Directions:
    """Of rows [n,p] at most `most` directions: those above rounding, and no more than explain
    `share` of the variance; at least one. UserError where all rows are the same.
    """
    import torch
    from sklearn.decomposition import PCA

    varying = int((np.ptp(flat, axis=0) > 0).sum())
    if not varying:
        raise UserError(
            "All training cases are the same, so there is no direction in which they differ."
        )
    found = PCA(min(most, *flat.shape), random_state=seed).fit(flat)
    variance, ratio = found.explained_variance_, found.explained_variance_ratio_
    keep = int((variance > NO_DIRECTION[flat.dtype.str[1:]] * variance[0]).sum())
    if share < 1:
        keep = min(keep, int(np.searchsorted(np.cumsum(ratio), share)) + 1)
    keep = max(1, keep)
    mean, components, spread = (
        torch.from_numpy(values.astype("f4"))
        for values in (found.mean_, found.components_[:keep], np.sqrt(variance[:keep]))
    )
    return Directions(varying, mean, components, spread, float(ratio[:keep].sum()))


def left_over(x: torch.Tensor, mean: torch.Tensor, components: torch.Tensor) -> torch.Tensor:
    """Mean square [b] of what `components` [d,p] do not redraw of rows x [b,p]; 0 where it is no
    more than rounding.
    """
    flat = x - mean
    left = (flat - (flat @ components.T) @ components).square().mean(1)
    size = x.square().mean(1) + mean.square().mean()
    return left * (left > ROUNDING**2 * size)


def explain_no_score(kept: int, varying: int) -> str:
    """Why `kept` directions of `varying` values give no score."""
    values = "one value that varies" if varying == 1 else f"{varying} values that vary"
    directions = "direction" if kept == 1 else "directions"
    return (
        f"No anomaly score: {kept} {directions} of {values} reconstruct every case, so nothing"
        " is left over to score it by"
        + ("." if varying == 1 else "; keep fewer directions for one.")
    )
