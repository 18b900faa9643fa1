"""Masks of NIfTI scans in npy files, as Python tools save them: without a place, voxel by voxel."""

from __future__ import annotations

import numpy as np

from core.data.readers import scan_masks
from core.data.readers.files import Member
from core.data.readers.nifti_file import Scan, is_nifti
from core.data.readers.npz_files import load_array
from core.errors import UserError

RULE = (
    "{} masks are arrays (npy) that say no place: taken voxel by voxel, in the order of the axes of"
    " their scan ({})"
)


def apart(members: list[Member]) -> tuple[list[Member], list[Member]]:
    """Scans (NIfTI files), and the arrays beside them."""
    scans = [m for m in members if is_nifti(m)]
    return scans, [m for m in members if m not in scans]


def are_masks(arrays: list[Member], scans: list[Member]) -> bool:
    """Whether arrays beside scans are called masks and each has a scan of its name."""
    index = scan_masks.Index(scans)
    return all(scan_masks.is_named(m) and scan_masks.scan_owners(m, index) for m in arrays)


def as_scans(
    arrays: list[Member], scans: list[Member], looked: dict[str, Scan]
) -> tuple[list[Member], list[str]]:
    """Each array as a NIfTI file on the grid of its scan, and what is to be said. UserError for one
    of no scan, of another shape, or whose axes cannot be told from one another.
    """
    index = scan_masks.Index(scans)
    made, orders = [], set()
    for member in arrays:
        owners = scan_masks.scan_owners(member, index)
        if not owners:
            raise UserError(
                f"{member.name} is an array beside NIfTI scans, and no scan has its name; leave it"
                " out, or save it as NIfTI."
            )
        stored, order = _stored(load_array(member), looked[owners[0].name], member.name)
        made.append(_nifti(member.name, stored, looked[owners[0].name]))
        orders.add(order)
    return made, [RULE.format(len(made), ", ".join(sorted(orders)))] if made else []


def _stored(array: np.ndarray, scan: Scan, name: str) -> tuple[np.ndarray, str]:
    """The array [X,Y,Z] as the scan's voxels are stored, and the order its axes have."""
    grid = scan.grid
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} holds {array.dtype} values; a mask holds plain numbers.")
    flat = tuple(n for n in grid if n > 1)
    shape = tuple(n for n in array.shape if n > 1)
    if shape not in (flat, flat[::-1]) or scan.times > 1:
        sides = " x ".join(map(str, array.shape))
        raise UserError(
            f"{name} has {sides} values and its scan {scan.member.name}"
            f" {' x '.join(map(str, grid))} voxels; a mask has the same."
        )
    if flat == flat[::-1] and len(flat) > 1:
        raise UserError(
            f"{name} is as long along its first axis as along its last, so they cannot be told"
            " apart; save this mask as NIfTI."
        )
    if shape == flat:
        return array.reshape(grid), "x, y, z as nibabel has them"
    return array.reshape(grid[::-1]).transpose(2, 1, 0), "z, y, x as SimpleITK has them"


def _nifti(name: str, stored: np.ndarray, scan: Scan) -> Member:
    import nibabel

    kind = np.float32 if stored.dtype.kind == "f" else np.int32
    affine = scan.affine @ np.linalg.inv(nibabel.orientations.inv_ornt_aff(scan.turn, scan.grid))
    image = nibabel.Nifti1Image(stored.astype(kind), affine if scan.axes else None)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    return Member(name, lambda most: data[:most])
