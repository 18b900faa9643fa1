"""The files inside a path: one file, a folder, or a zip, under safe names, read one at a time and capped."""

from __future__ import annotations

import io
import secrets
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from gzip import GzipFile
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from core import limits
from core.errors import UserError

HEAD = 1024  # bytes of a file looked at before the rest is read


@dataclass(frozen=True)
class Asked:
    """What the person said about the data: see `core.data.readers.read`."""

    label: str = "auto"
    group: str | None = None
    domain: str | None = None
    text: str | None = None
    masks: Path | None = None
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))  # of the workspace: the same patient gets the same new id in all its data
    report: Callable[[int, int], None] = lambda done, total: None  # files done of all; raises Cancelled when the user wants to stop


@dataclass(frozen=True)
class Member:
    """One file: `name` is its path inside what was brought (posix, relative), `load()` its bytes."""

    name: str
    open: Callable[[int], bytes]  # gives at most that many bytes

    @cached_property
    def head(self) -> bytes:
        return self.open(HEAD)

    def load(self) -> bytes:
        data = self.open(limits.FILE_BYTES + 1)
        if len(data) > limits.FILE_BYTES:
            raise UserError(f"{self.name} is larger than {limits.FILE_BYTES >> 20} MB.")
        return data

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.name).parts

    @property
    def stem(self) -> str:
        """The file's name without folders and suffix (.nii.gz counts as one)."""
        name = self.parts[-1]
        return name[:-7] if name.lower().endswith(".nii.gz") else PurePosixPath(name).stem


def collect(path: Path) -> list[Member]:
    """Members in name order; hidden files and system clutter left out. UserError for unsafe or oversized zips.

    A folder that holds one file is read as that file.
    """
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
        if len(files) > limits.MEMBERS:
            raise UserError(f"{path.name} holds {len(files):,} files; at most {limits.MEMBERS:,} are taken.")
        files = [p for p in files if _wanted(p.relative_to(path).parts)]
        if len(files) == 1:
            return collect(files[0])
        return [Member(str(PurePosixPath(p.relative_to(path))), _reader(p)) for p in files]
    with open(path, "rb") as f:
        zipped = f.read(4) in (b"PK\x03\x04", b"PK\x05\x06") and path.suffix.lower() != ".npz"
    if not zipped:
        if path.stat().st_size == 0:
            raise UserError(f"{path.name} is empty (0 bytes).")
        return [Member(path.name, _reader(path))]
    return _zip(path)


def _zip(path: Path) -> list[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise UserError(f"{path.name} is not a whole zip file; it may have been cut off.") from None
    infos = [i for i in archive.infolist() if not i.is_dir()]
    if len(infos) > limits.MEMBERS:
        raise UserError(f"{path.name} holds {len(infos):,} files; at most {limits.MEMBERS:,} are taken.")
    seen: set[str] = set()
    members = []
    for info in infos:
        parts = PurePosixPath(info.filename).parts
        if info.filename.startswith(("/", "\\")) or ".." in parts or "\\" in info.filename or ":" in info.filename:
            raise UserError(
                f"{path.name} holds a file named “{info.filename[:60]}”, which points outside the zip; make the "
                "zip anew."
            )
        if info.flag_bits & 1:
            raise UserError(f"{path.name} is encrypted; unpack it with its password and bring the folder.")
        if (info.external_attr >> 28) == 0xA:
            raise UserError(f"{path.name} holds a link ({info.filename[:60]}); only plain files are taken.")
        if info.filename in seen:
            raise UserError(f"{path.name} holds two files named {info.filename[:60]}.")
        seen.add(info.filename)
        if _wanted(parts):
            members.append(Member(info.filename, _unzipper(path, info)))
    return sorted(members, key=lambda m: m.name)


def _wanted(parts: tuple[str, ...]) -> bool:
    return not any(p.startswith(".") or p in ("__MACOSX", "Thumbs.db", "desktop.ini") for p in parts)


def _reader(path: Path) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        with open(path, "rb") as f:
            return f.read(most)

    return read


def _unzipper(path: Path, info: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(info) as f:
                if most <= HEAD:
                    return f.read(most)
                return unpacked(f, info.compress_size, info.filename, info.file_size, most)
        except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as e:
            raise UserError(f"{info.filename} inside {path.name} cannot be unpacked ({e}).") from None

    return read


def unpacked(
    f: IO[bytes] | GzipFile, packed: int, name: str, size: int | None = None, most: int = limits.FILE_BYTES
) -> bytes:
    """What a packed stream of `packed` bytes holds, at most `limits.RATIO` times as much: else UserError.

    Arrays and NIfTI volumes whose own header accounts for every byte (of `size`, where that is known) may be packed
    tighter, as masks are; `most` bounds them still.
    """
    head = f.read(HEAD)
    allowed = limits.RATIO * max(packed, 4096)
    says = declared(head)
    if says is not None and size in (None, says):
        allowed = max(allowed, says)
    data = head + f.read(max(0, min(allowed, most) + 1 - len(head)))
    if len(data) > allowed:
        raise UserError(f"{name} unpacks to more than {limits.RATIO} times its size; such files are refused.")
    return data


def declared(head: bytes) -> int | None:
    """How many bytes a .npy or NIfTI file is, by its first bytes: header + shape x size of a value.

    None for anything else.
    """
    if head[:6] == b"\x93NUMPY":
        f = io.BytesIO(head)
        try:
            version = np.lib.format.read_magic(f)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(f)
        except ValueError:
            return None
        return None if dtype.hasobject else f.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
    for order in "<>":
        for length, dims, bits, start in (
            (348, (40, "8h"), (72, "h"), (108, "f")),
            (540, (16, "8q"), (14, "h"), (168, "q")),
        ):
            if len(head) >= length and struct.unpack_from(order + "i", head)[0] == length:
                dim = struct.unpack_from(order + dims[1], head, dims[0])
                bit, offset = (struct.unpack_from(order + kind, head, at)[0] for at, kind in (bits, start))
                if 1 <= dim[0] <= 7 and min(dim[1 : dim[0] + 1]) >= 0 and bit > 0 and 0 <= offset < 1 << 24:
                    return int(offset) + int(np.prod(dim[1 : dim[0] + 1], dtype=object)) * (bit // 8)
    return None
