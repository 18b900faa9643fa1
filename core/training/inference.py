"""A function of torch tensors over all rows of a dataset, however little memory there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import is_out_of_memory
from core.training.loader import in_order

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset


def map_rows(
    fn: Callable[[torch.Tensor], Any],
    data: Dataset,
    device: torch.device,
    size: int,
    check: Callable[[], None],
) -> Any:
    """`fn(x)` over all rows of `data` in order, `size` at a time, without gradients, concatenated
    as float32 numpy; a tuple of arrays where `fn` gives a tuple of tensors.

    `check` is called before each batch and may raise.
    """
    import torch

    found: list[np.ndarray] = []
    at = 0
    with torch.no_grad():
        for x in in_order(data, device, size):
            check()
            out = retry_in_halves(fn, x)
            out = out if isinstance(out, tuple) else (out,)
            found = found or [np.empty((len(data), *o.shape[1:]), np.float32) for o in out]
            for whole, o in zip(found, out, strict=True):
                whole[at : at + len(x)] = o.float().cpu().numpy()
            at += len(x)
    return found[0] if len(found) == 1 else tuple(found)


def retry_in_halves(fn: Callable[[torch.Tensor], Any], x: torch.Tensor) -> Any:
    """`fn(x)`, in halves where memory does not suffice for all of x at once."""
    import torch

    try:
        return fn(x)
    except Exception as e:
        if len(x) < 2 or not is_out_of_memory(e):
            raise
    if x.is_cuda:
        torch.cuda.empty_cache()
    halves = [retry_in_halves(fn, half) for half in x.chunk(2)]
    if isinstance(halves[0], tuple):
        return tuple(map(torch.cat, zip(*halves, strict=True)))
    return torch.cat(halves)
