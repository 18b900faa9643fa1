"""Volumes brought to one size, and what that does to their voxels."""

from __future__ import annotations

import numpy as np

from core import limits
from core.errors import UserError

CAP = 128  # voxels of an axis kept


def choose_common_size(shapes: list[tuple[int, ...]]) -> tuple[tuple[int, ...], str | None]:
    """Return the one size [D,H,W] that all volumes get, and the rule in words; None when they keep
    theirs.
    """
    if len(set(shapes)) == 1 and max(shapes[0]) <= CAP:
        return shapes[0], None
    size = tuple(int(min(CAP, np.median([s[a] for s in shapes]))) for a in range(3))
    return (
        size,
        (
            f"volumes of differing or large sizes brought to {size[2]} x {size[1]} x {size[0]}"
            f" voxels (the median of each axis, at most {CAP}) by linear interpolation"
        ),
    )


def make_room(n: int, size: tuple[int, ...]) -> np.ndarray:
    """Uninitialised float32 [n,1,*size]. UserError when that is more than `limits.VALUES`."""
    if n * int(np.prod(size)) * 4 > limits.VALUES:
        raise UserError(
            f"{n:,} volumes of {' x '.join(map(str, size[::-1]))} voxels are more than the"
            f" {limits.VALUES >> 20:,} MB taken; bring fewer."
        )
    return np.empty((n, 1, *size), np.float32)


def fit_volume(volume: np.ndarray, size: tuple[int, ...], order: int = 1) -> np.ndarray:
    """[D,H,W] spread over `size`, each axis by its own factor; order 1 linear, 0 nearest (masks).
    As it is when it has that size.
    """
    from scipy.ndimage import zoom

    if volume.shape == size:
        return volume
    return zoom(
        volume,
        [s / v for s, v in zip(size, volume.shape)],
        order=order,
        grid_mode=True,
        mode="nearest",
    )


def compute_sizes_after(
    mm: tuple[float, ...], shape: tuple[int, ...], size: tuple[int, ...]
) -> tuple[float, ...]:
    """Millimetres a voxel, an axis each, once a volume of `shape` was fitted into `size`."""
    return tuple(m * a / b for m, a, b in zip(mm, shape, size))
