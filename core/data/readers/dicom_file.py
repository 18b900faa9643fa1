"""One DICOM file: its bytes looked over before a library parses them, its technical facts, its
frames as numbers. No value of a tag leaves but by the gate.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from core import limits
from core.data import deidentify
from core.data.readers.files import Member
from core.errors import UserError

PREFIX = 1 << 17  # bytes read at first: enough for nearly every header
DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG = "1.2.840.10008.1.2.2"
LONG = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
UNDEFINED = 0xFFFFFFFF


class NoPicture(UserError):
    """A DICOM file without pixels; `uid` is its SOP class."""

    uid: str = ""


class Layout:
    """How a file is laid out: `tags` of the top level before the pixels, where what describes the
    image begins (group 0028; 0 = nowhere) and the pixels (None = there are none), bytes that count
    (`end`).
    """

    def __init__(self) -> None:
        self.tags: list[int] = []
        self.image = 0
        self.pixels: int | None = None
        self.end = 0
        self.syntax = ""
        self.start = 0  # of the data set, behind the file meta information


@contextmanager
def reword_errors(where: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes one sentence about the file at `where`, without a word of
    what it holds.
    """
    try:
        with deidentify.silence_dicom_libraries():
            yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{where} does not fit into this machine's memory; leave it out.") from None
    except RecursionError:
        raise UserError(
            f"{where} cannot be read as DICOM (its sequences are nested too deep); leave it out."
        ) from None
    except Exception as e:
        why = f"{type(e).__name__}: it may be cut off or damaged"
        raise UserError(f"{where} cannot be read as DICOM ({why}); fix or remove it.") from None


def read_header(member: Member, where: str) -> tuple[Any, Layout]:
    """Return the allowed and the identifying elements before the pixels, as a pydicom data set that
    must not outlive its look; and the layout. NoPicture when there are no pixels.
    """
    with reword_errors(where):
        data = member.open(PREFIX)
        whole = len(data) < PREFIX
        data, layout = prepare_bytes(data, where, whole)
        if layout.pixels is None and not whole:
            data, layout = prepare_bytes(member.load(), where)
        if layout.pixels is None:
            error = NoPicture(f"{where} holds no picture (a DICOM file without pixel data).")
            error.uid = _class_of(data[: layout.end])
            raise error
        return _parsed(data[: layout.pixels], LOOKED_AT), layout


def _class_of(data: bytes) -> str:
    """Return the SOP class of a file without a picture; "" where it cannot be read."""
    try:
        return str(_parsed(data, ("SOPClassUID",)).get("SOPClassUID", ""))
    except Exception:  # a damaged header: the file is left out either way
        return ""


def read_whole(data: bytes, where: str) -> Any:
    """Return the elements that decoding needs, pixels among them."""
    data, layout = prepare_bytes(data, where)
    if layout.image > layout.start:  # what stands before is not even stepped over
        return _parsed(data[: layout.start] + data[layout.image : layout.end], DECODED)
    return _parsed(data[: layout.end], DECODED)


@cache
def tag_of(keyword: str) -> Any:
    """Return the tag of a keyword, which pydicom would look up anew each time."""
    from pydicom.tag import Tag

    return Tag(keyword)


def _parsed(data: bytes, keywords: tuple[str, ...]) -> Any:
    import pydicom

    made = pydicom.dcmread(
        io.BytesIO(data), force=True, specific_tags=[tag_of(k) for k in keywords]
    )
    if not made.file_meta.get("TransferSyntaxUID"):
        implicit, little = made.original_encoding
        explicit = EXPLICIT if little else BIG
        made.file_meta.TransferSyntaxUID = pydicom.uid.UID(IMPLICIT if implicit else explicit)
    return made


def prepare_bytes(data: bytes, where: str, complete: bool = True) -> tuple[bytes, Layout]:
    """Return the bytes as a library may have them: inflated within bounds, cut at zeros that pad
    them; and their layout. UserError for what would take a library for ever: too many elements,
    sequences too deep, a packed bomb. `complete`: these are all bytes of the file.
    """
    start, syntax = _meta(data, where)
    if syntax == DEFLATED:
        if not complete:
            return data, Layout()
        most = min(limits.FILE_BYTES, limits.RATIO * max(len(data) - start, 4096))
        inflater = zlib.decompressobj(-15)
        body = inflater.decompress(data[start:], most)
        if inflater.unconsumed_tail or len(body) >= most:
            raise UserError(
                f"{where} unpacks to more than {limits.RATIO} times its size; such files are"
                " refused."
            )
        value = EXPLICIT.encode() + b"\0" * (len(EXPLICIT) % 2)
        head = b"\0" * 128 + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value
        data, start, syntax = head + body, len(head), EXPLICIT
    layout = _walk(data, start, syntax, where)
    layout.syntax, layout.start = syntax, start
    return data, layout


def _meta(data: bytes, where: str) -> tuple[int, str]:
    """Where the data set begins behind preamble and file meta information, and the transfer syntax
    ("" = not said).
    """
    at, syntax = (132, "") if data[128:132] == b"DICM" else (0, "")
    for _ in range(1000):
        if data[at : at + 2] != b"\2\0" or len(data) < at + 8:
            return at, syntax
        word = data[at + 4 : at + 6]
        if not word.isalpha():  # meta information with implicit types
            size, skip = struct.unpack_from("<I", data, at + 4)[0], 8
        elif word in LONG:
            if len(data) < at + 12:
                return at, syntax
            size, skip = struct.unpack_from("<I", data, at + 8)[0], 12
        else:
            size, skip = struct.unpack_from("<H", data, at + 6)[0], 8
        if data[at + 2 : at + 4] == b"\x10\0":
            syntax = data[at + skip : at + skip + size].rstrip(b"\0 ").decode("ascii", "replace")
        at += skip + size
    raise UserError(
        f"{where} cannot be read as DICOM (its file meta information has no end); leave it out."
    )


class _Order:
    """How numbers are read: tags of two words, lengths of two or four bytes."""

    def __init__(self, big: bool) -> None:
        order = ">" if big else "<"
        self.tag, self.short, self.long = (struct.Struct(order + k) for k in ("HH", "H", "I"))


def _walk(data: bytes, at: int, syntax: str, where: str) -> Layout:
    """Return steps from element to element without reading one; stops quietly where the steps make
    no sense, since libraries know more dialects.
    """
    layout, count = Layout(), 0
    layout.end = len(data)
    by_look = not syntax and len(data) > at + 2 and data[at] == 0 and data[at + 1] == 8
    order = _Order(big=syntax == BIG or by_look)
    # some files say explicit and are implicit
    explicit = syntax != IMPLICIT and data[at + 4 : at + 6].isalpha()
    # sequences of undefined length: (pieces of packed pixels, explicit before it)
    open_: list[tuple[bool, bool]] = []
    while at + 8 <= len(data):
        count += 1
        if count > limits.ELEMENTS:
            raise UserError(
                f"{where} has more than {limits.ELEMENTS:,} header elements; leave it out."
            )
        group, element = order.tag.unpack_from(data, at)
        if group == 0xFFFE:
            size = order.long.unpack_from(data, at + 4)[0]
            at += 8
            if element == 0xE000 and open_ and open_[-1][0] and size != UNDEFINED:
                at += size
            elif element == 0xE0DD and open_:
                explicit = open_.pop()[1]
            continue
        if not open_ and _is_last(layout, data, at, group << 16 | element, explicit, order):
            return layout
        kind = data[at + 4 : at + 6]
        size, skip = _size(data, at, explicit, order)
        if skip == 0:
            break
        at += skip
        if size != UNDEFINED:
            at += size
            continue
        open_.append((explicit and kind in (b"OB", b"OW"), explicit))
        explicit = explicit and kind != b"UN"
        if len(open_) > limits.DEPTH:
            raise UserError(
                f"{where} has sequences nested more than {limits.DEPTH} deep; leave it out."
            )
    return layout


def _is_last(layout: Layout, data: bytes, at: int, tag: int, explicit: bool, order: _Order) -> bool:
    """Note an element of the top level in `layout`; return whether it is the last that counts:
    padding behind the end, or the pixels.
    """
    if tag == 0 and data[at : at + 8] == b"\0" * 8:
        layout.end = at
        return True
    if tag in PIXELS:
        layout.pixels = at
        layout.end = _after_pixels(data, at, explicit, order)
        return True
    if tag >= 0x00280000 and not layout.image:
        layout.image = at
    layout.tags.append(tag)
    return False


def _size(data: bytes, at: int, explicit: bool, order: _Order) -> tuple[int, int]:
    """Return the length of an element's value, and of what stands before it; (0, 0) where the file
    ends within.
    """
    if not explicit:
        return order.long.unpack_from(data, at + 4)[0], 8
    if data[at + 4 : at + 6] not in LONG:
        return order.short.unpack_from(data, at + 6)[0], 8
    if at + 12 > len(data):
        return 0, 0
    return order.long.unpack_from(data, at + 8)[0], 12


def _after_pixels(data: bytes, at: int, explicit: bool, order: _Order) -> int:
    """Where the bytes end that count: what follows the pixels is dropped unread (zeros, signatures,
    private elements).
    """
    skip = 12 if explicit and len(data) >= at + 12 else 8
    size = order.long.unpack_from(data, at + skip - 4)[0]
    if size != UNDEFINED:
        return min(len(data), at + skip + size)
    at += skip
    while at + 8 <= len(data) and data[at : at + 4] == b"\xfe\xff\x00\xe0":
        at += 8 + struct.unpack_from("<I", data, at + 4)[0]
    return min(len(data), at + 8)


def enough(member: Member, count: int, size: tuple[int, int], where: str) -> None:
    """UserError when a file says that it has more frames than its bytes can hold: each frame is
    made room for before it is decoded.
    """
    data, layout = prepare_bytes(member.load(), where)
    at = layout.pixels or 0
    if b"\xfe\xff\x00\xe0" not in data[at + 8 : at + 20]:  # as they are: at least a bit a pixel
        there = (len(data) - at) * 8 // (size[0] * size[1])
    else:  # packed: at least one piece a frame, behind the table of offsets
        there, at = -1, data.index(b"\xfe\xff\x00\xe0", at)
        while at + 8 <= layout.end and data[at : at + 4] == b"\xfe\xff\x00\xe0" and there < count:
            there, at = there + 1, at + 8 + struct.unpack_from("<I", data, at + 4)[0]
    if there < count:
        raise UserError(
            f"{where} says it holds {count:,} frames but has bytes for {max(0, there):,} at most;"
            " it is cut off or damaged."
        )


def frames(dataset: Any, where: str, wanted: list[int]) -> Iterator[np.ndarray]:
    """Yield the frames `wanted` (ascending) as stored, [H,W] or [H,W,3] (colours as RGB). UserError
    names the decoder that lacks.
    """
    from pydicom.pixels import apply_color_lut, get_decoder

    from core.data.readers import codecs

    codecs.register_decoders()
    uid = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(uid)
    except NotImplementedError:
        kind = uid.name if uid.is_transfer_syntax else "an unknown transfer syntax"
        raise UserError(
            f"{where} is compressed as {kind}, which is not read here; save it as JPEG 2000 or"
            " uncompressed."
        ) from None
    plugin = codecs.choose_decoder(uid, _claims(dataset, where)) if uid.is_encapsulated else ""
    if plugin not in ("", *decoder.available_plugins):
        needed = codecs.PACKAGES.get(plugin, plugin)
        raise UserError(
            f"{where} is compressed as {uid.name}; to read it, install {needed} (pip install …)."
        )
    count = int(dataset.get("NumberOfFrames") or 1)
    spare = 0 if uid.is_encapsulated or "PixelData" not in dataset else _spare_bits(dataset)
    palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    try:
        indices = wanted if count > 1 else None
        for array, _ in decoder.iter_array(dataset, indices=indices, decoding_plugin=plugin):
            if spare:
                array = array >> spare
            if palette:
                colours = apply_color_lut(array, dataset)[..., :3]
                array = (
                    np.round(colours / 257).astype(np.uint8)
                    if colours.dtype.itemsize > 1 and colours.max() > 255
                    else colours
                )
            yield array
    except (UserError, MemoryError):
        raise
    except Exception as e:
        if uid.is_encapsulated:
            raise UserError(
                f"{where}: its {uid.name} pixels cannot be decoded ({type(e).__name__}); it may be"
                " cut off or damaged."
            ) from None
        raise


def _spare_bits(dataset: Any) -> int:
    """Bits below the lowest one of a value (HighBit above BitsStored - 1, as old files have it):
    the data set is told to keep them, and the caller takes them off.
    """
    stored, high = int(dataset.get("BitsStored") or 0), int(dataset.get("HighBit") or 0)
    if not 0 < stored <= high < int(dataset.get("BitsAllocated") or 0):
        return 0
    dataset.BitsStored = high + 1
    return high + 1 - stored


def _claims(dataset: Any, where: str) -> bytes:
    """Return the first packed frame. UserError when one has not the size that the header says: a
    decoder would make room for whatever the frame claims.
    """
    from pydicom.encaps import generate_frames

    from core.data.readers import codecs

    size, first = (int(dataset.Rows), int(dataset.Columns)), b""
    for frame in generate_frames(
        dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)
    ):
        found, first = packed_size(frame), first or frame
        if found is None and dataset.file_meta.TransferSyntaxUID in codecs.SIZED:
            raise UserError(f"{where}: a packed picture does not say its size; it is damaged.")
        if found is not None and found != size:
            raise UserError(
                f"{where} says it has {size[1]} x {size[0]} pixels, but its packed picture has"
                f" {found[1]} x {found[0]}; fix or remove it."
            )
    return first


def packed_size(frame: bytes) -> tuple[int, int] | None:
    """(height, width) that a JPEG, JPEG-LS or JPEG 2000 stream claims; None for anything else."""
    at = frame[:4096].find(b"\xff\x4f\xff\x51")  # alone, or within a JP2 file
    if at >= 0 and len(frame) >= at + 24:
        x, y, x0, y0 = struct.unpack_from(">4I", frame, at + 8)
        return y - y0, x - x0
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            height, width = struct.unpack_from(">2H", frame, at + 5)
            return height, width
        else:
            at += 2 + struct.unpack_from(">H", frame, at + 2)[0]
    return None


DECODED = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ModalityLUTSequence",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
LOOKED_AT = (
    *(k for k in deidentify.KEPT if not k.endswith("Data")),
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPClassUID",
    "StudyDate",
    "Manufacturer",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "CorrectedImage",
    "PatientWeight",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "SUVType",
    "RadiopharmaceuticalInformationSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "FrameIncrementPointer",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
    "SegmentationType",
    "MaximumFractionalValue",
)
