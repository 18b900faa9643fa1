"""Brain slices as StRegA sees them: which are healthy, and pictures of their tissue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.normal import is_normal
from core.errors import UserError
from core.training.loader import in_order

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset
    from core.training.run import Run


LEAST = 8  # rows to learn from, or to set thresholds on


def healthy(part: Dataset) -> Dataset:
    """Return the rows to learn from: where the masks of some are the truth, those with nothing
    marked and those of the normal class; else the commonest class of the part. Rows of which
    nothing is known count for healthy only where nothing is known of any.
    """
    if part.outlined.any():
        healthy = part.outlined & ~part.mask().any((1, 2))
        healthy |= ~part.outlined & is_normal(part) if part.normal else False
        return part.take(np.flatnonzero(healthy))
    known = part.labels[part.labels >= 0]
    if not len(known):
        return part
    return part.take(np.flatnonzero(part.labels == np.bincount(known).argmax()))


def find_healthy(
    data: Dataset, learner: str, usable: Callable[[Dataset], Dataset] = healthy
) -> tuple[Dataset, Dataset]:
    """Return the rows of `data` to learn from, those of the training part that are `usable`, and
    those to set thresholds on: of validation, or the former where these are too few. UserError for
    fewer than 8 to learn from; `learner` begins its sentence: “EAR learns from normal pictures”.
    """
    train, val = (usable(data.part(name)) for name in ("train", "val"))
    if len(train) < LEAST:
        raise UserError(
            f"{learner}; the training part has {len(train)}, at least {LEAST} are needed."
        )
    return train, val if len(val) >= LEAST else train


def spot_size(pixels: int, side: int, size: tuple[int, int]) -> int:
    """Return how many pixels of a picture of `size` are `pixels` of one of `side` by `side`."""
    return max(1, round(pixels * size[0] * size[1] / side**2))


def in_batches(data: Dataset, run: Run, many: int = 256) -> Iterator[np.ndarray]:
    """Yield inputs of `data`, `many` at a time, the next read meanwhile; raises Cancelled before
    each.
    """
    import torch

    for x in in_order(data, torch.device("cpu"), many):
        run.check()
        yield x.numpy()


def described(
    fn: Callable[[np.ndarray], tuple[np.ndarray, ...]], data: Dataset, run: Run, many: int = 256
) -> Any:
    """Return what `fn` gives of inputs [b,C,H,W] of `data`, `many` at a time, concatenated as
    float32; by `Run.map`, so shared out where the job has helpers. Where `fn` looks whether to
    stop, it does so by an `OnlyHere`.
    """
    import torch

    def asked(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(np.ascontiguousarray(a)) for a in fn(x.cpu().numpy()))

    return run.map(asked, data, many)


def some_of(train: Dataset, channel: int) -> np.ndarray:
    """About a hundred slices [n,H,W] of `channel`, spread over the rows."""
    return train.inputs(np.arange(0, len(train), max(1, len(train) // 100)))[:, channel]


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[n,H,W] -> [n,*size], bilinear."""
    import torch

    if x.shape[1:] == size:
        return x
    return torch.nn.functional.interpolate(
        torch.from_numpy(x)[:, None], size, mode="bilinear", antialias=True
    )[:, 0].numpy()


def at_side(x: torch.Tensor, side: int) -> torch.Tensor:
    """Pictures [b,C,H,W] -> [b,C,side,side], bilinear."""
    from torch.nn.functional import interpolate

    if tuple(x.shape[2:]) == (side, side):
        return x
    return interpolate(x, (side, side), mode="bilinear", antialias=True)


def tissue_pictures(x: np.ndarray, centres: np.ndarray, seen: str) -> tuple[np.ndarray, np.ndarray]:
    """Slices [n,S,S] -> what the network sees float32 [n,S,S] and the brain bool [n,S,S].

    `seen`: "soft tissue", "tissue labels" (both by the class `centres`) or "raw" brightness.
    """
    from core.nets import tissue

    if seen == "raw":
        masks = np.stack([tissue.brain_mask(i) for i in x])
        top = np.array(
            [max(np.percentile(i[m], 99), 1e-6) if m.any() else 1.0 for i, m in zip(x, masks)]
        )
        return (np.clip(x / top[:, None, None], 0, 1.2) * masks).astype(np.float32), masks
    made = [tissue.tissue(i, centres, x.shape[1] / 4, seen == "soft tissue") for i in x]
    return np.stack([m[0] for m in made]), np.stack([m[1] for m in made])
