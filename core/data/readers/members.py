"""The files inside a path: one file, a folder, or a zip, under safe names, read one at a time and capped."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from core import limits
from core.errors import UserError


@dataclass(frozen=True)
class Member:
    """One file: `name` is its path inside what was brought (posix, relative), `load()` its bytes."""

    name: str
    open: Callable[[int], bytes]  # gives at most that many bytes

    @cached_property
    def head(self) -> bytes:
        return self.open(512)

    def load(self) -> bytes:
        data = self.open(limits.FILE_BYTES + 1)
        if len(data) > limits.FILE_BYTES:
            raise UserError(f"{self.name} is larger than {limits.FILE_BYTES >> 20} MB.")
        return data

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.name).parts


def collect(path: Path) -> list[Member]:
    """Members in name order; hidden files and system clutter left out. UserError for unsafe or oversized zips."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
        if len(files) > limits.MEMBERS:
            raise UserError(f"{path.name} holds {len(files):,} files; at most {limits.MEMBERS:,} are taken.")
        return [Member(str(PurePosixPath(p.relative_to(path))), _reader(p)) for p in files if _wanted(p.relative_to(path).parts)]
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
            raise UserError(f"{path.name} holds a file named “{info.filename[:60]}”, which points outside the zip; make the zip anew.")
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
                data = f.read(min(most, limits.RATIO * max(info.compress_size, 512) + 1))
        except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as e:
            raise UserError(f"{info.filename} inside {path.name} cannot be unpacked ({e}).") from None
        if most > 512 and len(data) > limits.RATIO * max(info.compress_size, 512):
            raise UserError(f"{info.filename} unpacks to more than {limits.RATIO} times its size; such files are refused.")
        return data

    return read
