"""NIfTI volumes, one row a volume; a single volume as its axial slices. Segmentations beside the scans become masks."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers.arrays import input_range
from core.data.readers.members import Asked, Member, collect, unpacked
from core.data.readers.pictures import common_side, foldered, resize
from core.data.readers.scans import stack
from core.errors import UserError

MASK_WORDS = re.compile(r"(^|[^a-z])(mask|masks|seg|segmentation|label|labels|lesion|lesions|roi|gt)([^a-z]|$)", re.I)
CAP = 128  # voxels of an axis kept


def read(members: list[Member], asked: Asked) -> Dataset:
    """Volumes [n,1,D,H,W] turned to RAS order, one row a volume (4-D: a row a time point), or the slices [n,1,H,W] of
    a single one.

    A file is a segmentation, and becomes the mask of the scans beside it, when it has their shape, whole values from
    0 to at most 255, and a
    name that says so or that continues a scan's name. Affine and spacing stay in the card.
    """
    loaded = {m.name: volumes_of(m.load(), m.name) for m in members}
    given = [] if asked.masks is None else collect(asked.masks)
    truth = {m.name: volumes_of(m.load(), m.name) for m in given}
    of = _paired(members, loaded, given, truth) if given else _found(members, loaded)
    scans = [m for m in members if m.name not in set(of.values()) or given]
    volumes, marks, lines = [], [], []
    for m in scans:
        for t, volume in enumerate(loaded[m.name][0]):
            volumes.append(volume)
            mask = (truth or loaded)[of[m.name]][0] if m.name in of else None
            marks.append(None if mask is None else mask[t if len(mask) > 1 else 0] > 0)
            lines.append({"file": m.name, "time": t})
    facts = [{"file": m.name, **loaded[m.name][1]} for m in scans]
    rules = ["axes turned to right-anterior-superior order"]
    rules += [f"{mask} is the mask of {scan}" for scan, mask in list(of.items())[:20]]
    card: dict[str, Any] = {"rules": rules, "scans": facts}
    if len(volumes) == 1:
        return _slices(volumes[0], marks[0], scans[0], card)
    return _volumes(volumes, marks, pd.DataFrame(lines), asked, card)


def _volumes(
    volumes: list[np.ndarray], marks: list[Any], table: pd.DataFrame, asked: Asked, card: dict[str, Any]
) -> Dataset:
    shapes = {v.shape for v in volumes}
    if len(shapes) > 1 or max(volumes[0].shape) > CAP:
        size = tuple(int(min(CAP, np.median([v.shape[a] for v in volumes]))) for a in range(3))
        volumes = [_fit(v, size, 1) for v in volumes]
        marks = [None if m is None else _fit(m.astype(np.uint8), size, 0) for m in marks]
        card["rules"].append(f"volumes of differing or large sizes brought to {size[2]} x {size[1]} x {size[0]} voxels "
                             f"(the median of each axis, at most {CAP}) by linear interpolation")  # fmt: skip
    samples = np.stack(volumes)[:, None]
    low, high, scale = input_range(samples)
    card["rules"].append(scale)
    roles = {"file": "file"}
    folders = table["file"].map(lambda f: f.rpartition("/")[0])
    scans = table.drop_duplicates("file")["file"].map(lambda f: f.rpartition("/")[0])
    if scans.nunique() > 1 and scans.duplicated().any() and asked.label != "folder":
        table["folder"], roles["group"] = folders, "folder"
        card["rules"].append("scans of one folder are of one patient")
    elif table["time"].any():
        table["scan"], roles["group"] = table["file"], "scan"
    if not table["time"].any():
        table = table.drop(columns="time")
    table, roles = foldered(table, roles, asked, auto=False)
    masks = None
    if any(m is not None for m in marks):
        masks = np.stack([np.zeros(samples.shape[2:], np.uint8) if m is None else m.astype(np.uint8) for m in marks])
    return Dataset("", "volume", table, samples, masks, roles, (), (low, high), card)


def _slices(volume: np.ndarray, mark: np.ndarray | None, scan: Member, card: dict[str, Any]) -> Dataset:
    """The axial slices of one volume as pictures, those of one value only left out."""
    pictures = axial(volume)
    kept = np.flatnonzero([np.ptp(p) > 0 for p in pictures])
    if not len(kept):
        raise UserError(f"{scan.name} holds one value only.")
    samples, rule = stack([pictures[k] for k in kept])
    empty = len(pictures) - len(kept)
    low, high, scale = input_range(samples)
    card["rules"] += [
        "a single volume: each row is one axial slice, from the feet upwards, all of one group",
        "anterior on top, the patient's right on the left", rule, scale,
    ] + ([f"{empty} slices of one value only were left out"] if empty else [])  # fmt: skip
    masks = None
    if mark is not None:
        size, _ = common_side([p.shape for p in pictures[kept]])
        masks = np.stack(
            [resize(np.ascontiguousarray(m), size, nearest=True) for m in axial(mark.astype(np.uint8))[kept]]
        )
    table = pd.DataFrame({"file": scan.name, "volume": scan.stem, "slice": kept})
    card["cohort"] = {"slices": len(pictures), "slices used": len(kept)}
    return Dataset("", "image", table, samples, masks, {"file": "file", "group": "volume"}, (), (low, high), card)


def axial(volume: np.ndarray) -> np.ndarray:
    """[D,H,W] in RAS order -> slices as they are read: anterior on top, the patient's right on the left."""
    return np.ascontiguousarray(volume[:, ::-1, ::-1])


def volumes_of(data: bytes, name: str) -> tuple[list[np.ndarray], dict[str, Any]]:
    """float32 volumes [D,H,W] (one a time point) in RAS order and the facts of the header.

    UserError for anything not finite.
    """
    import nibabel

    image = _image(data, name)
    try:
        turned = nibabel.as_closest_canonical(image)
        array = np.asarray(turned.dataobj, dtype=np.float32)
    except Exception as e:
        why = f"{type(e).__name__}: it may be cut off or damaged"
        raise UserError(f"{name} cannot be read as NIfTI ({why}); mend or remove it.") from None
    array = array[..., None] if array.ndim == 3 else array
    if not np.isfinite(array).all():
        x, y, z, _ = np.argwhere(~np.isfinite(array))[0]
        raise UserError(f"{name} holds NaN or infinite voxels (the first at {x}, {y}, {z}); mend or remove it.")
    facts = {
        "spacing_mm": [round(float(z), 4) for z in turned.header.get_zooms()[:3]],
        "affine": np.round(turned.affine, 4).tolist(),
        "stored orientation": "".join(nibabel.aff2axcodes(image.affine)),
    }  # fmt: skip
    return [array[..., t].transpose(2, 1, 0) for t in range(array.shape[3])], facts  # x,y,z -> D=z, H=y, W=x


def _image(data: bytes, name: str) -> Any:
    """The image in `data`, its header checked against the bytes before any voxel is read."""
    import nibabel

    try:
        if data[:2] == b"\x1f\x8b":
            packed = len(data)
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as f:
                data = unpacked(f, packed, name)
        if len(data) > limits.FILE_BYTES:
            raise UserError(f"{name} unpacks to more than {limits.FILE_BYTES >> 20} MB.")
        two = data[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
        if data[4:7] == b"ni2" or data[344:347] == b"ni1":
            raise UserError(f"{name} is the header of a pair of files (.hdr and .img); save the scan as one .nii file.")
        image = (nibabel.Nifti2Image if two else nibabel.Nifti1Image).from_bytes(data)
        shape, spacing = image.shape, np.array(image.header.get_zooms()[:3])
        if len(shape) not in (3, 4) or min(shape) < 1:
            raise UserError(f"{name} has shape {shape}; a volume has three dimensions, or four with time.")
        if (
            not np.isfinite(image.affine).all()
            or not (spacing > 0).all()
            or abs(np.linalg.det(image.affine[:3, :3])) < 1e-12
        ):
            raise UserError(f"{name} has no usable orientation (its affine or spacing is zero or not a number).")
        if image.get_data_dtype().kind not in "biuf":
            raise UserError(f"{name} holds {image.get_data_dtype()} voxels; only plain numbers are read.")
        if int(np.prod(shape, dtype=object)) * image.get_data_dtype().itemsize > len(data) - int(
            image.header.get_data_offset()
        ):
            raise UserError(f"{name} says it holds more voxels than it has; it is cut off or damaged.")
        return image
    except UserError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(
            f"{name} is cut off or damaged (its packed data ends too early or is wrong); mend or remove it."
        ) from None
    except Exception as e:
        why = f"{type(e).__name__}: it may be cut off or damaged"
        raise UserError(f"{name} cannot be read as NIfTI ({why}); mend or remove it.") from None


def _found(members: list[Member], loaded: dict[str, Any]) -> dict[str, str]:
    """Scan -> segmentation among the files brought: see `read`. Of several that fit one scan, the first by name."""
    of: dict[str, str] = {}
    for mask in members:
        most = _kinds(loaded[mask.name][0])
        near = [m for m in members if m is not mask and m.parts[:-1] == mask.parts[:-1]]
        others = [m for m in near if _alike(loaded[m.name], loaded[mask.name])]
        scans = []
        if most and MASK_WORDS.search(mask.stem):
            scans = [m for m in others if not MASK_WORDS.search(m.stem)]
            if any(MASK_WORDS.search(m.stem) for m in near):  # several masks in one folder: by what is left of the name
                base = MASK_WORDS.sub("_", mask.stem).strip("_-. ")
                scans = [
                    m
                    for m in scans
                    if base and re.search(rf"(^|[^A-Za-z0-9]){re.escape(base)}([^A-Za-z0-9]|$)", m.stem)
                ]
        elif most and most <= 32:
            scans = [m for m in others if mask.stem.startswith(m.stem) and not mask.stem[len(m.stem)].isalnum()]
        for scan in scans:
            of.setdefault(scan.name, mask.name)
    return {scan: mask for scan, mask in of.items() if scan not in of.values()}


def _paired(
    members: list[Member], loaded: dict[str, Any], masks: list[Member], truth: dict[str, Any]
) -> dict[str, str]:
    """Scan -> mask given apart: the only one for the only scan, else by the same name.

    UserError for one that fits no scan.
    """
    of = {}
    for mask in masks:
        stem = re.sub(r"_(mask|seg|label)$", "", mask.stem)
        scans = members if len(members) == len(masks) == 1 else [m for m in members if m.stem in (mask.stem, stem)]
        if len(scans) != 1:
            raise UserError(f"The mask {mask.name} has {'no scan' if not scans else 'several scans'} of the same name.")
        if not _alike(loaded[scans[0].name], truth[mask.name]):
            raise UserError(f"The mask {mask.name} does not have the shape of {scans[0].name}.")
        of[scans[0].name] = mask.name
    return of


def _alike(scan: Any, mask: Any) -> bool:
    """The mask has the scan's shape; it may mark all time points at once."""
    return scan[0][0].shape == mask[0][0].shape and len(mask[0]) in (1, len(scan[0]))


def _kinds(volumes: list[np.ndarray]) -> int:
    """How many different values, when all are whole numbers from 0 to 255; else 0."""
    if not all(v.min() >= 0 and v.max() <= 255 and (v == np.round(v)).all() for v in volumes):
        return 0
    return len(set().union(*(np.unique(v).tolist() for v in volumes)))


def _fit(volume: np.ndarray, size: tuple[int, ...], order: int) -> np.ndarray:
    from scipy.ndimage import zoom

    return zoom(volume, [s / v for s, v in zip(size, volume.shape)], order=order, grid_mode=True, mode="nearest")
