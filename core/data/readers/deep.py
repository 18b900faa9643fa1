"""Pictures that hold more than eight bits, signs, fractions or other than one or three channels:
their numbers as stored.

TIFF of every number type (BigTIFF, planar, tiled and packed ones among them) through tifffile, PNG
of 16 bits a colour and JPEG of other than eight bits through imagecodecs. What a file claims is
bounded before it is decoded.
"""

from __future__ import annotations

import io
import logging
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from core import limits
from core.errors import UserError

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two: BigTIFF
BYTES = 16 * limits.PIXELS  # of one decoded picture
CHANNELS = 32  # of one picture
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2  # TIFF's PhotometricInterpretation
PALETTE, CMYK, YCBCR = 3, 5, 6
ALPHA = (1, 2)  # TIFF's ExtraSamples: opacity, colours multiplied by it already or not
ORIENTATION, SAMPLE_BITS, EXTRA, NODATA = 274, 258, 338, 42113

logging.getLogger("tifffile").addHandler(logging.NullHandler())
logging.getLogger("tifffile").propagate = False  # its words on damaged files name what is inside


@dataclass(frozen=True)
class Deep:
    """One such picture: (height, width) as it will be decoded, frames in the file, and `decode()`,
    which gives [H,W] or [H,W,C] of any number type; NaN = no value there.
    """

    size: tuple[int, int]
    frames: int
    decode: Callable[[], np.ndarray]


def open_deep(data: bytes, name: str, page: int = 0) -> Deep | None:
    """Return the picture in `data` (of a TIFF: this page); None for one that Pillow gives as it is.
    UserError for what is too large or not read; errors of the libraries for damaged files.
    """
    if data[:4] in TIFF:
        return _tiff(data, name, page)
    if (
        data[:8] == b"\x89PNG\r\n\x1a\n"
        and data[24:25] == b"\x10"
        and data[25:26] in (b"\2", b"\4", b"\6")
    ):
        return _png(data, name)
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg(data, name)
    return None


def has_one_size(data: bytes) -> bool:
    """Whether all pages of a TIFF have the same width and height (true of a damaged one, whose
    reader says so).
    """
    from tifffile import TiffFile

    try:
        with TiffFile(io.BytesIO(data)) as file:
            pages: Any = file.pages
            return len({(page.imagelength, page.imagewidth) for page in pages}) == 1
    except Exception:  # whatever damaged tags make the library do
        return True


def check_size(height: int, width: int, channels: int, item: int, name: str) -> None:
    """UserError for a picture with more pixels, channels or bytes than are taken."""
    if height * width > limits.PIXELS:
        raise UserError(
            f"{name} has {width} x {height} pixels; at most {limits.PIXELS // 10**6} million are "
            "taken: make it smaller, or cut it into tiles."
        )
    if channels > CHANNELS:
        raise UserError(f"{name} has {channels} channels; at most {CHANNELS} are taken.")
    if height * width * channels * item > BYTES:
        raise UserError(
            f"{name} holds more than {BYTES // 10**6} MB when unpacked; make it smaller."
        )


def turn_upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """[H,W,...] turned and mirrored as EXIF and TIFF note it: 1 as stored to 8; other numbers count
    as 1.
    """
    if orientation in (2, 3):
        image = image[:, ::-1]
    if orientation in (3, 4):
        image = image[::-1]
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (6, 7):
        image = image[:, ::-1]
    if orientation in (7, 8):
        image = image[::-1]
    return image


def _tiff(data: bytes, name: str, at: int) -> Deep | None:
    from tifffile import TiffFile

    file = TiffFile(io.BytesIO(data))
    page: Any = file.pages[at]
    check_size(page.imagelength, page.imagewidth, page.samplesperpixel, 1, name)
    if _plain(page):
        return None
    if page.dtype is None or page.dtype.kind not in "iufb" or page.imagedepth > 1:
        raise UserError(
            f"{name} holds pixels of an unusual kind (complex or packed numbers, or a TIFF "
            "volume); save it with 8, 16 or 32 bits."
        )
    if page.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise UserError(
            f"{name} holds colours of a kind that is not read at its depth; save it as RGB or grey."
        )
    check_size(page.imagelength, page.imagewidth, page.samplesperpixel, page.dtype.itemsize, name)
    ends = [at + n for at, n in zip(page.dataoffsets, page.databytecounts)]
    raw = page.compression == 1 and page.bitspersample % 8 == 0
    if max(ends, default=0) > len(data) or (raw and sum(page.databytecounts) < page.nbytes):
        raise UserError(f"{name} has fewer bytes than its picture needs; it is cut off or damaged.")
    turn = int(page.tags.valueof(ORIENTATION, 1) or 1)
    size = (page.imagewidth, page.imagelength) if turn > 4 else (page.imagelength, page.imagewidth)
    frames = max(
        len(file.pages),
        math.prod(file.series[0].shape) // max(1, math.prod(page.shape)) if file.is_imagej else 1,
    )
    return Deep(size, frames, lambda: turn_upright(_tiff_values(page, name), turn))


def _plain(page: Any) -> bool:
    """Whether Pillow gives a TIFF page as it is: unsigned, eight bits a channel or fewer, grey or
    in usual colours.
    """
    bits = page.tags.valueof(SAMPLE_BITS, 1)
    bits = bits if isinstance(bits, tuple) else (bits,)
    if page.sampleformat not in (1, 4) or max(bits) > 8 or NODATA in page.tags:
        return False
    extra = _extra(page)
    colours = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}.get(
        page.photometric
    )
    if colours is None:
        return False
    alpha = len(extra) == 1 and extra[0] in ALPHA and page.photometric == RGB
    return page.samplesperpixel == colours or (alpha and page.samplesperpixel == colours + 1)


def _extra(page: Any) -> tuple[int, ...]:
    value = page.tags.valueof(EXTRA, ())
    return tuple(int(v) for v in (value if isinstance(value, tuple) else (value,)))


def _tiff_values(page: Any, name: str) -> np.ndarray:
    """[H,W] or [H,W,C]: larger is brighter, opacity laid on black, NaN where the file says that
    there is no value.
    """
    array = np.asarray(page.asarray(squeeze=False))  # [planes, depth, H, W, channels]
    array = np.moveaxis(array, 0, -1).reshape(page.imagelength, page.imagewidth, -1)
    bits = page.bitspersample
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    missing = None
    if NODATA in page.tags and page.nodata is not None:
        missing = array == page.nodata
    if page.photometric == WHITE_IS_ZERO:
        array = _turned(array, bits)
    if array.dtype == np.uint8 and bits < 8:
        array = (array * (255 / ((1 << bits) - 1))).round().astype(np.uint8)
    if array.dtype.kind == "f" and np.isinf(array).any():
        raise UserError(f"{name} holds infinite values; fix or remove it.")
    if missing is not None and missing.any():
        array = np.where(missing, np.nan, array.astype(np.float64))
    extra = _extra(page)
    if extra and extra[-1] in ALPHA and array.shape[-1] > 1:
        full = 1.0 if array.dtype.kind == "f" else float((1 << bits) - 1)
        array = blend_on_black(array, full, multiplied=extra[-1] == 1)
    return array[..., 0] if array.shape[-1] == 1 else array


def _turned(array: np.ndarray, bits: int) -> np.ndarray:
    """Values stored with white as the smallest, so that larger is brighter; the same for all
    pictures of a type.
    """
    if array.dtype.kind == "u":
        return np.asarray((1 << bits) - 1 - array.astype(np.int64)).astype(array.dtype)
    return ~array if array.dtype.kind == "i" else -array


def blend_on_black(array: np.ndarray, full: float, multiplied: bool = False) -> np.ndarray:
    """[H,W,C] whose last channel is the opacity (`full` = opaque) as [H,W,C-1] on black, in its
    number type.
    """
    colours, alpha = array[..., :-1], array[..., -1:]
    if multiplied or bool((alpha == full).all()):
        return colours
    laid = colours.astype(np.float64) * (alpha.astype(np.float64) / full)
    return (
        laid.round().astype(array.dtype) if array.dtype.kind in "iu" else laid.astype(array.dtype)
    )


def _png(data: bytes, name: str) -> Deep:
    """16 bits a colour, of which Pillow gives the upper eight only."""
    from PIL import Image

    width, height = struct.unpack_from(">II", data, 16)
    alpha, channels = data[25] in (4, 6), {2: 3, 4: 2, 6: 4}[data[25]]
    check_size(height, width, channels, 2, name)
    with Image.open(io.BytesIO(data), formats=["PNG"]) as header:
        noted = b"eXIf" in data or b"exif" in data
        turn = int(header.getexif().get(ORIENTATION, 1)) if noted else 1
        frames = getattr(header, "n_frames", 1)

    def decode() -> np.ndarray:
        import imagecodecs

        array = np.asarray(imagecodecs.png_decode(data))
        array = blend_on_black(array, 65535.0) if alpha else array
        return turn_upright(array[..., 0] if array.shape[-1] == 1 else array, turn)

    return Deep((width, height) if turn > 4 else (height, width), frames, decode)


def _jpeg(data: bytes, name: str) -> Deep | None:
    """12-bit and lossless JPEG; None for the usual ones."""
    found = read_jpeg_frame(data)
    if found is None or (found[0] in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) and found[1] == 8):
        return None
    height, width, channels = found[2:]
    check_size(height, width, channels, 2, name)

    def decode() -> np.ndarray:
        import imagecodecs

        array = np.asarray(imagecodecs.jpeg8_decode(data))
        if array.shape[:2] != (height, width):
            raise UserError(f"{name} says two sizes of its picture; fix or remove it.")
        return array

    return Deep((height, width), 1, decode)


def read_jpeg_frame(data: bytes) -> tuple[int, int, int, int, int] | None:
    """(kind of coding as its marker byte, bits, height, width, channels) that a JPEG stream claims;
    None for anything else.
    """
    at = 2
    while data[:2] == b"\xff\xd8" and at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            return marker, bits, height, width, channels
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None
