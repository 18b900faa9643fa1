"""Arrays: MedMNIST-style `.npz` (train_images, train_labels, ...), plain `.npz` (x or X, y) and
`.npy`.

Headers are checked before loading.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import asdict, replace
from typing import IO, Any

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset, Modality
from core.data.readers import masks
from core.data.readers.asked_roles import find_roles
from core.data.readers.csv_text import LARGEST
from core.data.readers.files import Asked, Member, read_npy_header, unpack_stream
from core.data.readers.npz_files import (
    drop_opacity,
    find_input_range,
    flatten_labels,
    load_arrays,
    order_axes,
    read_array,
    read_header,
)
from core.data.readers.table_inputs import encode_table, make_precision_entry
from core.errors import UserError

X_NAMES = (
    "x",
    "images",
    "image",
    "imgs",
    "img",
    "data",
    "pixels",
    "samples",
    "inputs",
    "volumes",
    "volume",
    "scans",
    "features",
    "arr",
    "array",
    "arr_0",
)
Y_NAMES = ("y", "labels", "label", "target", "targets")
MASK_NAMES = ("mask", "masks", "lesion_mask", "segmentation")
PARTS = ("train", "val", "test")
FIRST_BYTES = 64 << 20  # of samples that are read before the import
WORD = r"train|training|tr|val|valid|validation|dev|test"
PART = re.compile(rf"(?P<a>[a-z]+[_\-. ]?|)(?P<part>{WORD})(?P<b>[_\-. ]?[a-z]*)")
# samples, masks, columns, left out
Parts = tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray], list[str]]


def read(members: list[Member], asked: Asked) -> Dataset:
    """Images [n,H,W], [n,H,W,C] or [n,C,H,W] with 1 to 4 channels, volumes [n,D,H,W], [n,C,D,H,W]
    or [n,D,H,W,C], or tables [n,d]; other one-per-row arrays become columns.
    """
    if asked.masks is not None:
        raise UserError(
            "Masks of arrays are read from the same npz (an array called “masks”); leave the masks"
            " out or put them in."
        )
    name = members[0].name
    arrays = load_arrays(members[0])
    found = {k.lower(): k for k in arrays}
    parted = "train_images" in found or _name_parts(found)
    if parted:
        key = found["train_images"]
        x, mask, columns, left = _in_parts(arrays, found, asked, name)
    else:
        key = _key(arrays, found, name)
        x, mask, columns, left = _plain(arrays, found, asked, name, key)
    if asked.label == "none":
        columns.pop("label", None)
    data = _dataset(x, mask, columns, name, key)
    return replace(data, card={**data.card, "left out": left})


def _name_parts(found: dict[str, str]) -> bool:
    """Whether arrays are named by part and kind (x_train, y_test, X_val, train_data); `found` then
    has them under MedMNIST's names as well (train_images, test_labels).
    """
    kinds = {
        **dict.fromkeys(X_NAMES, "images"),
        **dict.fromkeys(Y_NAMES, "labels"),
        **dict.fromkeys(MASK_NAMES, "masks"),
    }
    more: dict[str, str] = {}
    for name, key in found.items():
        fit = PART.fullmatch(name)
        word = "" if fit is None else (fit["a"] or fit["b"]).strip("_-. ")
        if fit is None or word not in kinds:
            continue
        part = {
            "tr": "train",
            "training": "train",
            "valid": "val",
            "validation": "val",
            "dev": "val",
        }.get(fit["part"], fit["part"])
        more[f"{part}_{kinds[word]}"] = key
    if "train_images" not in more or not {"val_images", "test_images"} & set(more):
        return False
    found |= more
    return True


def _in_parts(
    arrays: dict[str, np.ndarray], found: dict[str, str], asked: Asked, name: str
) -> Parts:
    """MedMNIST's way: train_images, train_labels, val_images, ..."""
    parts = [s for s in PARTS if f"{s}_images" in found]

    def joined(kind: str) -> np.ndarray:
        pieces = [arrays[found[f"{s}_{kind}"]] for s in parts]
        if len({(p.shape[1:], p.dtype.kind) for p in pieces}) > 1:
            raise UserError(
                f"{name}: the parts' {kind} differ in shape or type"
                f" ({', '.join(str(p.shape) for p in pieces)})."
            )
        return np.concatenate(pieces)

    for s in parts:
        if arrays[found[f"{s}_images"]].ndim < (
            3 if found[f"{s}_images"].lower() == f"{s}_images" else 2
        ):
            raise UserError(
                f"{name}: “{s}_images” has shape {arrays[found[f'{s}_images']].shape}; pictures are"
                " needed."
            )
        labels = arrays.get(found.get(f"{s}_labels", ""))
        if labels is not None and labels.shape[:1] != arrays[found[f"{s}_images"]].shape[:1]:
            raise UserError(
                f"{name}: “{s}_labels” has {labels.shape[0] if labels.ndim else 'no'} entries for "
                f"{len(arrays[found[f'{s}_images']])} pictures."
            )
    columns = {
        "split": np.concatenate([np.full(len(arrays[found[f"{s}_images"]]), s) for s in parts])
    }
    used = {found[f"{s}_images"] for s in parts}
    labelled = [s for s in parts if f"{s}_labels" in found]
    if labelled and asked.label != "none":
        columns["label"] = (
            flatten_labels(joined("labels"), name)
            if labelled == parts
            else _some(arrays, found, parts, name)
        )
        used |= {found[f"{s}_labels"] for s in labelled}
    mask = None
    if all(f"{s}_masks" in found for s in parts):
        mask = joined("masks")
        used |= {found[f"{s}_masks"] for s in parts}
    return joined("images"), mask, columns, [f"{k} (array)" for k in arrays if k not in used]


def _some(
    arrays: dict[str, np.ndarray], found: dict[str, str], parts: list[str], name: str
) -> np.ndarray:
    """Labels where some parts have none: those are not known."""
    pieces = []
    for s in parts:
        if f"{s}_labels" in found:
            pieces.append(flatten_labels(arrays[found[f"{s}_labels"]], name).astype(object))
        else:
            pieces.append(np.full(len(arrays[found[f"{s}_images"]]), None, dtype=object))
    return np.concatenate(pieces)


def _key(arrays: dict[str, np.ndarray], found: dict[str, str], name: str) -> str:
    """Return the name of the array of samples: a usual one, else that of the largest array."""
    key = next((found[k] for k in X_NAMES if k in found), None)
    if key is None:
        key = max(
            (k for k in arrays if arrays[k].ndim >= 2), key=lambda k: arrays[k].size, default=None
        )
    if key is None:
        raise UserError(
            f"{name} holds no array of samples (looked for: {', '.join(X_NAMES)}; it has: "
            f"{', '.join(arrays) or 'nothing'})."
        )
    return key


def _plain(
    arrays: dict[str, np.ndarray], found: dict[str, str], asked: Asked, name: str, key: str
) -> Parts:
    """Return the samples, perhaps masks, and columns."""
    x = arrays.pop(key)
    mask_key = next((found[k] for k in MASK_NAMES if k in found and found[k] in arrays), None)
    mask = arrays.pop(mask_key) if mask_key else None
    columns, left = {}, []
    for k, values in [*arrays.items()] + (
        [(mask_key, mask)] if mask_key and mask is not None else []
    ):
        if values.shape[:1] != x.shape[:1]:
            raise UserError(
                f"{name}: “{k}” has {values.shape[0] if values.ndim else 'no'} entries for "
                f"{len(x) if x.ndim else 'no'} samples."
            )
        if k == mask_key:
            continue
        if values.ndim == 1 or values.shape[1:] == (1,):
            columns["label" if k.lower() in Y_NAMES else k] = flatten_labels(values, name)
        elif k.lower() in Y_NAMES and asked.label != "none":
            flatten_labels(values, name)  # says what is wrong with it
        else:
            left.append(f"{k} (array)")
    return x, mask, columns, left


def _dataset(
    x: np.ndarray, mask: np.ndarray | None, columns: dict[str, np.ndarray], name: str, key: str
) -> Dataset:
    if x.ndim < 2 or 0 in x.shape:
        raise UserError(
            f"{name}: samples have shape {x.shape}; rows of values or pictures are needed."
        )
    if x.ndim > 5:
        raise UserError(f"{name}: samples of shape {x.shape[1:]} are neither pictures nor volumes.")
    if x.dtype.kind not in "biuf":
        raise UserError(f"{name}: the samples are words; only numbers can be learned from.")
    table = pd.DataFrame(columns, index=range(len(x)))
    roles = {r: r for r in ("label", "split") if r in table}
    if x.ndim == 2:
        return _rows(x, table, roles, name)
    if x.dtype.kind == "b":
        x = x.astype(np.uint8)
    x, rules = order_axes(x, key, name)
    x, opaque = drop_opacity(x)
    modality: Modality = "image" if x.ndim == 4 else "volume"
    if x.dtype.kind == "f":
        # in float16 LARGEST itself would be infinite
        x = x.astype(np.float32) if x.dtype.itemsize < 4 else x
        x, filled = _filled(x, name)
        rules += filled
    more: list[str] = []
    said: dict[str, Any] = {}
    if mask is not None:
        space = x.shape[2:]
        if mask.shape[1:] not in (space, (1, *space), (*space, 1)):
            raise UserError(
                f"{name}: the masks have shape {mask.shape[1:]} where the pictures have {space}."
            )
        if len(mask) != len(x):
            raise UserError(f"{name}: there are {len(mask):,} masks for {len(x):,} pictures.")
        if mask.dtype.kind not in "biuf":
            raise UserError(f"{name}: the masks are words; numbers are needed.")
        mask, coding = masks.encode_masks(mask.reshape(len(mask), *space))
        more, said = [f"masks: {coding.rule}"], masks.describe_masks(mask, coding)
    low, high, rule = find_input_range(x)
    card = {"rules": [*rules, *opaque, rule, *more], **said}
    return Dataset("", modality, table, x, mask, roles, (), (low, high), card)


def _filled(x: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    """Pictures or volumes float32 [n,C,*spatial] with the smallest value of all where there was
    NaN, as outside a field of view, and the rule. UserError for infinite values, and for samples
    without any number.
    """
    none = np.isnan(x)
    per = none.reshape(len(x), -1)
    beyond = ~(np.abs(np.where(none, 0, x)) <= LARGEST).reshape(len(x), -1).all(1)
    for bad, what in ((beyond, "infinite values"), (per.all(1), "no number (all of it is NaN)")):
        if bad.any():
            others = f" ({int(bad.sum())} samples do)" if bad.sum() > 1 else ""
            raise UserError(
                f"{name}: sample {int(bad.argmax())} holds {what}{others}; fix or remove it."
            )
    if not none.any():
        return x.astype(np.float32), []
    low = float(np.nanmin(x))
    x = np.where(none, low, x).astype(np.float32)
    many = int(per.any(1).sum())
    return x, [
        f"{int(none.sum()):,} values without a number (NaN) in {many:,} samples are background, set"
        f" to {low:g}"
    ]


def preview_arrays(member: Member, asked: Asked) -> dict[str, Any]:
    """Before import: the columns that come with the samples, their guessed roles and classes, as
    for tables; nothing where that cannot be told without reading all.
    """
    from core.data.readers.tables import list_classes

    if member.head[:6] == b"\x93NUMPY":
        return {}
    try:
        arrays = _outlines(member)
        found = {k.lower(): k for k in arrays}
        parted = "train_images" in found or _name_parts(found)
        if parted:
            columns = _in_parts(arrays, found, asked, member.name)[2]
        else:
            columns = _plain(arrays, found, asked, member.name, _key(arrays, found, member.name))[2]
    except UserError:  # the import says what is wrong
        return {}
    table = pd.DataFrame(columns)
    guesses = find_roles(table, {r: r for r in ("label", "split") if r in table}, asked)
    return {
        "columns": [str(c) for c in table.columns],
        "guesses": [asdict(g) | {"words": g.in_words} for g in guesses],
        "classes": list_classes(table),
    }


def read_first_samples(member: Member, most: int) -> tuple[Dataset | None, int]:
    """Return at most so many first samples of the array that would be read, without their columns,
    and how many there are; of the array no more bytes are unpacked. None where these cannot be cut
    off (column-major arrays). UserError as of `read`, for what the first samples show.
    """
    data = member.load()
    if data[:6] == b"\x93NUMPY":
        try:
            x, n = _first_of(io.BytesIO(data), most)
        except Exception:  # the header is Python text: a damaged one fails in many ways
            raise UserError(f"{member.name} is not a whole numpy array.") from None
        return (None if x is None else _dataset(x, None, {}, member.name, "x")), n
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            shapes: dict[str, np.ndarray] = {}
            for info in archive.infolist():
                with archive.open(info) as f:
                    shape, _ = read_header(f)
                # an array of that shape that takes no memory
                shapes[info.filename.removesuffix(".npy")] = np.broadcast_to(np.uint8(0), shape)
            found = {k.lower(): k for k in shapes}
            parted = "train_images" in found or _name_parts(found)
            key = found["train_images"] if parted else _key(shapes, found, member.name)
            kinds = {k: v for k, v in found.items() if k in (f"{s}_images" for s in PARTS)}
            n = sum(len(shapes[k]) for k in kinds.values()) if parted else len(shapes[key])
            with archive.open(f"{key}.npy") as f:
                x, _ = _first_of(f, most)
    except UserError:
        raise
    except Exception:  # as in `load_arrays`
        raise UserError(
            f"{member.name} is not a whole npz file; it may have been cut off."
        ) from None
    return (None if x is None else _dataset(x, None, {}, member.name, key)), n


def _first_of(f: IO[bytes], most: int) -> tuple[np.ndarray | None, int]:
    """Return the first rows of a .npy stream, and how many rows there are; None for other than
    plain numbers in rows, one row after the other.
    """
    shape, columns_first, dtype = read_npy_header(f)
    if len(shape) < 2 or columns_first or dtype.kind not in "biuf":
        return None, shape[0] if shape else 0
    rows = min(most, shape[0])
    size = int(np.prod(shape[1:], dtype=object)) * dtype.itemsize
    rows = min(rows, FIRST_BYTES // max(1, size))
    if rows < 1:
        return None, shape[0]
    raw = f.read(rows * size)
    x = np.frombuffer(raw, dtype).reshape(rows, *shape[1:])
    return x.astype(dtype.newbyteorder("="), copy=False), shape[0]


def _outlines(member: Member) -> dict[str, np.ndarray]:
    """Return the arrays of one value a row as they are, of all others the shape only (with a last
    axis of 0).
    """
    out: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(member.load())) as archive:
            for info in archive.infolist():
                with archive.open(info) as f:
                    shape, dtype = read_header(f)
                small = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
                key = info.filename.removesuffix(".npy")
                if small and info.file_size <= limits.PREVIEW * 8:
                    with archive.open(info) as f:
                        out[key] = read_array(
                            unpack_stream(f, info.compress_size, member.name, info.file_size),
                            member.name,
                        )
                else:
                    out[key] = np.empty(
                        (*shape[:-1], 0), dtype if dtype.kind in "biufUS" else np.uint8
                    )
    except UserError:
        raise
    except Exception:  # as in `load_arrays`
        raise UserError(
            f"{member.name} is not a whole npz file; it may have been cut off."
        ) from None
    return out


def _rows(x: np.ndarray, table: pd.DataFrame, roles: dict[str, str], name: str) -> Dataset:
    """Return a table of the values [n,d], columns x1 ... xd, those that never change left out of
    the samples.
    """
    if "label" in table:
        whole = table["label"].map(
            lambda v: isinstance(v, (float, np.floating)) and float(v).is_integer()
        )
        table["label"] = [str(int(v)) if w else v for v, w in zip(table["label"], whole)]
    beyond = np.argwhere(np.abs(x.astype(np.float64)) > LARGEST)
    if len(beyond):
        raise UserError(
            f"{name}: row {int(beyond[0][0])}, column x{int(beyond[0][1]) + 1} is not a finite"
            " number; write NaN if the value is not known, or a number below 3.4e38."
        )
    frame = pd.DataFrame(x, columns=[f"x{j + 1}" for j in range(x.shape[1])])
    table = table.rename(columns={c: f"{c} (array)" for c in table if c in frame})
    values, features = encode_table(frame, {})
    if not features:
        raise UserError(
            f"{name}: every column holds one value only; there is nothing to learn from."
        )
    left, rules = [str(c) for c in frame if c not in features], [f"{len(features)} input columns"]
    if left:
        rules.append(f"left out (constants): {', '.join(left[:8])}{' …' if len(left) > 8 else ''}")
    return Dataset(
        "",
        "table",
        pd.concat([table, frame], axis=1),
        values,
        None,
        roles,
        features,
        card={"rules": rules, **make_precision_entry(values)},
    )
