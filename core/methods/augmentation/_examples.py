"""What SeaS learns from: a few abnormal training pictures with masks, and normal ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.data.dataset import Dataset
from core.errors import UserError
from core.methods.anomaly import _slices

MOST = 12  # kinds told apart
ONE = "abnormal"  # what the kind is called where there is one only


@dataclass(frozen=True)
class Examples:
    """`abnormal` rows with their `kind` [n] int64 among `kinds`, and `normal` rows."""

    abnormal: Dataset
    kind: np.ndarray
    kinds: list[str]
    normal: Dataset


def find_examples(train: Dataset, column: str) -> Examples:
    """Return the pictures of a training part to learn from; `column` says the kind, "" = the class.

    UserError where nothing is marked, where too few are normal, where the column is none, or where
    it has more than 12 kinds.
    """
    marked = np.flatnonzero(train.outlined & train.mask().any((1, 2)))
    if not len(marked):
        raise UserError(
            "SeaS learns from a few training pictures in which masks mark what is abnormal; none is"
            " marked in the training part."
        )
    normal = _slices.healthy(train)
    if len(normal) < _slices.LEAST:
        raise UserError(
            "SeaS needs normal training pictures, in which nothing is marked; the training part has"
            f" {len(normal)}, at least {_slices.LEAST} are needed."
        )
    abnormal = train.take(marked)
    words = _kinds_of(abnormal, column)
    kinds = sorted(set(words.tolist()))
    if len(kinds) > MOST:
        raise UserError(
            f"The marked training pictures are of {len(kinds)} kinds, at most {MOST} can be told"
            " apart; name another column as the kind, or “none” for one kind."
        )
    return Examples(abnormal, np.searchsorted(kinds, words), kinds, normal)


def _kinds_of(abnormal: Dataset, column: str) -> np.ndarray:
    """Return the kind of each row, in words [n]; ONE for all where no column says it."""
    if column == "none" and column not in abnormal.table:
        return np.full(len(abnormal), ONE)
    if column:
        if column not in abnormal.table:
            raise UserError(
                f"“{abnormal.name}” has no column “{column}” that could say the kind of what is"
                " abnormal."
            )
        values = abnormal.frame[column]
        return np.array([ONE if v is None or v != v else str(v) for v in values.tolist()])
    names = abnormal.classes
    return np.array([names[c] if c >= 0 else ONE for c in abnormal.labels.tolist()])


def small_masks(data: Dataset, side: int) -> np.ndarray:
    """Masks float32 [n,side,side] of the rows: 1 where any pixel of a place is marked."""
    import torch
    from torch.nn.functional import adaptive_max_pool2d, interpolate

    mask = torch.from_numpy(data.mask().astype(np.float32))[:, None]
    if min(mask.shape[2:]) < side:
        mask = interpolate(mask, (side, side), mode="nearest")
    return np.asarray(adaptive_max_pool2d(mask, side)[:, 0].numpy())


def small_pictures(data: Dataset, side: int) -> np.ndarray:
    """Return inputs float32 [n,C,side,side] of the rows."""
    import torch

    return np.asarray(_slices.at_side(torch.from_numpy(data.inputs()), side).numpy())


def drawn_pairs(found: Examples, side: int, many: int) -> tuple[Dataset, np.ndarray]:
    """Return rows of `many` abnormal pictures, each example as often as the others, and what is
    learned from them float32 [many,2C+1,side,side]: the picture, its mask, and a normal picture,
    of which each comes as often as the others.
    """
    at = np.arange(many) % len(found.abnormal)
    spread = np.linspace(0, len(found.normal), min(many, len(found.normal)), endpoint=False)
    normal = small_pictures(found.normal.take(spread.astype(np.int64)), side)
    mask = small_masks(found.abnormal, side)[:, None]
    example = np.concatenate([small_pictures(found.abnormal, side), mask], 1)
    pairs = np.concatenate([example[at], normal[np.arange(many) % len(normal)]], 1)
    return found.abnormal.take(at), pairs
