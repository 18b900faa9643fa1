"""One file of a scan: NIfTI, FreeSurfer's MGH, and pairs of .hdr and .img (NIfTI or Analyze 7.5).
Its header is looked over before any voxel is read; axes are turned to right-anterior-superior
order.
"""

from __future__ import annotations

import gzip
import io
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from core import limits
from core.data.geometry import axis_letters
from core.data.readers.files import HEAD, Member, unpack_stream
from core.errors import UserError

# NIfTI counts to the right and front, DICOM to the left and back
TO_LPS = np.diag([-1.0, -1.0, 1.0])
UNITS = {"meter": 1000.0, "micron": 0.001}  # millimetres
MGH = (".mgh", ".mgz")
TEXTS = ("descrip", "aux_file", "intent_name", "db_name", "data_type")
COUNTED = 4096  # different whole values that are counted
# below it, values are no map around 0 but those of a scanner (CT), whose background is their lowest
LOWEST = -500.0
# Hounsfield units begin at -1000, and noise of air reaches a little below; padding lies far below
AIR, PADDING = -1100.0, -1500.0

logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # its words name files


@dataclass(frozen=True, eq=False)
class Scan:
    """What the header of a file says: `shape` [D,H,W] and `times` once turned to RAS order, voxel
    sizes `mm` in that order, `axes` ("" = it does not say how the scan lies in the body), degrees
    it lies askew, the turn as nibabel writes it, the free text it holds (counted, never kept).
    `affine` [4,4] takes positions x, y, z in the turned volume to millimetres; `grid` is the shape
    as stored, `plain` that its own affine says nothing of a place (the identity), `two_places` that
    its sform and qform say two (the sform counts).
    """

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
    grid: tuple[int, ...] = ()
    plain: bool = False
    two_places: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What a row of the table says of the scan: its file, spacing (mm), affine, axes."""
        return {
            "file": self.member.name,
            "spacing_mm": [round(v, 4) for v in self.mm[::-1]],
            "affine": np.round(self.affine, 4).tolist(),
            "stored orientation": self.stored or "unknown",
        }

    @property
    def flat(self) -> bool:
        """One slice thick, whichever way."""
        return min(self.shape) == 1

    @cached_property
    def kinds(self) -> int:
        """How many different whole values there are (2 for numbers between 0 and 1, as soft masks
        have); 0 where others are there. Reads the voxels.
        """
        there: set[int] = set()
        for v in read_volumes(self):
            if (np.abs(v - np.round(v)) > 1e-3).any():
                return 2 if v.min() >= 0 and v.max() <= 1 and not there - {0, 1} else 0
            there |= set(np.unique(v.astype(np.int64)).tolist())
            if len(there) > COUNTED:
                return 0
        return len(there)


@dataclass(frozen=True)
class _Head:
    """What headers of all formats say alike. `offset`: of the first voxel; `image`: nibabel's
    class.
    """

    shape: tuple[int, ...]
    kind: np.dtype[Any]
    affine: np.ndarray
    known: bool
    spacing: np.ndarray
    factor: float
    offset: int
    texts: list[str]
    image: Any
    two_places: bool = False


def read_scan_header(member: Member) -> Scan:
    """Return what the header says, from the first bytes of the file. UserError for a header that
    cannot be.
    """
    import nibabel

    data = member.head
    if data[:2] == b"\x1f\x8b":
        # a member of a zip gives its first kilobyte cheaply, but a packed header may need more
        data = member.open(1 << 16)
        with reword_errors(member.name):
            data = zlib.decompressobj(31).decompress(data, HEAD)
    head = _header(data, member.name)
    shape, affine, known = head.shape, head.affine, head.known
    with reword_errors(member.name):
        turn = nibabel.io_orientation(affine) if known else np.array([[0.0, 1], [1, 1], [2, 1]])
    if np.isnan(turn).any():
        raise UserError(
            f"{member.name} has no usable orientation (its affine or spacing is zero or not a "
            "number)."
        )
    turned = np.empty(3, int)
    turned[turn[:, 0].astype(int)] = shape[:3]
    own = np.linalg.norm(affine[:3, :3], axis=0) if known else head.spacing.astype(float)
    mm = np.empty(3)
    mm[turn[:, 0].astype(int)] = own * head.factor
    stored = "".join(nibabel.aff2axcodes(affine)) if known else ""
    plain = np.allclose(affine, np.diag([*np.diag(affine)[:3], 1]), atol=1e-4) and np.allclose(
        np.abs(np.diag(affine)), 1
    )
    if known:
        affine = affine @ nibabel.orientations.inv_ornt_aff(turn, shape[:3])
        word, lean = axis_letters((TO_LPS @ affine[:3, :3]).T[::-1])
    else:
        word, lean = "", float("nan")
    affine = np.diag([head.factor] * 3 + [1.0]) @ affine
    return Scan(
        member,
        shape=(int(turned[2]), int(turned[1]), int(turned[0])),
        times=shape[3] if len(shape) == 4 else 1,
        mm=tuple(float(v) for v in mm[::-1]),
        axes=word,
        oblique=lean,
        turn=turn,
        affine=affine,
        stored=stored,
        texts=tuple(head.texts),
        grid=tuple(shape[:3]),
        plain=bool(plain),
        two_places=head.two_places,
    )


@dataclass
class Background:
    """What was taken as background, by file: voxels without a number and the value they became;
    voxels of a value apart from all others, that value, and the one they became.
    """

    empty: dict[str, tuple[int, float]] = field(default_factory=dict)
    padded: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    def fill(self, array: np.ndarray, name: str) -> np.ndarray:
        """Return the volume with its lowest value, where it is apart as padding of CT is (-2000,
        -3024), as dark as the darkest other voxel.
        """
        low = float(array.min())
        if low > PADDING:
            return array
        away = array == low
        rest = array[~away]
        if not rest.size or float(rest.min()) < AIR:
            return array
        value = float(rest.min())
        self.padded[name] = (self.padded.get(name, (0,))[0] + int(away.sum()), low, value)
        return np.where(away, np.float32(value), array)

    def rules(self, most: int = 20) -> list[str]:
        """Return what was done, in words, of at most so many files."""
        said = [
            f"{name}: {count:,} voxels without a number (NaN) are background, set to {value:g}"
            for name, (count, value) in self.empty.items()
        ]
        said += [
            f"{name}: {count:,} voxels of {low:g}, apart from all others, are taken as outside of"
            f" the picture (a guess) and set to {value:g}"
            for name, (count, low, value) in self.padded.items()
        ]
        if len(said) <= most:
            return said
        return [*said[:most], f"and so in {len(said) - most} more scans"]


def read_volumes(
    scan: Scan, background: Background | None = None, turn: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """float32 volumes [D,H,W], one a time point, in RAS order (or by another `turn`). NaN is
    background: 0 in maps around 0, else the scan's lowest value; `background`, where it is given,
    hears so, and takes away padding. UserError for infinite voxels and for volumes without a
    number.
    """
    import nibabel

    image, name = _image(scan.member.load(), scan.member.name), scan.member.name
    for t in range(scan.times):
        # what overflows is infinite, and said below
        with reword_errors(name), np.errstate(all="ignore"):
            stored = image.dataobj
            array = np.asarray(
                stored[..., t] if scan.times > 1 else stored, dtype=np.float32
            ).reshape(scan.grid)
            array = nibabel.apply_orientation(array, scan.turn if turn is None else turn)
        if np.isinf(array).any():
            x, y, z = np.argwhere(np.isinf(array))[0]
            raise UserError(
                f"{name} holds infinite voxels (the first at {x}, {y}, {z}); fix or remove it."
            )
        lacking = np.isnan(array)
        if lacking.all():
            raise UserError(f"{name} holds no number (all its voxels are NaN); fix or remove it.")
        if lacking.any():
            low, high = float(np.nanmin(array)), float(np.nanmax(array))
            value = 0.0 if LOWEST < low < 0 < high else low
            array = np.where(lacking, np.float32(value), array)
            if background is not None:
                before = background.empty.get(name, (0, 0.0))[0]
                background.empty[name] = (before + int(lacking.sum()), value)
        if background is not None:
            array = background.fill(array, name)
        yield array.transpose(2, 1, 0)  # x,y,z -> D=z, H=y, W=x


@contextmanager
def reword_errors(name: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes one sentence about the file."""
    try:
        yield
    except UserError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UserError(
            f"{name} is cut off or damaged (its packed data ends too early or is wrong); fix "
            "or remove it."
        ) from None
    except MemoryError:
        raise UserError(
            f"{name} does not fit into this machine's memory; bring a smaller scan."
        ) from None
    except Exception as e:
        why = f"{type(e).__name__}: it may be cut off or damaged"
        raise UserError(
            f"{name} cannot be read as {_format(name)} ({why}); fix or remove it."
        ) from None


def _format(name: str) -> str:
    return "FreeSurfer's MGH" if name.lower().endswith(MGH) else "NIfTI"


def _header(data: bytes, name: str) -> _Head:
    """Return the header at the beginning of `data`, looked over before any voxel is read."""
    with reword_errors(name):
        head = _of_mgh(data, name) if name.lower().endswith(MGH) else _of_nifti(data, name)
        shape, affine = head.shape, head.affine
        if len(shape) == 5 and shape[3] == 1:
            raise UserError(
                f"{name} holds several values a voxel (shape {shape}); a scan has one, at each "
                "time."
            )
        if len(shape) > 5 and max(shape[:4]) == 1:
            raise UserError(
                f"{name} has {len(shape)} dimensions (shape {shape}), as values on the brain's "
                "surface have (CIFTI); bring volumes."
            )
        if len(shape) not in (3, 4) or min(shape) < 1:
            raise UserError(
                f"{name} has shape {shape}; a volume has three dimensions, or four with time."
            )
        if (
            not np.isfinite(affine).all()
            or not (head.spacing > 0).all()
            or abs(np.linalg.det(affine[:3, :3])) < 1e-12
        ):
            raise UserError(
                f"{name} has no usable orientation (its affine or spacing is zero or not a number)."
            )
        if head.kind.kind not in "biuf":
            raise UserError(f"{name} holds {head.kind} voxels; only plain numbers are read.")
        if int(np.prod(shape, dtype=object)) * head.kind.itemsize > limits.FILE_BYTES:
            most = limits.in_words(limits.FILE_BYTES, "bytes")
            raise UserError(
                f"{name} says it holds more voxels than {most} have room for; it is damaged, "
                "or too large to bring."
            )
        return head


def _of_nifti(data: bytes, name: str) -> _Head:
    import nibabel

    if data[344:347] == b"ni1" and name.lower().endswith((".nii", ".nii.gz")):
        raise UserError(
            f"{name} is marked as half of a pair (.hdr and .img) although it is one file; "
            "save the scan again as NIfTI."
        )
    if data[4:7] == b"ni2" or data[344:347] == b"ni1":
        raise UserError(
            f"{name} is the header of a pair of files (.hdr and .img) whose other file is not "
            "there; bring both, or save the scan as one .nii file."
        )
    if data[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and data[344:347] != b"n+1":
        raise UserError(
            f"{name} is an Analyze header, or a NIfTI file whose mark is damaged; bring its "
            ".img file beside it, or save the scan as NIfTI."
        )
    two = data[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    # checking repairs: here it is refused
    header = (
        nibabel.Nifti2Header(data[:540], check=False)
        if two
        else nibabel.Nifti1Header(data[:348], check=False)
    )
    shape = header.get_data_shape()
    known = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    # a sign there means nothing
    spacing, affine = np.abs(header["pixdim"][1:4].astype(float)), header.get_best_affine()
    if len(shape) == 2:  # a picture: what its third axis would be says nothing
        shape = (*shape, 1)
        spacing[2] = spacing[2] if spacing[2] > 0 else 1.0
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            known, affine = False, np.diag([*spacing, 1.0])
    texts = [k for k in TEXTS if k in header and bytes(header[k].item()).strip(b"\0 ")]
    texts += ["header extension"] if data[len(header.binaryblock) :][:1] not in (b"", b"\0") else []
    kind = nibabel.Nifti2Image if two else nibabel.Nifti1Image
    factor = UNITS.get(header.get_xyzt_units()[0], 1.0)
    return _Head(
        _trimmed(shape),
        header.get_data_dtype(),
        affine,
        known,
        spacing,
        factor,
        int(header.get_data_offset()),
        texts,
        kind,
        _two_places(header, affine, shape),
    )


def _two_places(header: Any, affine: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether sform and qform take a corner of the scan more than a voxel apart."""
    if int(header["sform_code"]) <= 0 or int(header["qform_code"]) <= 0:
        return False
    try:
        other = header.get_qform()
    except Exception:  # a quaternion that is none
        return False
    ends = np.array([[0, 0, 0, 1], [*(n - 1 for n in shape[:3]), 1]], dtype=float).T
    apart = np.linalg.norm(((affine - other) @ ends)[:3], axis=0).max()
    return bool(apart > float(np.abs(np.array(header["pixdim"][1:4])).max()))


def _of_mgh(data: bytes, name: str) -> _Head:
    """Of FreeSurfer's format: big-endian, 284 bytes, where the place is not said its axes are taken
    as unknown.
    """
    import nibabel

    if len(data) < 284 or data[:4] != b"\0\0\0\1":
        raise UserError(
            f"{name} is no MGH file although its name says so; it may be cut off or something else."
        )
    if int.from_bytes(data[20:24], "big") not in (0, 1, 3, 4, 10):
        raise UserError(
            f"{name} holds voxels of a kind that is not read (type "
            f"{int.from_bytes(data[20:24], 'big')})."
        )
    known = data[28:30] != b"\0\0"  # nibabel sets the mark itself where it is missing
    header = nibabel.freesurfer.mghformat.MGHHeader(data[:90] + b"\0" * 20, check=False)
    shape, spacing = tuple(int(v) for v in header["dims"]), np.array(header["delta"], dtype=float)
    affine = header.get_affine() if known else np.diag([*spacing, 1.0])
    return _Head(
        _trimmed(shape),
        header.get_data_dtype(),
        affine,
        known,
        spacing,
        1.0,
        284,
        [],
        nibabel.freesurfer.MGHImage,
    )


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of length 1 behind the third."""
    shape = tuple(int(v) for v in shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def open_image(member: Member) -> Any:
    """Return the file as nibabel has it. UserError in one sentence for a damaged one."""
    return _image(member.load(), member.name)


def _image(data: bytes, name: str) -> Any:
    """Return the image in `data`, its header checked against the bytes before any voxel is read."""
    with reword_errors(name):
        if data[:2] == b"\x1f\x8b":
            packed = len(data)
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as f:
                data = unpack_stream(f, packed, name)
        if len(data) > limits.FILE_BYTES:
            raise UserError(f"{name} unpacks to more than {limits.FILE_BYTES >> 20} MB.")
        head = _header(data, name)
        if int(np.prod(head.shape, dtype=object)) * head.kind.itemsize > len(data) - head.offset:
            raise UserError(
                f"{name} says it holds more voxels than it has; it is cut off or damaged."
            )
        return head.image.from_bytes(data)


def is_nifti(member: Member) -> bool:
    """By its mark, or its name: NIfTI, packed or not, or FreeSurfer's MGH."""
    head, lower = member.head, member.name.lower()
    marked = head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")
    return (
        marked
        or lower.endswith((".nii", ".nii.gz", *MGH))
        or (lower.endswith(".hdr") and is_header(member))
    )


def is_header(member: Member) -> bool:
    """Return a header of 348 bytes: NIfTI's or Analyze 7.5's."""
    return member.head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and len(member.head) >= 348


def join_pairs(members: list[Member]) -> list[Member]:
    """Return the members with each pair of .hdr and .img (NIfTI or Analyze 7.5) as one: a NIfTI
    file under the .img's name.
    """
    images = {m.name[:-4].lower(): m for m in members if m.name.lower().endswith(".img")}
    pairs = {
        m.name[:-4].lower(): m for m in members if m.name.lower().endswith(".hdr") and is_header(m)
    }
    gone = {m.name for key, m in pairs.items() if key in images}
    made = {
        images[key].name: _one(header, images[key])
        for key, header in pairs.items()
        if key in images
    }
    return [made.get(m.name, m) for m in members if m.name not in gone]


def _one(header: Member, image: Member) -> Member:
    """Analyze headers say nothing of the place in the body: what stands there means something else,
    and is left out.
    """

    def opened(most: int) -> bytes:
        head = bytearray(header.open(348))
        order = "<" if head[:1] == b"\x5c" else ">"
        skipped = max(
            0,
            (
                int(abs(struct.unpack_from(order + "f", head, 108)[0]) + 0.5)
                if head[108:112] != b"\0\0\0\0"
                else 0
            ),
        )
        if head[344:347] != b"ni1":
            for start, end in ((56, 70), (74, 76), (120, 124), (148, 348)):
                head[start:end] = b"\0" * (end - start)
        struct.pack_into(order + "f", head, 108, 352.0)
        head[344:348] = b"n+1\0"
        skipped = min(skipped, limits.FILE_BYTES)
        return (bytes(head) + b"\0" * 4 + image.open(max(0, most - 352) + skipped)[skipped:])[:most]

    return Member(image.name, opened)
