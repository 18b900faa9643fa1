"""Volumes of labels in space, and what they mark on slices that lie anywhere in it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from core.data.readers.dicom_header import Place

EVEN = 0.02  # of the step, by which planes of one block may lie beside their places
MOST = 4096  # planes of a block


@dataclass(frozen=True, eq=False)
class Block:
    """`codes` uint8 [D,H,W]; `affine` [4,4] takes positions (d, h, w, 1) to millimetres in DICOM's
    coordinates (left, back, head).
    """

    codes: np.ndarray
    affine: np.ndarray

    def on(self, place: Place, size: tuple[int, int]) -> np.ndarray:
        """uint8 codes [*size] on a slice at `place`, by the nearest label; 0 outside the block."""
        to = self._to(place)
        rows, columns = np.mgrid[: size[0], : size[1]]
        there = np.einsum("ij,jhw->ihw", to[:, :2], np.stack([rows, columns]).astype(float))
        at = np.floor(there + to[:, 2, None, None] + 0.5 + 1e-6).astype(np.int64)
        sides = np.array(self.codes.shape)[:, None, None]
        inside = ((at >= 0) & (at < sides)).all(0)
        out = np.zeros(size, np.uint8)
        out[inside] = self.codes[tuple(a[inside] for a in at)]
        return out

    def grid(self, place: Place, size: tuple[int, int]) -> bool:
        """Whether the pixels of that slice are voxels of one plane of the block, in its order or
        turned.
        """
        to = self._to(place)
        corners = to @ np.array([[0, 0, 1], [0, size[1] - 1, 1], [size[0] - 1, 0, 1]]).T
        whole = np.abs(corners - np.round(corners)).max() <= 0.05
        steps = np.abs(to[:, :2])
        return bool(whole and np.allclose(np.sort(steps.ravel())[-2:], 1, atol=0.01))

    def meets(self, place: Place, size: tuple[int, int]) -> bool:
        """Whether the slice, as wide as it is, passes through the box around the block."""
        to = self._to(place)
        ends = product((-0.5, size[0] - 0.5), (-0.5, size[1] - 0.5))
        corners = np.array([to @ [*end, 1] for end in ends])
        sides = np.array(self.codes.shape) - 0.5
        return bool((corners.max(0) > -0.5).all() and (corners.min(0) < sides).all())

    def _to(self, place: Place) -> np.ndarray:
        """[3,3]: (row, column, 1) of a slice -> positions in the block."""
        if place.position is None or place.across is None or place.down is None:
            raise ValueError("the slice has no place")
        millimetres = np.eye(4)[:, [0, 1, 3]]
        millimetres[:3, 0] = place.down * place.mm[0]
        millimetres[:3, 1] = place.across * place.mm[1]
        millimetres[:3, 2] = place.position
        return (np.linalg.inv(self.affine) @ millimetres)[:3]


def has_place(place: Place) -> bool:
    """Whether it is said where a slice lies and how large its pixels are."""
    known = place.position is not None and place.across is not None and place.down is not None
    return known and bool(np.isfinite(place.mm).all())


def make_block(planes: list[np.ndarray], places: list[Place]) -> Block | None:
    """Return a block of parallel planes (uint8 [H,W]), which may overlap (the last one counts where
    it marks) and of which some in between may be missing (nothing is marked there). None where they
    are not parallel, evenly spaced and straight above one another.
    """
    first = places[0]
    if not all(has_place(p) for p in places):
        return None
    if any(p.facing != first.facing or not np.allclose(p.mm, first.mm) for p in places):
        return None
    along = np.array([p.along for p in places])
    different = np.unique(np.round(along, 2))
    known = np.isfinite(first.thick) and first.thick > 0
    steps = [float(first.thick)] if known else []  # empty planes may be left out between two
    steps += [float(np.diff(different).min())] if len(different) > 1 else []
    ways = [(along - along.min()) / step for step in steps or [1.0]]
    even = [np.abs(w - np.round(w)).max() <= EVEN * max(1.0, w.max() / 10) for w in ways]
    if not any(even):
        return None
    step, at = (steps or [1.0])[even.index(True)], ways[even.index(True)]
    if at.max() >= MOST:
        return None
    start = places[int(along.argmin())].position
    assert start is not None  # `has_place` has looked
    normal = first.normal
    assert normal is not None
    straight = [p.position - start - (p.along - along.min()) * normal for p in places]
    if np.abs(straight).max() > 0.05 * min(first.mm):
        return None
    codes = np.zeros((round(at.max()) + 1, *planes[0].shape), np.uint8)
    for k, plane in zip(np.round(at).astype(int), planes):
        codes[k] = np.where(plane > 0, plane, codes[k])
    affine = np.eye(4)
    affine[:3, 0] = normal * step
    assert first.down is not None
    assert first.across is not None
    affine[:3, 1], affine[:3, 2] = first.down * first.mm[0], first.across * first.mm[1]
    affine[:3, 3] = start
    return Block(codes, affine)
