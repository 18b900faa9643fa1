"""Pictures: PNG, JPEG, TIFF, BMP, in folders (sub-folder = class), with masks of the same name in a `masks` folder, or a table beside them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset
from core.data.readers import tables
from core.data.readers.members import Member, collect
from core.data.splits import WORDS
from core.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
MASK_FOLDERS = {"masks", "mask", "segmentations"}
CAP = 256  # pixels of the longer side kept


def read(members: list[Member], label: str, text: str | None, masks: Path | None) -> Dataset:
    """An image dataset from pictures; see `core.data.readers.read`."""
    sheet = [m for m in members if m.name.lower().endswith((".csv", ".tsv"))]
    files = [m for m in members if m not in sheet]
    inside = [m for m in files if MASK_FOLDERS & {p.lower() for p in m.parts[:-1]}]
    files = [m for m in files if m not in inside]
    if masks is not None:
        inside = [m for m in collect(masks)]
    if not files:
        raise UserError("There are masks but no pictures beside them.")
    images = [decode(m) for m in files]
    side, rule = common_side([i.shape[:2] for i in images])
    rules = [rule]
    if all(i.ndim == 2 or (np.ptp(i, axis=2) == 0).all() for i in images):
        images = [i if i.ndim == 2 else i[..., 0] for i in images]
    else:
        images = [np.repeat(i[..., None], 3, 2) if i.ndim == 2 else i for i in images]
        rules.append("kept in colour, three channels")
    if any(i.dtype == np.uint16 for i in images):
        top = max(int(i.max()) for i in images)
        images = [(i.astype(np.float32) * (255 / max(top, 1))).round().astype(np.uint8) for i in images]
        rules.append(f"16-bit values scaled by one factor so that the largest ({top}) becomes 255")
    samples = np.stack([resize(i, side) for i in images])
    samples = samples[:, None] if samples.ndim == 3 else samples.transpose(0, 3, 1, 2)
    table, roles = _columns(files, label)
    if sheet:
        table, roles = _joined(table, roles, sheet[0])
    card = {"rules": rules, "cohort": {"files seen": len(members), "pictures used": len(files), "masks": len(inside)}}
    return Dataset("", "image", table, samples, _masks(files, inside, side), roles, (), (0.0, 255.0), card)


def decode(member: Member) -> np.ndarray:
    """uint8 or uint16 [H,W] or [H,W,3]: turned as its EXIF says, first frame, palette and CMYK to RGB, alpha laid on black."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(member.load()), formats=["PNG", "JPEG", "TIFF", "BMP"]) as opened:
                if opened.size[0] * opened.size[1] > limits.PIXELS:
                    raise UserError(f"{member.name} has {opened.size[0]} x {opened.size[1]} pixels; at most {limits.PIXELS // 10**6} million are taken.")
                image = ImageOps.exif_transpose(opened)
                if image.mode in ("I;16", "I;16B", "I"):
                    return np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
                if image.mode in ("L", "1"):
                    return np.asarray(image.convert("L"))
                if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                    flat = Image.new("RGBA", image.size, (0, 0, 0, 255))
                    flat.alpha_composite(image.convert("RGBA"))
                    image = flat
                return np.asarray(image.convert("RGB"))
    except UserError:
        raise
    except Exception as e:
        raise UserError(f"{member.name} cannot be read as a picture ({type(e).__name__}: it may be cut off or damaged); mend or remove it.") from None


def common_side(shapes: list[tuple[int, int]]) -> tuple[tuple[int, int], str]:
    """The one size all pictures get, and the rule in words."""
    if len(set(shapes)) == 1 and max(shapes[0]) <= CAP:
        return shapes[0], f"all pictures are {shapes[0][1]} by {shapes[0][0]} pixels, kept as they are"
    if len(set(shapes)) == 1:
        f = CAP / max(shapes[0])
        size = (max(1, round(shapes[0][0] * f)), max(1, round(shapes[0][1] * f)))
        return size, f"all pictures shrunk from {shapes[0][1]} by {shapes[0][0]} to {size[1]} by {size[0]} pixels"
    side = min(CAP, int(np.median([max(s) for s in shapes])))
    return (side, side), f"pictures of differing sizes brought to {side} by {side} pixels (the median of their longer sides, at most {CAP}), aspect kept, black padding"


def resize(image: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
    """uint8 [H,W(,3)] fitted into `size`, aspect kept, black padding."""
    from PIL import Image

    if image.shape[:2] == size:
        return image
    f = min(size[0] / image.shape[0], size[1] / image.shape[1])
    inner = (max(1, round(image.shape[1] * f)), max(1, round(image.shape[0] * f)))
    made = np.asarray(Image.fromarray(image).resize(inner, Image.Resampling.NEAREST if nearest else Image.Resampling.BOX if f < 1 else Image.Resampling.BILINEAR))
    out = np.zeros((*size, *image.shape[2:]), image.dtype)
    y, x = (size[0] - made.shape[0]) // 2, (size[1] - made.shape[1]) // 2
    out[y : y + made.shape[0], x : x + made.shape[1]] = made
    return out


def fit_square(image: np.ndarray, side: int) -> np.ndarray:
    """float [H,W] fitted into a square, aspect kept, zero padding."""
    from PIL import Image

    f = side / max(image.shape)
    inner = (max(1, round(image.shape[1] * f)), max(1, round(image.shape[0] * f)))
    made = np.asarray(Image.fromarray(image.astype(np.float32)).resize(inner, Image.Resampling.BOX if f < 1 else Image.Resampling.BILINEAR))
    out = np.zeros((side, side), np.float32)
    y, x = (side - made.shape[0]) // 2, (side - made.shape[1]) // 2
    out[y : y + made.shape[0], x : x + made.shape[1]] = made
    return out


def _columns(files: list[Member], label: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """File names, the class from the innermost sub-folder, the split from a folder called train, val or test."""
    table, roles = pd.DataFrame({"file": [m.name for m in files]}), {"file": "file"}
    folders = [[p for p in m.parts[:-1] if p.lower() not in ("images", "image")] for m in files]
    splits = [next((WORDS[p.lower()] for p in f if p.lower() in WORDS), None) for f in folders]
    if all(splits):
        table["split"], roles["split"] = splits, "split"
    names = [next((p for p in reversed(f) if p.lower() not in WORDS), None) for f in folders]
    if label in ("auto", "folder") and all(names) and (len(set(names)) > 1 or label == "folder"):
        table["label"], roles["label"] = names, "label"
    elif label == "folder":
        raise UserError("There are no sub-folders to take the class from; put each class into a folder of its own.")
    return table, roles


def _joined(table: pd.DataFrame, roles: dict[str, str], sheet: Member) -> tuple[pd.DataFrame, dict[str, str]]:
    """The columns of a table beside the pictures, joined on the column that holds their file names."""
    frame = tables.frame_of(sheet)
    stems = [PurePosixPath(f).name for f in table["file"]]
    for column in frame.columns:
        keys = frame[column].astype(str).map(lambda v: PurePosixPath(v).name)
        if set(stems) <= set(keys) or {PurePosixPath(s).stem for s in stems} <= set(keys):
            use = stems if set(stems) <= set(keys) else [PurePosixPath(s).stem for s in stems]
            if keys.duplicated().any():
                raise UserError(f"{sheet.name}, column “{column}”: {keys[keys.duplicated()].iloc[0]} is there twice.")
            more = frame.set_index(keys).loc[use].drop(columns=[column]).reset_index(drop=True)
            return pd.concat([table, more[[c for c in more.columns if c not in table]]], axis=1), roles
    raise UserError(f"{sheet.name} has no column that names every picture; one column must hold the file names.")


def _masks(files: list[Member], masks: list[Member], size: tuple[int, int]) -> np.ndarray | None:
    if not masks:
        return None
    by_stem = {PurePosixPath(m.name).stem.removesuffix("_mask"): m for m in masks}
    stems = [PurePosixPath(m.name).stem for m in files]
    strangers = sorted(set(by_stem) - set(stems))
    if strangers:
        raise UserError(f"The mask {by_stem[strangers[0]].name} has no picture of the same name.")
    out = np.zeros((len(files), *size), np.uint8)
    for i, stem in enumerate(stems):
        if stem in by_stem:
            mask = decode(by_stem[stem])
            out[i] = resize(((mask if mask.ndim == 2 else mask.max(2)) > 0).astype(np.uint8), size, nearest=True)
    return out
