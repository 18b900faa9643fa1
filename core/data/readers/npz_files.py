"""What an npz file holds, and in which order its axes stand."""

from __future__ import annotations

import io
import zipfile
from typing import IO, Any

import numpy as np

from core import limits
from core.data.readers.files import Member, read_npy_header, unpack_stream
from core.errors import UserError

CHANNELS = (1, 2, 3, 4)  # sizes of an axis that may be that of the channels
FIRST = ("nchw", "chw", "channels_first", "ncdhw")  # how a name says where they are
LAST = ("nhwc", "hwc", "channels_last", "ndhwc")


def order_axes(x: np.ndarray, key: str, name: str) -> tuple[np.ndarray, list[str]]:
    """Return samples of 3 to 5 axes as [n,C,*spatial], and how their axes were taken, in words.

    One end of 1 to 4 beside larger axes is that of the channels; with such at both ends the side
    whose other two axes are alike, or what the array's name says. UserError where neither tells.
    """
    shape = " x ".join(map(str, x.shape[1:]))
    if x.ndim == 3:
        return x[:, None], []
    first = x.shape[1] in CHANNELS
    last = x.shape[-1] in CHANNELS
    said = next((w for w in (*FIRST, *LAST) if w in key.lower()), "")
    if said:
        first, last = said in FIRST, said in LAST
        channels = x.shape[1] if first else x.shape[-1]
        if x.ndim == 4 and channels > 32:
            raise UserError(f"{name}: “{key}” says {channels} channels; at most 32 are taken.")
    elif first and last:
        first, last = x.shape[2] == x.shape[3], x.shape[1] == x.shape[2]
        if x.ndim == 5 or first == last:
            raise UserError(
                f"{name}: which axis of samples of {shape} holds the channels cannot be told; call "
                "the array “images_nchw” (channels first) or “images_nhwc” (channels last)."
            )
    if last:
        x = np.moveaxis(x, -1, 1)
    elif not first and x.ndim == 4:
        x = x[:, None]
    c, *space = x.shape[1:]
    kind = "pictures" if len(space) == 2 else f"volumes of {space[0]} slices"
    size = f"{space[-2]} rows and {space[-1]} columns"
    where = f", {'last' if last else 'first'} axis the {c} channels" if c > 1 else ""
    rules = [f"samples of {shape} taken as {kind} of {size}{where}"]
    return x, rules if c > 1 or len(space) == 3 else []


def drop_opacity(x: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """[n,4,...] without a fourth channel that is full everywhere, as in opaque RGBA pictures."""
    full = 255 if x.dtype == np.uint8 else 1.0
    if x.shape[1] != 4 or not bool((x[:, 3] == full).all()) or not bool((x[:, :3] != full).any()):
        return x, []
    return x[:, :3], ["the fourth channel is full everywhere (opaque pictures) and left out"]


def find_input_range(x: np.ndarray) -> tuple[float, float, str]:
    """Which values become 0 and 1 for a model, and the rule in words."""
    if x.min() >= 0 and x.max() <= 1:
        return 0.0, 1.0, "values are between 0 and 1 already"
    if x.dtype == np.uint8:
        return 0.0, 255.0, "values 0 to 255 become 0 to 1"
    some = x[:: max(1, len(x) // 500)]
    low, high = (float(v) for v in np.percentile(some, [0.5, 99.5]))
    return (
        low,
        max(high, low + 1e-6),
        f"values from {low:.4g} (0.5th percentile) to {high:.4g} (99.5th) become 0 to 1",
    )


def flatten_labels(values: np.ndarray, name: str) -> np.ndarray:
    """Labels [n] or [n,1] as [n], bytes as text. UserError for several values a row."""
    if values.ndim > 1 and values.shape[1:] != (1,):
        raise UserError(
            f"{name}: labels of shape {values.shape} give several values a row, one is needed; or"
            " bring it with label “none”."
        )
    values = values.reshape(len(values))
    return np.char.decode(values, "latin-1") if values.dtype.kind == "S" else values


def load_arrays(member: Member) -> dict[str, np.ndarray]:
    """All arrays, each header checked first: plain numbers or text, and not larger than the file's
    own bytes allow.
    """
    data = member.load()
    if data[:6] == b"\x93NUMPY":
        return {"x": read_array(data, member.name)}
    out: dict[str, np.ndarray] = {}
    total = 0
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                key = info.filename.removesuffix(".npy")
                if key == info.filename:
                    raise UserError(f"{member.name} holds {info.filename[:60]}, which is no array.")
                total += info.file_size
                if total > limits.VALUES:
                    raise UserError(
                        f"{member.name} unpacks to more than {limits.VALUES >> 20} MB; split it."
                    )
                with archive.open(info) as f:
                    raw = unpack_stream(
                        f, info.compress_size, f"{member.name}: “{key}”", info.file_size
                    )
                out[key] = read_array(raw, f"{member.name}, “{key}”")
    except UserError:
        raise
    except Exception:  # zipfile, zlib and struct each have errors of their own for damaged bytes
        raise UserError(
            f"{member.name} is not a whole npz file; it may have been cut off."
        ) from None
    return out


def load_array(member: Member) -> np.ndarray:
    """Return the array of an npy file. UserError for a damaged one, and for other than numbers or
    text.
    """
    return read_array(member.load(), member.name)


def read_header(f: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and number type that a .npy file says; many errors where it is damaged."""
    shape, _, dtype = read_npy_header(f)
    return shape, dtype


def read_array(raw: bytes, name: str) -> np.ndarray:
    """Return a .npy file as an array of plain numbers or text. UserError for anything else, and for
    one that is not whole.
    """
    f = io.BytesIO(raw)
    try:
        shape, dtype = read_header(f)
    except Exception:  # the header is Python text: a damaged one fails in many ways
        raise UserError(f"{name} is not a whole numpy array.") from None
    if dtype.kind not in "biufUS":
        raise UserError(
            f"{name} holds {'Python objects' if dtype.kind == 'O' else dtype}; only plain numbers"
            " and text are read."
        )
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if wanted > len(raw) - f.tell():
        raise UserError(
            f"{name} says it holds {wanted:,} bytes but has {len(raw) - f.tell():,}; it is cut off"
            " or damaged."
        )
    try:
        array = np.load(io.BytesIO(raw), allow_pickle=False)
    except (ValueError, OverflowError):
        raise UserError(f"{name} is not a whole numpy array.") from None
    # big-endian numbers become this machine's
    return array.astype(array.dtype.newbyteorder("="), copy=False)
