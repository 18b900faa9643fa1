"""Every write of the project to disk: to a temporary name, flushed, fsynced, then renamed. Nothing is ever half there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


def write_with(path: Path, fill: Callable[[BinaryIO], None]) -> None:
    """Let `fill` write the bytes of `path`, atomically. Raises OSError; the old file, if any, then stands unchanged."""
    tmp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(tmp, "wb") as f:
            fill(f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(tmp, path)
    except BaseException:
        tmp.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    write_with(path, lambda f: (f.write(data), None)[1])


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, json.dumps(value, indent=1, default=_plain, ensure_ascii=False).encode())


def write_array(path: Path, array: np.ndarray) -> None:
    """Save as `.npy` without pickle; object arrays raise ValueError."""
    write_with(path, lambda f: np.save(f, np.asarray(array), allow_pickle=False))


def write_rows(path: Path, array: np.ndarray, keep: np.ndarray, chunk: int = 32 << 20) -> None:
    """Save the entries `keep` (positions, int64) of `array` along its first axis as `.npy`, reading about `chunk` bytes of it at a time."""
    shape = (len(keep), *array.shape[1:])
    per = max(1, chunk // max(1, array.dtype.itemsize * int(np.prod(array.shape[1:]))))

    def fill(f: BinaryIO) -> None:
        np.lib.format.write_array_header_2_0(f, {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": shape})
        for i in range(0, len(keep), per):
            f.write(np.ascontiguousarray(array[keep[i : i + per]]).tobytes())

    write_with(path, fill)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.ndarray, tuple, set)):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into json")
