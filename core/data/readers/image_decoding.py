"""One picture's bytes as numbers, upright, and brought to a size."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from core import limits
from core.data.readers import deep
from core.data.readers.files import Member
from core.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
PLAIN = {"images", "image", "imgs", "img"}
# one of these stands in a PNG that says how it is turned
ORIENTED = (b"eXIf", b"exif", b"xmp", b"XMP")
CAP = 256  # pixels of the longer side kept


def decode(member: Member) -> np.ndarray:
    """[H,W] or [H,W,C]: turned as its EXIF says, the member's page (else the first frame), palette
    and CMYK to RGB, opacity laid on black. uint8 for pictures of up to 8 bits; the number type of
    the file for deeper ones, NaN = no value.
    """
    from PIL import Image, ImageOps

    def pixels(opened: Any) -> np.ndarray:
        if member.page:
            opened.seek(member.page)
        ImageOps.exif_transpose(opened, in_place=True)
        image = opened
        if image.mode.startswith("I"):
            array = np.asarray(image)
            return array.astype(np.uint16) if array.min() >= 0 and array.max() <= 65535 else array
        if image.mode == "F":
            return np.asarray(image)
        if image.mode in ("L", "RGB") and "transparency" not in image.info:
            return np.asarray(image)
        if image.mode in ("L", "1"):
            return np.asarray(image.convert("L"))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            flat = Image.new("RGBA", image.size, (0, 0, 0, 255))
            flat.alpha_composite(image.convert("RGBA"))
            image = flat
        return np.asarray(image.convert("RGB"))

    return open_picture(member, pixels, lambda picture: picture.decode())


def open_picture(
    member: Member, use: Callable[[Any], Any], deeply: Callable[[deep.Deep], Any]
) -> Any:
    """`use` of the picture as Pillow opens it, `deeply` of one that `readers.deep` opens; UserError
    for one that is too large, cut off or no picture.
    """
    from PIL import Image

    try:
        data = member.load()
        if (picture := deep.open_deep(data, member.name, member.page)) is not None:
            return deeply(picture)
        with warnings.catch_warnings():
            # our own limit is lower, and says so
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "TIFF", "BMP"]) as opened:
                deep.check_size(opened.size[1], opened.size[0], 1, 1, member.name)
                return use(opened)
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(
            f"{member.name} has too many pixels; at most {limits.PIXELS // 10**6} million are"
            " taken."
        ) from None
    except Exception as e:
        why = f"{type(e).__name__}: it may be cut off or damaged"
        raise UserError(
            f"{member.name} cannot be read as a picture ({why}); fix or remove it."
        ) from None


def may_be_turned(data: bytes) -> bool:
    """Whether a PNG may say how it is turned: of its chunks, which have a length, a name and a sum
    each, all are looked at but the pixels.
    """
    at = 8
    while at + 12 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"IEND":
            return False
        if name != b"IDAT" and any(mark in data[at : at + 12 + size] for mark in ORIENTED):
            return True
        at += 12 + size
    return any(mark in data[at:] for mark in ORIENTED)  # it ends within a chunk


def choose_common_size(shapes: list[tuple[int, int]]) -> tuple[tuple[int, int], str]:
    """Return the one size all pictures get, and the rule in words."""
    if len(set(shapes)) == 1 and max(shapes[0]) <= CAP:
        return (
            shapes[0],
            f"all pictures are {shapes[0][1]} by {shapes[0][0]} pixels, kept as they are",
        )
    if len(set(shapes)) == 1:
        f = CAP / max(shapes[0])
        size = (max(1, round(shapes[0][0] * f)), max(1, round(shapes[0][1] * f)))
        return (
            size,
            (
                f"all pictures shrunk from {shapes[0][1]} by {shapes[0][0]} to {size[1]} by"
                f" {size[0]} pixels"
            ),
        )
    side = min(CAP, int(np.median([max(s) for s in shapes])))
    return (
        (side, side),
        (
            f"pictures of differing sizes brought to {side} by {side} pixels (the median of their"
            f" longer sides, at most {CAP}), aspect kept, black padding"
        ),
    )


def resize(image: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
    """uint8 [H,W(,C)] or float32 [H,W] fitted into `size`, aspect kept, zero padding."""
    from PIL import Image

    if image.shape[:2] == size:
        return image
    if image.ndim == 3 and image.shape[2] != 3:  # Pillow would take one of them for opacity
        layers = [np.ascontiguousarray(image[..., c]) for c in range(image.shape[2])]
        return np.stack([resize(layer, size, nearest) for layer in layers], -1)
    f = min(size[0] / image.shape[0], size[1] / image.shape[1])
    inner = (max(1, round(image.shape[1] * f)), max(1, round(image.shape[0] * f)))
    if nearest:
        how = Image.Resampling.NEAREST
    elif f < 1:
        how = Image.Resampling.BOX
    else:
        how = Image.Resampling.BILINEAR
    resized = np.asarray(Image.fromarray(image).resize(inner, how))
    out = np.zeros((*size, *image.shape[2:]), image.dtype)
    y, x = (size[0] - resized.shape[0]) // 2, (size[1] - resized.shape[1]) // 2
    out[y : y + resized.shape[0], x : x + resized.shape[1]] = resized
    return out


def fit_square(image: np.ndarray, side: int) -> np.ndarray:
    """`float [H,W]` fitted into a square, aspect kept, zero padding."""
    return resize(np.ascontiguousarray(image, dtype=np.float32), (side, side))
