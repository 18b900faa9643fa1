"""Near copies of training cases in the other parts: a figure of them is not of new cases."""

from __future__ import annotations

import numpy as np

from core.data.checks.scan import block_means, normalise_rows
from core.data.dataset import Dataset
from core.neighbours import nearest

NEAR = 0.995  # correlation from which two samples count as nearly the same
# share of common words (of genomes: of stretches of eight letters) from which two texts do
WORDS = 0.9


def find_near_copies(
    data: Dataset, x: np.ndarray, is_unit: bool, copies: list[list[int]]
) -> list[list[int]]:
    """Pairs [held-out row, training row] that are nearly the same and no exact copies: neighbours
    of vectors `x`, confirmed on the samples.

    Tables are left out: rounded measurements of two patients may well agree. Cost: a search of the
    held-out rows among the training rows.
    """
    train = np.flatnonzero(data.splits == "train")
    other = np.flatnonzero(data.splits != "train")
    if (
        data.modality == "table"
        or not is_unit
        or not len(train)
        or not len(other)
        or x.shape[1] < 2
    ):
        return []
    if data.modality in ("image", "volume") and min(data.shape[1:]) < 16:
        return []
    at, square = nearest(x[train], x[other], 5)
    close = np.argwhere((square < (0.1 if data.samples is None else 4 * (1 - NEAR))) & (at >= 0))
    same = {row: i for i, rows in enumerate(copies) for row in rows}
    found: dict[int, list[int]] = {}
    pairs = [(int(other[i]), int(train[at[i, j]])) for i, j in close]
    for i in range(0, len(pairs), 256):
        part = pairs[i : i + 256]
        like = _similarity(data, np.array([a for a, _ in part]), np.array([b for _, b in part]))
        for (a, b), ok in zip(part, like > (WORDS if data.samples is None else NEAR)):
            row, theirs = int(data.rows[a]), int(data.rows[b])
            if ok and row not in found and same.get(row, -1) != same.get(theirs, -2):
                found[row] = [row, theirs]
    return list(found.values())


def _similarity(data: Dataset, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How alike samples at positions `a` and `b` are: correlation of thumbnails (images) or of all
    values; of texts, the share of common words.
    """
    if data.samples is None:
        words = [set(str(t).lower().split()) for t in data.take(np.concatenate([a, b])).texts]
        size = 8 if data.modality == "sequence" else 0
        if size:
            texts = [str(t) for t in data.take(np.concatenate([a, b])).texts]
            words = [{t[i : i + size] for i in range(max(1, len(t) - size + 1))} for t in texts]
        return np.array(
            [
                len(p & q) / max(1, len(p | q)) if len(p) > 3 else 0.0
                for p, q in zip(words[: len(a)], words[len(a) :])
            ]
        )
    left, right = data.raw(a), data.raw(b)
    make = (
        block_means
        if data.modality == "image"
        else lambda raw: np.nan_to_num(raw.reshape(len(raw), -1).astype(np.float32))
    )
    return (normalise_rows(make(left)) * normalise_rows(make(right))).sum(1)
