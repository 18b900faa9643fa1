"""NIfTI volumes, one row a volume; a single volume as its axial slices. Segmentations beside the scans become masks."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data import deidentify
from core.data.dataset import Dataset
from core.data.geometry import letters
from core.data.geometry import sizes_after as picture_sizes
from core.data.readers import solids
from core.data.readers.arrays import input_range
from core.data.readers.frames import stack
from core.data.readers.members import HEAD, Asked, Member, collect, unpacked
from core.data.readers.pictures import common_side, foldered, resize
from core.errors import UserError

MASK_WORDS = re.compile(r"(^|[^a-z])(mask|masks|seg|segmentation|label|labels|lesion|lesions|roi|gt)([^a-z]|$)", re.I)
TO_LPS = np.diag([-1.0, -1.0, 1.0])  # NIfTI counts to the right and front, DICOM to the left and back
UNITS = {"meter": 1000.0, "micron": 0.001}  # millimetres


@dataclass(frozen=True, eq=False)
class Scan:
    """What the header of a file says: `shape` [D,H,W] and `times` once turned to RAS order, voxel sizes `mm` in that order, `axes` ("" = it does not
    say how the scan lies in the body), degrees it lies askew, the turn as nibabel writes it, the free text it holds (counted, never kept)."""

    member: Member
    shape: tuple[int, int, int]
    times: int
    mm: tuple[float, ...]
    axes: str
    oblique: float
    turn: np.ndarray
    affine: np.ndarray
    stored: str
    texts: tuple[str, ...]

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "file": self.member.name, "spacing_mm": [round(v, 4) for v in self.mm[::-1]], "affine": np.round(self.affine, 4).tolist(),
            "stored orientation": self.stored or "unknown",
        }  # fmt: skip

    @cached_property
    def kinds(self) -> int:
        """How many different values, when all are whole numbers from 0 to 255; else 0. Reads the voxels."""
        there = np.zeros(256, bool)
        for v in volumes(self):
            if v.min() < 0 or v.max() > 255 or (v != np.round(v)).any():
                return 0
            there |= np.bincount(v.astype(np.uint8).ravel(), minlength=256) > 0
        return int(there.sum())


def read(members: list[Member], asked: Asked) -> Dataset:
    """Volumes [n,1,D,H,W] turned to RAS order, one row a volume (4-D: a row a time point), or the slices [n,1,H,W] of
    a single one. One file is in memory at a time.

    A file is a segmentation, and becomes the mask of the scans beside it, when it has their shape, whole values from
    0 to at most 255, and a name that says so or that continues a scan's name. Affine and spacing stay in the card; free text
    of the headers does not.
    """
    given = [] if asked.masks is None else collect(asked.masks)
    total = 2 * len(members) + len(given)
    looked: dict[str, Scan] = {}
    for i, m in enumerate(members):
        looked[m.name] = look(m)
        asked.report(i + 1, total)
    truth = {m.name: look(m) for m in given}
    of = _paired(members, looked, given, truth) if given else _found(members, looked)
    scans = [looked[m.name] for m in members if m.name not in set(of.values()) or given]
    masks = {scan: (truth or looked)[mask] for scan, mask in of.items()}
    rules = ["axes turned to right-anterior-superior order" if any(s.axes for s in scans) else "axes as stored"]
    unknown = sum(not s.axes for s in scans)
    if unknown:
        rules.append(f"{unknown} of {len(scans)} scans do not say how they lie in the body: their orientation is unknown and left as stored")
    rules += [f"{mask} is the mask of {scan}" for scan, mask in list(of.items())[:20]]
    card: dict[str, Any] = {"rules": rules, "scans": [s.facts for s in scans]}
    card["deidentified"] = deidentify.of_volumes([s.texts for s in looked.values()], [s.member.stem for s in scans])

    def done(k: int) -> None:
        asked.report(len(members) + len(given) + k, total)

    if len(scans) == 1 and scans[0].times == 1:
        return _slices(scans[0], masks.get(scans[0].member.name), card)
    return _volumes(scans, masks, asked, card, done)


def _volumes(scans: list[Scan], masks: dict[str, Scan], asked: Asked, card: dict[str, Any], done: Any) -> Dataset:
    size, rule = solids.common_size([s.shape for s in scans for _ in range(s.times)])
    card["rules"] += [rule] if rule else []
    n = sum(s.times for s in scans)
    samples, marks = solids.room(n, size), np.zeros((n, *size), np.uint8) if masks else None
    lines: list[dict[str, Any]] = []
    for k, s in enumerate(scans):
        mask = masks.get(s.member.name)
        marked = [] if mask is None else [solids.fit((v > 0).astype(np.uint8), size, 0) for v in volumes(mask)]
        mm = solids.sizes_after(s.mm, s.shape, size)
        for t, volume in enumerate(volumes(s)):
            samples[len(lines), 0] = solids.fit(volume, size)
            if marks is not None and marked:
                marks[len(lines)] = marked[t if len(marked) > 1 else 0]
            lines.append({"file": s.member.name, "time": t} | columns(s.axes, mm, s.oblique))
        done(k + 1)
    low, high, scale = input_range(samples)
    card["rules"].append(scale)
    table, roles = pd.DataFrame(lines), {"file": "file"}
    folders = table["file"].map(lambda f: f.rpartition("/")[0])
    places = table.drop_duplicates("file")["file"].map(lambda f: f.rpartition("/")[0])
    if places.nunique() > 1 and places.duplicated().any() and asked.label != "folder":
        table["folder"], roles["group"] = folders, "folder"
        card["rules"].append("scans of one folder are of one patient")
    elif table["time"].any():
        table["scan"], roles["group"] = table["file"], "scan"
    if not table["time"].any():
        table = table.drop(columns="time")
    table, roles = foldered(table, roles, asked, auto=False)
    return Dataset("", "volume", table, samples, marks, roles, (), (low, high), card)


def _slices(scan: Scan, mask: Scan | None, card: dict[str, Any]) -> Dataset:
    """The axial slices of one volume as pictures, those of one value only left out."""
    pictures = axial(next(volumes(scan)))
    kept = np.flatnonzero([np.ptp(p) > 0 for p in pictures])
    if not len(kept):
        raise UserError(f"{scan.member.name} holds one value only.")
    samples, rule = stack([pictures[k] for k in kept])
    empty = len(pictures) - len(kept)
    low, high, scale = input_range(samples)
    card["rules"] += [
        "a single volume: each row is one axial slice, from the feet upwards, all of one group"
        if scan.axes else "a single volume: each row is one slice along its third axis, all of one group",
        "anterior on top, the patient's right on the left" if scan.axes else "the first two axes drawn from the right and from below", rule, scale,
    ] + ([f"{empty} slices of one value only were left out"] if empty else [])  # fmt: skip
    masks = None
    if mask is not None:
        size, _ = common_side([p.shape for p in pictures[kept]])
        marked = axial((next(volumes(mask)) > 0).astype(np.uint8))[kept]
        masks = np.stack([resize(np.ascontiguousarray(m), size, nearest=True) for m in marked])
    mm = (scan.mm[0], *picture_sizes((scan.mm[1], scan.mm[2]), scan.shape[1:], samples.shape[2:]))
    table = pd.DataFrame({"file": scan.member.name, "volume": scan.member.stem, "slice": kept}).assign(**columns("PL" if scan.axes else "", mm, scan.oblique))
    card["cohort"] = {"slices": len(pictures), "slices used": len(kept)}
    return Dataset("", "image", table, samples, masks, {"file": "file", "group": "volume"}, (), (low, high), card)


def columns(axes: str, mm: tuple[float, ...], oblique: float) -> dict[str, Any]:
    """The columns of `core.data.geometry` of one row."""
    return {"axes": axes, **dict(zip(("mm_slice", "mm_down", "mm_across"), (round(float(v), 4) for v in mm))), "oblique_deg": oblique}


def axial(volume: np.ndarray) -> np.ndarray:
    """[D,H,W] in RAS order -> slices as they are read: anterior on top, the patient's right on the left."""
    return np.ascontiguousarray(volume[:, ::-1, ::-1])


def look(member: Member) -> Scan:
    """What the header says, from the first bytes of the file. UserError for a header that cannot be."""
    import nibabel

    data = member.head
    if data[:2] == b"\x1f\x8b":
        data = member.open(1 << 16)  # a member of a zip gives its first kilobyte cheaply, but a packed header may need more
        with _sentences(member.name):
            data = zlib.decompressobj(31).decompress(data, HEAD)
    image = _header(data, member.name)
    shape, known = image.get_data_shape(), int(image["sform_code"]) > 0 or int(image["qform_code"]) > 0
    with _sentences(member.name):
        affine = image.get_best_affine()
        factor = UNITS.get(image.get_xyzt_units()[0], 1.0)
        turn = nibabel.io_orientation(affine) if known else np.array([[0.0, 1], [1, 1], [2, 1]])
    if np.isnan(turn).any():
        raise UserError(f"{member.name} has no usable orientation (its affine or spacing is zero or not a number).")
    turned = np.empty(3, int)
    turned[turn[:, 0].astype(int)] = shape[:3]
    own = np.linalg.norm(affine[:3, :3], axis=0) if known else np.array(image.get_zooms()[:3], dtype=float)
    mm = np.empty(3)
    mm[turn[:, 0].astype(int)] = own * factor
    if known:
        affine = affine @ nibabel.orientations.inv_ornt_aff(turn, shape[:3])
        word, lean = letters((TO_LPS @ affine[:3, :3]).T[::-1])
    else:
        word, lean = "", float("nan")
    texts = [k for k in ("descrip", "aux_file", "intent_name", "db_name", "data_type") if k in image and bytes(image[k].item()).strip(b"\0 ")]
    texts += ["header extension"] if data[len(image.binaryblock) :][:1] not in (b"", b"\0") else []
    return Scan(
        member, (int(turned[2]), int(turned[1]), int(turned[0])), shape[3] if len(shape) == 4 else 1, tuple(float(v) for v in mm[::-1]),
        word, lean, turn, affine, "".join(nibabel.aff2axcodes(image.get_best_affine())) if known else "", tuple(texts),
    )  # fmt: skip


def volumes(scan: Scan) -> Iterator[np.ndarray]:
    """float32 volumes [D,H,W], one a time point, in RAS order. UserError for anything not finite."""
    import nibabel

    image, name = _image(scan.member.load(), scan.member.name), scan.member.name
    for t in range(scan.times):
        with _sentences(name), np.errstate(all="ignore"):  # what overflows is infinite, and said below
            array = np.asarray(image.dataobj[..., t] if len(image.shape) == 4 else image.dataobj, dtype=np.float32)
            array = nibabel.apply_orientation(array, scan.turn)
        if not np.isfinite(array).all():
            x, y, z = np.argwhere(~np.isfinite(array))[0]
            raise UserError(f"{name} holds NaN or infinite voxels (the first at {x}, {y}, {z}); mend or remove it.")
        yield array.transpose(2, 1, 0)  # x,y,z -> D=z, H=y, W=x


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes one sentence about the file."""
    try:
        yield
    except UserError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(f"{name} is cut off or damaged (its packed data ends too early or is wrong); mend or remove it.") from None
    except MemoryError:
        raise UserError(f"{name} does not fit into this machine's memory; bring a smaller scan.") from None
    except Exception as e:
        why = f"{type(e).__name__}: it may be cut off or damaged"
        raise UserError(f"{name} cannot be read as NIfTI ({why}); mend or remove it.") from None


def _header(data: bytes, name: str) -> Any:
    """The header at the beginning of `data`, looked over before any voxel is read."""
    import nibabel

    with _sentences(name):
        if data[4:7] == b"ni2" or data[344:347] == b"ni1":
            raise UserError(f"{name} is the header of a pair of files (.hdr and .img); save the scan as one .nii file.")
        two = data[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
        header = nibabel.Nifti2Header(data[:540], check=False) if two else nibabel.Nifti1Header(data[:348], check=False)  # checking mends: here it is refused
        shape, spacing, affine = header.get_data_shape(), np.array(header.get_zooms()[:3]), header.get_best_affine()
        if len(shape) == 5 and shape[3] == 1:
            raise UserError(f"{name} holds several values a voxel (shape {shape}); a scan has one, at each time.")
        if len(shape) not in (3, 4) or min(shape) < 1:
            raise UserError(f"{name} has shape {shape}; a volume has three dimensions, or four with time.")
        if not np.isfinite(affine).all() or not (spacing > 0).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise UserError(f"{name} has no usable orientation (its affine or spacing is zero or not a number).")
        if header.get_data_dtype().kind not in "biuf":
            raise UserError(f"{name} holds {header.get_data_dtype()} voxels; only plain numbers are read.")
        if int(np.prod(shape, dtype=object)) * header.get_data_dtype().itemsize > limits.FILE_BYTES:
            most = limits.in_words(limits.FILE_BYTES, "bytes")
            raise UserError(f"{name} says it holds more voxels than {most} have room for; it is damaged, or too large to bring.")
        return header


def _image(data: bytes, name: str) -> Any:
    """The image in `data`, its header checked against the bytes before any voxel is read."""
    import nibabel

    with _sentences(name):
        if data[:2] == b"\x1f\x8b":
            packed = len(data)
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as f:
                data = unpacked(f, packed, name)
        if len(data) > limits.FILE_BYTES:
            raise UserError(f"{name} unpacks to more than {limits.FILE_BYTES >> 20} MB.")
        header = _header(data, name)
        if int(np.prod(header.get_data_shape(), dtype=object)) * header.get_data_dtype().itemsize > len(data) - int(header.get_data_offset()):
            raise UserError(f"{name} says it holds more voxels than it has; it is cut off or damaged.")
        return (nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image).from_bytes(data)


def _found(members: list[Member], looked: dict[str, Scan]) -> dict[str, str]:
    """Scan -> segmentation among the files brought: see `read`. Of several that fit one scan, the first by name."""
    of: dict[str, str] = {}
    for mask in members:
        near = [m for m in members if m is not mask and m.parts[:-1] == mask.parts[:-1]]
        others = [m for m in near if _alike(looked[m.name], looked[mask.name])]
        scans = []
        if MASK_WORDS.search(mask.stem):
            scans = [m for m in others if not MASK_WORDS.search(m.stem)]
            if any(MASK_WORDS.search(m.stem) for m in near):  # several masks in one folder: by what is left of the name
                base = MASK_WORDS.sub("_", mask.stem).strip("_-. ")
                scans = [
                    m
                    for m in scans
                    if base and re.search(rf"(^|[^A-Za-z0-9]){re.escape(base)}([^A-Za-z0-9]|$)", m.stem)
                ]
        else:
            scans = [m for m in others if mask.stem.startswith(m.stem) and not mask.stem[len(m.stem)].isalnum()]
        if scans and not 0 < looked[mask.name].kinds <= (256 if MASK_WORDS.search(mask.stem) else 32):  # reads the voxels: asked last
            scans = []
        for scan in scans:
            of.setdefault(scan.name, mask.name)
    return {scan: mask for scan, mask in of.items() if scan not in of.values()}


def _paired(
    members: list[Member], looked: dict[str, Scan], masks: list[Member], truth: dict[str, Scan]
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
        if not _alike(looked[scans[0].name], truth[mask.name]):
            raise UserError(f"The mask {mask.name} does not have the shape of {scans[0].name}.")
        of[scans[0].name] = mask.name
    return of


def _alike(scan: Scan, mask: Scan) -> bool:
    """The mask has the scan's shape; it may mark all time points at once."""
    return scan.shape == mask.shape and mask.times in (1, scan.times)
