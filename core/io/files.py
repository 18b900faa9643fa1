"""Every write of the project to disk: to a temporary name, flushed, fsynced, renamed, the folder
fsynced. Nothing is ever half there.

`before` is the one place where a test makes the disk fail: it is called ahead of each operation
with its name and path, and may raise OSError.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.errors import UserError

before: Callable[[str, Path], None] = lambda operation, path: None  # noqa: E731 - replaced by tests


def write_with(path: Path, fill: Callable[[BinaryIO], None]) -> None:
    """Let `fill` write the bytes of `path`, atomically. Raises OSError; the old file, if any, then
    stands unchanged.
    """
    # threads of one process may write one file
    tmp = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:6]}.tmp")
    try:
        before("write", path)
        with open(tmp, "wb") as f:
            fill(f)
            f.flush()
            before("fsync", path)
            os.fsync(f.fileno())
        before("replace", path)
        os.replace(tmp, path)
    except BaseException:
        tmp.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file at once: there is the old one or the whole new one."""
    write_with(path, lambda f: (f.write(data), None)[1])


def write_json(path: Path, value: Any) -> None:
    """As `write_bytes`, a value as JSON."""
    write_bytes(path, json.dumps(value, indent=1, default=_plain, ensure_ascii=False).encode())


def write_array(path: Path, array: np.ndarray) -> None:
    """Save as `.npy` without pickle; object arrays raise ValueError."""
    write_with(path, lambda f: np.save(_PlainFile(f), np.asarray(array), allow_pickle=False))


class _PlainFile:
    """A file that numpy does not know for one. Trap: into what it knows it writes by itself, and
    then tells of a full disk without its cause.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def write_rows(path: Path, array: np.ndarray, keep: np.ndarray, chunk: int = 32 << 20) -> None:
    """Save the entries `keep` (positions, int64) of `array` along its first axis as `.npy`, reading
    about `chunk` bytes of it at a time.
    """
    shape = (len(keep), *array.shape[1:])
    per = max(1, chunk // max(1, array.dtype.itemsize * int(np.prod(array.shape[1:]))))

    def fill(f: BinaryIO) -> None:
        np.lib.format.write_array_header_2_0(
            f,
            {
                "descr": np.lib.format.dtype_to_descr(array.dtype),
                "fortran_order": False,
                "shape": shape,
            },
        )
        for i in range(0, len(keep), per):
            f.write(np.ascontiguousarray(array[keep[i : i + per]]).tobytes())

    write_with(path, fill)


def write_once(path: Path, data: bytes) -> bytes:
    """Write a file that only its owner may read, unless it is there; gives what it holds. Of two
    processes at once one writes, both read the same.
    """
    if not path.exists():
        tmp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:6]}.tmp")
        before("write", path)
        try:
            with open(os.open(tmp, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as f:
                f.write(data)
                f.flush()
                os.fsync(f.fileno())
            os.link(tmp, path)  # unlike a rename, it fails where there is one already
            sync_folder(path.parent)
        except FileExistsError:
            pass
        finally:
            tmp.unlink(missing_ok=True)
    return path.read_bytes()


def append_line(path: Path, words: str) -> None:
    """Add lines to a log or curve. The last line may be cut short by a crash: whoever reads skips
    it.
    """
    before("append", path)
    with open(path, "a", encoding="utf-8") as f:
        f.write(words)


_users: list[
    int
] = []  # the umask this process was started with, once `keep_new_files_private` was called


def keep_new_files_private() -> None:
    """From now on only its owner reads what this process makes (700, 600): data of patients. What
    goes to a place of the user's is written under `share_new_files`.
    """
    if not _users:
        _users.append(os.umask(0o077))


@contextmanager
def share_new_files() -> Iterator[None]:
    """Write with the rights the user usually gives, as to a folder of theirs. Of the whole process:
    for commands, not for a server.
    """
    if not _users:
        yield
        return
    ours = os.umask(_users[0])
    try:
        yield
    finally:
        os.umask(ours)


def close_to_others(folder: Path) -> None:
    """Take from other accounts the right to look into a folder of ours, which an earlier Lightbox
    or another's umask left open.
    """
    with suppress(OSError):
        if (
            os.name != "nt"
            and folder.stat().st_mode & 0o077
            and folder.stat().st_uid == os.getuid()
        ):
            folder.chmod(0o700)


def has_room(folder: Path, least: int = 1 << 16) -> bool:
    """Whether the disk of `folder` still takes `least` bytes, found by writing them: shares of
    users and of containers are told nowhere else.
    """
    probe = folder / f".room-{uuid.uuid4().hex[:6]}.tmp"
    try:
        before("write", probe)
        with open(probe, "wb") as f:
            f.write(bytes(least))
        return True
    except OSError as e:
        return e.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", -1))
    finally:
        probe.unlink(missing_ok=True)


def make_folder(path: Path, new: bool = False) -> Path:
    """Make a folder with those above it; FileExistsError for one that has to be `new`."""
    before("mkdir", path)
    path.mkdir(parents=True, exist_ok=not new)
    return path


def move(source: Path, target: Path) -> None:
    """Rename within the workspace, for good."""
    before("replace", target)
    source.rename(target)
    sync_folder(target.parent)


def publish(made: Path, target: Path) -> None:
    """Give a finished folder its final name once all that is in it, whoever wrote it, has reached
    the disk.
    """
    for folder, _, names in os.walk(made):
        for name in names:
            before("fsync", Path(folder) / name)
            handle = os.open(Path(folder) / name, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(folder))
    move(made, target)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder to a new one, without the rights of ours: the new files have those of the
    umask. FileExistsError where `target` is there.
    """
    before("write", target)
    target.mkdir(parents=True)
    for path in sorted(source.rglob("*")):
        new = target / path.relative_to(source)
        new.mkdir() if path.is_dir() else shutil.copyfile(path, new)


def is_remote(place: str) -> bool:
    """Whether a place to write to is no path of this machine but an address that fsspec knows
    (s3://bucket/folder, sftp://host/folder, memory://x).
    """
    return "://" in place


def send_to_remote(made: Path, address: str) -> None:
    """Copy a finished file or folder to an address. UserError when nothing there takes it."""
    import fsspec

    before("write", made)
    try:
        system, place = fsspec.core.url_to_fs(address)
        if made.is_dir() and system.exists(place) and system.ls(place):
            raise UserError(f"{address} already holds files; name a new or empty folder.")
        system.makedirs(place if made.is_dir() else place.rpartition("/")[0], exist_ok=True)
        system.put(
            f"{made}/" if made.is_dir() else str(made),
            f"{place}/" if made.is_dir() else place,
            recursive=made.is_dir(),
        )
    except (ValueError, ImportError) as e:  # an unknown kind of address, or its driver is missing
        raise UserError(f"{address} cannot be written to: {str(e).rstrip('.')}.") from None
    except OSError as e:
        raise UserError(
            f"{address} cannot be written to ({e.strerror or type(e).__name__})."
        ) from e


def remove(path: Path) -> None:
    """Take away a file or folder as far as that is possible; what is not there is no matter."""
    if path.is_dir() and not path.is_symlink():
        # the last write of a process that is being killed may come while its folder is emptied
        for pause in (0.05, 0.2, 0.0):
            shutil.rmtree(path, ignore_errors=True)
            if not path.exists():
                return
            time.sleep(pause)
    else:
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder reach the disk: without it a rename may be lost with the power."""
    if os.name == "nt":
        return
    before("fsync", folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (np.ndarray, tuple, set)):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into json")
