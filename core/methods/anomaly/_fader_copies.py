"""What FADeR's gates learn with: normal pictures, copies with a part pasted in, what to shut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.methods.anomaly import _pasted

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run


def with_copies(base: Any, some: Dataset, run: Run) -> Dataset:
    """Return, of each picture [C,S,S], itself, a copy with a part pasted in, what of the copy is
    hidden, and what of the part is not: [2C+2,S,S]. `base` is the fitted inpainter, which says what
    else is hidden.
    """
    x, rng = np.asarray(run.map(base.resized, some)), np.random.default_rng(run.seed)
    donors = _pasted.altered(x, rng)[rng.permutation(len(x))]
    changed, where = _pasted.pasted(x, donors, rng, (0.08, 0.25))
    hidden = _pasted.covered(where, rng)
    mask = run.map(base.mask, some.with_samples(changed), 32)[:, 0]
    more = np.stack([np.where(where, hidden, mask), where & ~hidden], 1).astype(np.float32)
    return some.with_samples(np.concatenate([x, changed, more], 1))


def taken_apart(base: Any, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Of what `with_copies` gives: pictures [b,C,S,S], what the network is given of these and of
    their copies [2b,C,S,S], and what of a pasted part it sees [b,1,S,S].
    """
    import torch

    x, changed, more = rows.split([(rows.shape[1] - 2) // 2] * 2 + [2], 1)
    mask, shut = more.split(1, 1)
    whole, masks = torch.cat([x, changed]), torch.cat([base.mask(x), mask])
    return x, base.excised(whole, masks, base.size_), shut


def fill_in(
    base: Any, levels: Sequence[torch.Tensor], gates: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return the picture [b,C,S,S] of levels whose skips are let through by `gates`."""
    from core.nets.gates import attenuated

    found: torch.Tensor = base.net_.decode(attenuated(levels, gates))
    return found


def edge_errors(
    base: Any, x: torch.Tensor, levels: Sequence[torch.Tensor], gates: Any
) -> list[torch.Tensor]:
    """Return the edge differences of x [b,C,S,S] and what is redrawn through the module `gates`,
    None = without any, at the size of each skip.
    """
    from torch.nn.functional import adaptive_avg_pool2d

    from core.nets.losses.recovery import edge_map

    back = base.net_.decode(levels) if gates is None else fill_in(base, levels, gates(levels))
    error = edge_map(x, back)
    return [adaptive_avg_pool2d(error, v.shape[-1]) for v in levels[:-1]]


def targets_of(
    error: Sequence[torch.Tensor], shut: torch.Tensor, usual: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Return what gates should be, for each skip [2b,1,h,w]: of pictures by their `error`
    [b,1,h,w] between the `usual` [2], of their copies 0 where most of a cell is `shut` [b,1,S,S].
    """
    import torch
    from torch.nn.functional import adaptive_avg_pool2d

    from core.nets.losses.gating import share_to_keep

    found = []
    for wrong, bounds in zip(error, usual, strict=True):
        part = adaptive_avg_pool2d(shut, wrong.shape[-1]) >= 0.5
        found.append(torch.cat([share_to_keep(wrong, *bounds), 1 - part.float()]))
    return found
