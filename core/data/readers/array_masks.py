"""Masks of NIfTI scans in npy files, as Python tools save them: without a place, voxel by voxel."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.readers import scan_masks
from core.data.readers.files import Member
from core.data.readers.nifti_file import Scan, is_nifti, open_image
from core.data.readers.npz_files import load_array
from core.errors import UserError

RULE = (
    "{} masks are arrays (npy) that say no place: taken voxel by voxel, in the order of the axes of"
    " their scan ({})"
)

ORDERS = ("x, y, z as nibabel has them", "z, y, x as SimpleITK has them")


def split_off_arrays(members: list[Member]) -> tuple[list[Member], list[Member]]:
    """Return scans (NIfTI files), and the arrays beside them."""
    scans = [m for m in members if is_nifti(m)]
    return scans, [m for m in members if m not in scans]


def are_masks(arrays: list[Member], scans: list[Member]) -> bool:
    """Whether arrays beside scans are called masks and each has a scan of its name."""
    index = scan_masks.Index(scans)
    return all(scan_masks.is_named(m) and scan_masks.find_owners(m, index) for m in arrays)


def convert_to_scans(
    arrays: list[Member], scans: list[Member], looked: dict[str, Scan]
) -> tuple[list[Member], list[str], dict[str, Any]]:
    """Each array as a NIfTI file on the grid of its scan, what is to be said, and the card's entry
    on arrays whose axes were guessed. UserError for one of no scan, or of another shape.

    Arrays as long along their first axis as along their last have the order of the others; where
    these say none, or different ones, that in which what they mark stands out most in the scans.
    """
    index = scan_masks.Index(scans)
    found: list[tuple[Member, np.ndarray, Scan, str]] = []
    for member in arrays:
        owners = scan_masks.find_owners(member, index)
        if not owners:
            raise UserError(
                f"{member.name} is an array beside NIfTI scans, and no scan has its name; leave it"
                " out, or save it as NIfTI."
            )
        array, scan = load_array(member), looked[owners[0].name]
        found.append((member, array, scan, _find_order(array, scan, member.name)))
    orders = {order for *_, order in found if order}
    unsure = [(member, array, scan) for member, array, scan, order in found if not order]
    guessed = ""
    entry: dict[str, Any] = {}
    if unsure:
        guessed, entry = _guess_order(unsure, orders)
        orders.add(guessed)
    made = [
        _nifti(member.name, _reorder_axes(array, scan, order or guessed), scan)
        for member, array, scan, order in found
    ]
    return made, [RULE.format(len(made), ", ".join(sorted(orders)))] if made else [], entry


def _find_order(array: np.ndarray, scan: Scan, name: str) -> str:
    """Return the order of the array's axes that its shape says, one of ORDERS; "" where both
    fit.
    """
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} holds {array.dtype} values; a mask holds plain numbers.")
    flat = tuple(n for n in scan.grid if n > 1)
    shape = tuple(n for n in array.shape if n > 1)
    if shape not in (flat, flat[::-1]) or scan.times > 1:
        sides = " x ".join(map(str, array.shape))
        raise UserError(
            f"{name} has {sides} values and its scan {scan.member.name}"
            f" {' x '.join(map(str, scan.grid))} voxels; a mask has the same."
        )
    if flat == flat[::-1] and len(flat) > 1:
        return ""
    return ORDERS[0] if shape == flat else ORDERS[1]


def _reorder_axes(array: np.ndarray, scan: Scan, order: str) -> np.ndarray:
    """Return the array [X,Y,Z] as the scan's voxels are stored."""
    if order == ORDERS[0]:
        return array.reshape(scan.grid)
    return array.reshape(scan.grid[::-1]).transpose(2, 1, 0)


def _guess_order(
    unsure: list[tuple[Member, np.ndarray, Scan]], orders: set[str]
) -> tuple[str, dict[str, Any]]:
    """Return the order of arrays whose shape does not say it, and the card's entry on them; no
    entry where the other arrays say it.
    """
    if len(orders) == 1:
        return next(iter(orders)), {}
    stands_out = {
        order: float(np.mean([_measure_contrast(a, scan, order) for _, a, scan in unsure]))
        for order in ORDERS
    }
    best = max(ORDERS, key=lambda order: stands_out[order])
    other = min(ORDERS, key=lambda order: stands_out[order])
    entry = {
        "files": [member.name for member, _, _ in unsure],
        "order": best,
        "contrast": [round(stands_out[best], 3), round(stands_out[other], 3)],
    }
    return best, {"mask axes": entry}


def _measure_contrast(array: np.ndarray, scan: Scan, order: str) -> float:
    """How far the mean of the marked voxels lies from that of the others, in standard deviations of
    the scan; 0 where nothing or all is marked.
    """
    marked = _reorder_axes(array, scan, order) != 0
    if marked.all() or not marked.any():
        return 0.0
    voxels = np.asarray(open_image(scan.member).dataobj, np.float32).reshape(scan.grid)
    voxels = np.nan_to_num(voxels, posinf=0.0, neginf=0.0)
    spread = float(voxels.std()) or 1.0
    return abs(float(voxels[marked].mean() - voxels[~marked].mean())) / spread


def _nifti(name: str, stored: np.ndarray, scan: Scan) -> Member:
    import nibabel

    kind = np.float32 if stored.dtype.kind == "f" else np.int32
    affine = scan.affine @ np.linalg.inv(nibabel.orientations.inv_ornt_aff(scan.turn, scan.grid))
    image = nibabel.Nifti1Image(stored.astype(kind), affine if scan.axes else None)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    return Member(name, lambda most: data[:most])
