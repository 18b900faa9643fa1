"""Arrays: MedMNIST-style `.npz` (train_images, train_labels, ...), plain `.npz` (x or X, y) and `.npy`. Headers are checked before loading."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from core import limits
from core.data.dataset import Dataset, Modality
from core.data.readers.members import Member
from core.data.readers.tables import encoded
from core.errors import UserError

X_NAMES, Y_NAMES, MASK_NAMES = ("x", "images", "data", "features", "arr_0"), ("y", "labels", "label", "target"), ("mask", "masks", "lesion_mask", "segmentation")


def read(members: list[Member], label: str, text: str | None, masks: Path | None) -> Dataset:
    """Images [n,H,W], [n,H,W,1|3], [n,1|2|3,H,W], volumes [n,D,H,W] or tables [n,d]; other one-per-row arrays become columns."""
    arrays = _load(members[0])
    name = members[0].name
    found = {k.lower(): k for k in arrays}
    columns: dict[str, np.ndarray] = {}
    if "train_images" in found:
        parts = [s for s in ("train", "val", "test") if f"{s}_images" in found]
        x = np.concatenate([arrays[found[f"{s}_images"]] for s in parts])
        columns["split"] = np.concatenate([np.full(len(arrays[found[f"{s}_images"]]), s) for s in parts])
        if all(f"{s}_labels" in found for s in parts):
            columns["label"] = np.concatenate([_flat(arrays[found[f"{s}_labels"]], name) for s in parts])
        mask = None
    else:
        key = next((found[k] for k in X_NAMES if k in found), None)
        if key is None:
            key = max((k for k in arrays if arrays[k].ndim >= 2), key=lambda k: arrays[k].size, default=None)
        if key is None:
            raise UserError(f"{name} holds no array of samples (looked for: {', '.join(X_NAMES)}; it has: {', '.join(arrays)}).")
        x = arrays.pop(key)
        mask_key = next((found[k] for k in MASK_NAMES if k in found and found[k] in arrays), None)
        mask = arrays.pop(mask_key) if mask_key else None
        for k, values in arrays.items():
            if values.shape[:1] != x.shape[:1]:
                raise UserError(f"{name}: “{k}” has {values.shape[0] if values.ndim else 'no'} entries for {len(x)} samples.")
            if values.ndim == 1 or values.shape[1:] == (1,):
                columns["label" if k.lower() in Y_NAMES else k] = _flat(values, name)
    if label == "none":
        columns.pop("label", None)
    return _dataset(x, mask, columns, name)


def _dataset(x: np.ndarray, mask: np.ndarray | None, columns: dict[str, np.ndarray], name: str) -> Dataset:
    if x.ndim < 2 or 0 in x.shape:
        raise UserError(f"{name}: samples have shape {x.shape}; rows of values or pictures are needed.")
    table = pd.DataFrame(columns, index=range(len(x)))
    roles = {r: r for r in ("label", "split") if r in table}
    if x.ndim == 2:
        if "label" in table:
            table["label"] = table["label"].map(lambda v: str(int(v)) if isinstance(v, (float, np.floating)) and float(v).is_integer() else v)
        frame = pd.DataFrame(x, columns=[f"x{j + 1}" for j in range(x.shape[1])])
        values, features = encoded(frame, {})
        return Dataset("", "table", pd.concat([table, frame], axis=1), values, None, roles, features, card={})
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[-1] in (1, 3) and x.shape[1] > 3:
        x = x.transpose(0, 3, 1, 2)
    modality: Modality = "image"
    if x.ndim == 5 or (x.ndim == 4 and x.shape[1] > 4):
        x, modality = (x[:, None] if x.ndim == 4 else x), "volume"
    if x.ndim > 5:
        raise UserError(f"{name}: samples of shape {x.shape[1:]} are neither pictures nor volumes.")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise UserError(f"{name}: sample {int(np.argwhere(~np.isfinite(x))[0][0])} holds NaN or infinite values; mend or remove it.")
    low, high, rule = input_range(x)
    if mask is not None:
        mask = (mask.reshape(len(mask), *x.shape[2:]) > 0).astype(np.uint8) if mask.size == len(mask) * int(np.prod(x.shape[2:])) else None
        if mask is None:
            raise UserError(f"{name}: the masks do not have the pictures' size.")
    return Dataset("", modality, table, x, mask, roles, (), (low, high), {"rules": [rule]})


def input_range(x: np.ndarray) -> tuple[float, float, str]:
    """Which values become 0 and 1 for a model, and the rule in words."""
    if x.dtype == np.uint8:
        return 0.0, 255.0, "values 0 to 255 become 0 to 1"
    if x.dtype.kind == "f" and x.min() >= 0 and x.max() <= 1:
        return 0.0, 1.0, "values are between 0 and 1 already"
    some = x[:: max(1, len(x) // 500)]
    low, high = (float(v) for v in np.percentile(some, [0.5, 99.5]))
    return low, max(high, low + 1e-6), f"values from {low:.4g} (0.5th percentile) to {high:.4g} (99.5th) become 0 to 1"


def _flat(values: np.ndarray, name: str) -> np.ndarray:
    if values.ndim > 1 and values.shape[1:] != (1,):
        raise UserError(f"{name}: labels of shape {values.shape} give several values a row; one is needed.")
    return values.reshape(len(values))


def _load(member: Member) -> dict[str, np.ndarray]:
    """All arrays, each header checked first: plain numbers or text, and not larger than the file's own bytes allow."""
    data = member.load()
    if data[:6] == b"\x93NUMPY":
        return {"x": _array(data, member.name)}
    out = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(".npy"):
                    raise UserError(f"{member.name} holds {info.filename[:60]}, which is no array.")
                with archive.open(info) as f:
                    raw = f.read(limits.RATIO * max(info.compress_size, 4096) + 1)
                if len(raw) > limits.RATIO * max(info.compress_size, 4096):
                    raise UserError(f"{member.name}: “{info.filename[:-4]}” unpacks to more than {limits.RATIO} times its size; such files are refused.")
                out[info.filename[:-4]] = _array(raw, f"{member.name}, “{info.filename[:-4]}”")
    except zipfile.BadZipFile:
        raise UserError(f"{member.name} is not a whole npz file; it may have been cut off.") from None
    return out


def _array(raw: bytes, name: str) -> np.ndarray:
    f = io.BytesIO(raw)
    try:
        version = np.lib.format.read_magic(f)
        shape, _, dtype = (np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0)(f)
    except ValueError:
        raise UserError(f"{name} is not a whole numpy array.") from None
    if dtype.kind not in "biufUS":
        raise UserError(f"{name} holds {'Python objects' if dtype.kind == 'O' else dtype}; only plain numbers and text are read.")
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if wanted > len(raw) - f.tell():
        raise UserError(f"{name} says it holds {wanted:,} bytes but has {len(raw) - f.tell():,}; it is cut off or damaged.")
    return np.load(io.BytesIO(raw), allow_pickle=False)
