"""How much of each picture a run hid from its network, from the pictures it gave."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.artifacts import Artifact, Images

HIDDEN, STANDS_OUT = "excised", "saliency-"  # names of the two, and what the second begins with
LIMIT = 0.5  # of what stands out, on its scale: above it is hidden
AT_ONCE = 256  # pictures
SIDE = 128  # larger pictures are counted at every so-many-th pixel


def hidden_share(artifacts: Iterable[Artifact]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return row ids int64 [n] and the share of each picture that was hidden, float32 [n] in
    [0, 1]; None for runs that hide nothing, or the same places of all pictures.

    Such a run gives Images of what its network got, “excised” (preprocessed), and of what stands
    out, “saliency-…” (attention), whose half is the limit above which a place was hidden; so says
    the parameter `mask` of the latter. Pictures that were enlarged are counted at their new size.
    Cost: the second is read once, and kept.
    """
    images = [a for a in artifacts if isinstance(a, Images) and a.place is None]
    if not any(a.name == HIDDEN and a.role == "preprocessed" for a in images):
        return None
    for one in images:
        by = one.made_by.params.get("mask", "saliency") == "saliency"
        if one.name.startswith(STANDS_OUT) and one.role == "attention" and by:
            return one.rows, _share_above(one.image)
    return None


def _share_above(image: np.ndarray) -> np.ndarray:
    """Share of the pixels of pictures [n,C,H,W], all channels of which are the same, above LIMIT;
    kept by file where they lie in one.
    """
    if isinstance(image, np.memmap) and image.filename is not None:
        path = Path(str(image.filename))
        return _share_of_file(str(path), path.stat().st_mtime_ns)
    return _count(image)


@lru_cache(maxsize=32)
def _share_of_file(path: str, changed: int) -> np.ndarray:
    return _count(np.load(path, mmap_mode="r", allow_pickle=False))


def _count(image: np.ndarray) -> np.ndarray:
    step = max(1, min(image.shape[-2:]) // SIDE)
    parts = [
        (np.asarray(image[at : at + AT_ONCE, 0, ::step, ::step]) > LIMIT).mean((1, 2))
        for at in range(0, len(image), AT_ONCE)
    ]
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
