"""Pictures: PNG, JPEG, TIFF, BMP, in folders (sub-folder = class), with masks of the same name in a `masks` folder,
or a
table beside them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset, Lazy
from core.data.readers import tables
from core.data.readers.members import Asked, Member, collect
from core.data.splits import WORDS
from core.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
PLAIN = {"images", "image", "imgs", "img"}
ORIENTED = (b"eXIf", b"exif", b"xmp", b"XMP")  # one of these stands in a PNG that says how it is turned
CAP = 256  # pixels of the longer side kept


def read(members: list[Member], asked: Asked) -> Dataset:
    """An image dataset from pictures, read twice: for their sizes, then one by one into the common size."""
    from core.data.readers import picture_masks

    sheets = [m for m in members if m.name.lower().endswith((".csv", ".tsv"))]
    files = [m for m in members if m not in sheets]
    files, inside, left = picture_masks.apart(files)
    if asked.masks is not None:
        inside = collect(asked.masks)
    if not files:
        raise UserError("There are masks but no pictures beside them.")
    looked, coloured = [], False
    for i, m in enumerate(files):
        looked.append(_look(m, coloured))
        coloured = coloured or looked[-1].colour
        asked.report(i + 1, len(files) * (1 if _large(looked, len(files)) else 2))
    side, rule = common_side([look.size for look in looked])
    rules, top, several = [rule], max(look.top for look in looked), sum(look.several for look in looked)
    if several:
        rules.append(
            f"{several} file{'s hold' if several > 1 else ' holds'} more than one frame; only the first is used"
        )
    if top:
        rules.append(f"16-bit values scaled by one factor so that the largest ({top}) becomes 255")
    if coloured:
        rules.append("kept in colour, three channels")

    def sample(i: int) -> np.ndarray:
        image = decode(files[i])
        if image.dtype == np.uint16:
            image = (image.astype(np.float32) * (255 / top)).round().astype(np.uint8)
        image = resize(image, side)
        if not coloured:
            return (image if image.ndim == 2 else image[..., 0])[None]
        return np.repeat(image[None], 3, 0) if image.ndim == 2 else image.transpose(2, 0, 1)

    samples: Any = Lazy(len(files), (3 if coloured else 1, *side), np.uint8, sample, at_once=True)
    if samples.nbytes <= limits.IN_MEMORY:
        samples = samples[:]
        asked.report(2 * len(files), 2 * len(files))
    table, roles = foldered(pd.DataFrame({"file": [m.name for m in files]}), {"file": "file"}, asked, auto=True)
    if sheets:
        joined = next((j for j in (tables.beside(table, s) for s in sheets) if j is not None), None)
        if joined is None:
            raise UserError(
                f"{sheets[0].name} has no column that names every picture; one column must hold the file names."
            )
        table = joined
    masks, table, more, said = picture_masks.join(files, inside, side, table, roles.get("label"))
    card: dict[str, Any] = {"rules": rules + more, "left out": left, **said}
    card["cohort"] = {"files seen": len(members), "pictures used": len(files), "masks": len(inside)}
    return Dataset("", "image", table, samples, masks, roles, (), (0.0, 255.0), card)


@dataclass(frozen=True)
class Look:
    """A picture before it is read in earnest: (height, width) as it will be decoded, the largest value of a 16-bit picture (0 for others), whether
    more frames follow, whether it has a colour."""

    size: tuple[int, int]
    top: int
    several: bool
    colour: bool


def _look(member: Member, coloured: bool) -> Look:
    """Cost: the header; for 16-bit pictures, and for those in colour modes until one of the set is known to be `coloured`, a decoding."""

    def seen(image: Any) -> tuple[tuple[int, int], str, bool]:
        data = image.fp.getvalue() if image.format == "PNG" else b""
        plain = image.format == "PNG" and not any(mark in data for mark in ORIENTED)  # asking a PNG for its EXIF decodes it
        turned = not plain and image.getexif().get(0x0112, 1) > 4  # EXIF orientations that lay the picture on its side
        return image.size if turned else image.size[::-1], image.mode, getattr(image, "n_frames", 1) > 1

    size, mode, more = _opened(member, seen)
    deep = mode.startswith("I")
    image = decode(member) if deep or (mode not in ("L", "1", "F") and not coloured) else None
    colour = image is not None and image.ndim == 3 and bool((image[..., :2] != image[..., 1:]).any())
    return Look(size, max(int(image.max()), 1) if deep and image is not None else 0, more, colour)


def _large(looked: list[Look], n: int) -> bool:
    """Whether all samples together will be too many to stand in memory."""
    return n * min(CAP, max(looked[0].size)) ** 2 > limits.IN_MEMORY


def decode(member: Member) -> np.ndarray:
    """uint8 or uint16 [H,W] or [H,W,3]: turned as its EXIF says, first frame, palette and CMYK to RGB, alpha laid
    on black."""
    from PIL import Image, ImageOps

    def pixels(opened: Any) -> np.ndarray:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            return np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        if image.mode == "F":
            raise UserError(
                f"{member.name} holds floating-point values, which have no fixed black and white; save it with "
                "8 or 16 bits."
            )
        if image.mode in ("L", "1"):
            return np.asarray(image.convert("L"))
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            flat = Image.new("RGBA", image.size, (0, 0, 0, 255))
            flat.alpha_composite(image.convert("RGBA"))
            image = flat
        return np.asarray(image.convert("RGB"))

    return _opened(member, pixels)


def _opened(member: Member, use: Callable[[Any], Any]) -> Any:
    """`use` of the open picture; UserError for one that is too large, cut off or no picture."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower, and says so
            with Image.open(io.BytesIO(member.load()), formats=["PNG", "JPEG", "TIFF", "BMP"]) as opened:
                if opened.size[0] * opened.size[1] > limits.PIXELS:
                    raise UserError(f"{member.name} has {opened.size[0]} x {opened.size[1]} pixels; "
                                    f"at most {limits.PIXELS // 10**6} million are taken.")  # fmt: skip
                return use(opened)
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise UserError(f"{member.name} has too many pixels; at most {limits.PIXELS // 10**6} million are taken.") from None
    except Exception as e:
        why = f"{type(e).__name__}: it may be cut off or damaged"
        raise UserError(f"{member.name} cannot be read as a picture ({why}); mend or remove it.") from None


def common_side(shapes: list[tuple[int, int]]) -> tuple[tuple[int, int], str]:
    """The one size all pictures get, and the rule in words."""
    if len(set(shapes)) == 1 and max(shapes[0]) <= CAP:
        return shapes[0], f"all pictures are {shapes[0][1]} by {shapes[0][0]} pixels, kept as they are"
    if len(set(shapes)) == 1:
        f = CAP / max(shapes[0])
        size = (max(1, round(shapes[0][0] * f)), max(1, round(shapes[0][1] * f)))
        return size, f"all pictures shrunk from {shapes[0][1]} by {shapes[0][0]} to {size[1]} by {size[0]} pixels"
    side = min(CAP, int(np.median([max(s) for s in shapes])))
    return (side, side), (f"pictures of differing sizes brought to {side} by {side} pixels (the median of their longer "
                          f"sides, at most {CAP}), aspect kept, black padding")  # fmt: skip


def resize(image: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
    """uint8 [H,W(,3)] or float32 [H,W] fitted into `size`, aspect kept, zero padding."""
    from PIL import Image

    if image.shape[:2] == size:
        return image
    f = min(size[0] / image.shape[0], size[1] / image.shape[1])
    inner = (max(1, round(image.shape[1] * f)), max(1, round(image.shape[0] * f)))
    how = Image.Resampling.NEAREST if nearest else Image.Resampling.BOX if f < 1 else Image.Resampling.BILINEAR
    made = np.asarray(Image.fromarray(image).resize(inner, how))
    out = np.zeros((*size, *image.shape[2:]), image.dtype)
    y, x = (size[0] - made.shape[0]) // 2, (size[1] - made.shape[1]) // 2
    out[y : y + made.shape[0], x : x + made.shape[1]] = made
    return out


def fit_square(image: np.ndarray, side: int) -> np.ndarray:
    """float [H,W] fitted into a square, aspect kept, zero padding."""
    return resize(np.ascontiguousarray(image, dtype=np.float32), (side, side))


def foldered(
    table: pd.DataFrame, roles: dict[str, str], asked: Asked, auto: bool
) -> tuple[pd.DataFrame, dict[str, str]]:
    """With the class from the innermost sub-folder of "file" (with `auto`, also where nobody asked), the split
    from folders so called."""
    roles = dict(roles)
    folders = [[p for p in f.split("/")[:-1] if p.lower() not in PLAIN] for f in table["file"]]
    splits = [next((WORDS[p.lower()] for p in f if p.lower() in WORDS), None) for f in folders]
    if all(splits):
        table, roles["split"] = table.assign(split=pd.Series(splits)), "split"
    names = [next((p for p in reversed(f) if p.lower() not in WORDS), None) for f in folders]
    if all(names) and (asked.label == "folder" or (auto and asked.label == "auto" and len(set(names)) > 1)):
        table, roles["label"] = table.assign(label=pd.Series(names)), "label"
    elif asked.label == "folder":
        raise UserError("There are no sub-folders to take the class from; put each class into a folder of its own.")
    return table, roles
