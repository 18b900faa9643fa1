"""The files inside a path: one file, a folder, or a zip, under safe names, read one at a time and
capped.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from gzip import GzipFile
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

import numpy as np

from core import limits
from core.errors import UserError

HEAD = 1024  # bytes of a file looked at before the rest is read
DRIVE = re.compile("[A-Za-z]:")
DOCUMENTS = (
    ".xlsx",
    ".xlsm",
    ".xltx",
    ".xltm",
    ".xlsb",
    ".xls",
    ".ods",
    ".odt",
    ".docx",
    ".pptx",
    ".numbers",
    ".epub",
    ".jar",
)
# files that are packed by themselves: two suffixes that count as one
PACKED = (".nii.gz", ".csv.gz", ".tsv.gz", ".tab.gz", ".txt.gz", ".data.gz")
PIECE = 4 << 20  # bytes unpacked at a time


@dataclass(frozen=True)
class Asked:
    """What the person said about the data: see `core.data.readers.read`."""

    label: str = "auto"
    group: str | None = None
    domain: str | None = None
    text: str | None = None
    masks: Path | None = None
    # what series of DICOM slices become; auto: volumes from three even stacks on
    stack: Literal["auto", "slices", "volumes"] = "auto"
    # of the workspace: the same patient gets the same new id in all its data
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    # column -> role a person gave it, of `core.data.roles.ROLES`
    roles: dict[str, str] = field(default_factory=dict)
    looked: dict[str, str] = field(default_factory=dict)  # column -> role the first lines showed
    # files done of all; raises Cancelled when the user wants to stop
    report: Callable[[int, int], None] = lambda done, total: None


@dataclass(frozen=True)
class Member:
    """One file: `name` is its path inside what was brought (posix, relative), `load()` its bytes.
    `page`: of a TIFF whose pages are pictures of their own. `told` and `separator`: see
    `packed_tables`.
    """

    name: str
    open: Callable[[int], bytes]  # gives at most that many bytes
    page: int = 0
    told: Callable[[], list[str]] = list  # what was decided while it was unwrapped, in words
    separator: str = ""  # of a table, where it is known

    @cached_property
    def head(self) -> bytes:
        """The first bytes, enough to tell what kind of file it is."""
        return self.open(HEAD)

    def load(self) -> bytes:
        """All bytes. UserError for a file larger than is taken."""
        data = self.open(limits.FILE_BYTES + 1)
        if len(data) > limits.FILE_BYTES:
            raise make_size_error(self.name)
        return data

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The folders it lies in, and its name."""
        return PurePosixPath(self.name).parts

    @cached_property
    def stem(self) -> str:
        """The file's name without folders and suffix (see `cut_suffix`)."""
        return cut_suffix(self.name)


def cut_suffix(name: str) -> str:
    """Return the name of a file, given by its posix path, without folders and suffix; .nii.gz and
    .csv.gz count as one. Other dots belong to the name: UIDs, “007.flair.nii.gz”.
    """
    path = PurePosixPath(name)
    return PurePosixPath(path.stem if path.name.lower().endswith(PACKED) else path.name).stem


def collect(path: Path, called: str = "") -> list[Member]:
    """Members in name order, of what errors call `called` (a zip; the path's name by default);
    hidden files and system clutter left out, links and devices not followed. UserError for unsafe
    or oversized zips.

    A folder that holds one file is read as that file.
    """
    if path.is_dir():
        files = [p for p in _files(path) if _wanted(p.relative_to(path).parts)]
        if len(files) == 1:
            return collect(files[0])
        return [Member(_text(PurePosixPath(p.relative_to(path))), _reader(p)) for p in files]
    if not path.is_file():
        raise UserError(
            f"{_text(path.name)} is neither a file nor a folder (a pipe or device); bring files."
        )
    start = _reader(path)(4)
    zipped = (
        start in (b"PK\x03\x04", b"PK\x05\x06")
        and path.suffix.lower() != ".npz"
        and not _is_document(path)
    )
    if not zipped:
        if not start:
            raise UserError(f"{path.name} is empty (0 bytes).")
        return [Member(_text(path.name), _reader(path))]
    return _zip(path, called or path.name)


def _is_document(path: Path) -> bool:
    """Whether a zip is an office document, by its name or its first member: a file of its own, and
    no archive of files.
    """
    first = _reader(path)(HEAD)[30:80]
    return path.suffix.lower() in DOCUMENTS or first.startswith(
        (b"[Content_Types].xml", b"mimetypeapplication/vnd", b"docProps/", b"xl/", b"_rels/.rels")
    )


def _files(path: Path) -> list[Path]:
    """Plain files below a folder, sorted; no link is followed. UserError for a folder that may not
    be looked into, and for too many files, early.
    """

    def failed(error: OSError) -> None:
        raise UserError(
            f"The folder {_text(Path(error.filename).name)} in {_text(path.name)} cannot be looked"
            f" into ({error.strerror})."
        )

    found: list[Path] = []
    seen = 0
    for folder, _, names in os.walk(path, onerror=failed, followlinks=False):
        seen += len(names)
        if seen > limits.MEMBERS:
            raise UserError(
                f"{_text(path.name)} holds more than {limits.MEMBERS:,} files; at most that many"
                " are taken."
            )
        found += [
            p for p in (Path(folder) / n for n in names) if p.is_file() and not p.is_symlink()
        ]
    return sorted(found)


def _zip(path: Path, name: str) -> list[Member]:
    try:
        # a list of millions of files would fill the memory before it could be counted
        if _directory_bytes(path) > limits.MEMBERS * 512:
            raise UserError(
                f"{name} holds more than {limits.MEMBERS:,} files; at most that many are taken."
            )
        archive = zipfile.ZipFile(path)
    except (
        zipfile.BadZipFile,
        ValueError,
        struct.error,
        OSError,
        EOFError,
        NotImplementedError,
        OverflowError,
    ):
        raise UserError(f"{name} is not a whole zip file; it may have been cut off.") from None
    # not is_dir(), which fails on an empty name
    infos = [i for i in archive.infolist() if not i.filename.endswith("/")]
    if len(infos) > limits.MEMBERS:
        raise UserError(f"{name} holds {len(infos):,} files; at most {limits.MEMBERS:,} are taken.")
    if sum(i.file_size for i in infos) > limits.UNPACKED:
        raise UserError(
            f"{name} unpacks to more than {limits.in_words(limits.UNPACKED, 'bytes')}; split it."
        )
    _apart(name, infos)
    seen: set[str] = set()
    members = []
    for info in infos:
        parts = PurePosixPath(info.filename).parts
        called = info.filename[:60]
        if (
            not parts
            or info.orig_filename.startswith(("/", "\\"))
            or ".." in parts
            or "\\" in info.orig_filename
            or DRIVE.match(info.filename)
        ):
            raise UserError(
                f"{name} holds a file named “{called}”, which points outside the zip; make the zip"
                " again."
            )
        if (
            "\0" in info.orig_filename
            or max(len(p.encode("utf-8", "replace")) for p in parts) > 255
        ):
            raise UserError(
                f"{name} holds a file whose name no disk could hold (“{called}”); make the zip"
                " again."
            )
        if info.flag_bits & 1:
            raise UserError(
                f"{name} is encrypted; unpack it with its password and bring the folder."
            )
        # Unix kinds of file: 10 is a link, 1 a pipe, 2 and 6 devices
        if (info.external_attr >> 28) not in (0, 8):
            raise UserError(
                f"{name} holds a link or device ({called}); only plain files are taken."
            )
        if info.filename in seen:
            raise UserError(f"{name} holds two files named {called}.")
        seen.add(info.filename)
        if _wanted(parts):
            members.append(Member(_text(info.filename), _unzipper(archive, info, name)))
    return sorted(members, key=lambda m: m.name)


def _directory_bytes(path: Path) -> int:
    """How long the list of files at the end of a zip says it is; 0 where there is none (`zipfile`
    then says so).
    """
    with open(path, "rb") as f:
        f.seek(max(0, path.stat().st_size - (1 << 16) - 200))
        end = f.read()
    at, large = end.rfind(b"PK\x05\x06"), end.rfind(b"PK\x06\x06")
    if at < 0 or at + 20 > len(end):
        return 0
    size = int(struct.unpack_from("<I", end, at + 12)[0])
    return max(
        size if size < 0xFFFFFFFF else 0,
        int(struct.unpack_from("<Q", end, large + 40)[0]) if 0 <= large <= len(end) - 48 else 0,
    )


def _apart(name: str, infos: list[zipfile.ZipInfo]) -> None:
    """UserError when two files of a zip share bytes, as those of bombs do."""
    ordered = sorted(infos, key=lambda i: i.header_offset)
    for one, other in pairwise(ordered):
        if one.header_offset + 30 + one.compress_size > other.header_offset:
            raise UserError(
                f"{name}: the files “{one.filename[:60]}” and “{other.filename[:60]}” share the"
                " same bytes, as in a zip bomb; make the zip again."
            )


def _text(name: str | PurePosixPath) -> str:
    """Return a file's name as text that can be stored: bytes that are no letters become �."""
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _wanted(parts: tuple[str, ...]) -> bool:
    return not any(
        p.startswith(".") or p in ("__MACOSX", "Thumbs.db", "desktop.ini") for p in parts
    )


def _reader(path: Path) -> Callable[[int], bytes]:
    def read(most: int) -> bytes:
        try:
            size = path.stat().st_size
            if most > HEAD and size > limits.FILE_BYTES:
                raise make_size_error(_text(path.name))
            with open(path, "rb") as f:
                # Python takes as much memory as is asked for, before it reads
                return f.read(min(most, size + 1))
        except OSError as e:
            raise UserError(
                f"{_text(path.name)} cannot be read from disk ({e.strerror})."
            ) from None

    return read


def _unzipper(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, zip_name: str
) -> Callable[[int], bytes]:
    """Read one file of a zip that stays open: opening it again for each of 20,000 files would read
    the list of all of them each time.
    """

    def read(most: int) -> bytes:
        if most > HEAD and info.file_size > limits.FILE_BYTES:
            raise make_size_error(info.filename)
        try:
            with archive.open(info) as f:
                if most <= HEAD:
                    return f.read(most)
                return unpack_stream(f, info.compress_size, info.filename, info.file_size, most)
        except UserError:
            raise
        # zipfile, zlib, lzma, bz2 and struct each have errors of their own for damaged bytes
        except Exception as e:
            raise UserError(
                f"{info.filename} inside {zip_name} cannot be unpacked ({type(e).__name__}); it may"
                " be damaged, or packed in an unusual way."
            ) from None

    return read


def make_size_error(name: str) -> UserError:
    """Return what is raised for a file larger than is taken."""
    return UserError(f"{name} is larger than {limits.in_words(limits.FILE_BYTES, 'bytes')}.")


def unpack_stream(
    f: IO[bytes] | GzipFile,
    packed: int,
    name: str,
    size: int | None = None,
    most: int | None = None,
) -> bytes:
    """Return what a packed stream of `packed` bytes holds, at most `limits.RATIO` times as much:
    else UserError, before it is unpacked where `size` is known.

    Arrays and NIfTI volumes whose own header accounts for every byte (of `size`, where that is
    known) may be packed tighter, as masks are, up to `limits.TIGHT` bytes; `most` bytes
    (`limits.FILE_BYTES`) bound them still.
    """
    head = f.read(HEAD)
    allowed = limits.RATIO * max(packed, 4096)
    says = read_declared_size(head)
    if says is not None and size in (None, says) and says <= limits.TIGHT:
        allowed = max(allowed, says)
    too_tight = UserError(
        f"{name} unpacks to more than {limits.RATIO} times its size; such files are refused."
    )
    if size is not None and size > allowed:
        raise too_tight
    most = limits.FILE_BYTES if most is None else most
    left = min(allowed, most) + 1 - len(head)
    data = io.BytesIO(head)
    data.seek(0, io.SEEK_END)
    while left > 0 and (piece := f.read(min(left, PIECE))):
        data.write(piece)
        left -= len(piece)
    if data.tell() > allowed:
        raise too_tight
    return data.getvalue()


def read_npy_header(f: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return what the header of a .npy stream says: its shape, whether its columns come first, and
    the type of its numbers. The header is Python text: a damaged one fails in many ways.
    """
    if np.lib.format.read_magic(f) == (1, 0):
        return np.lib.format.read_array_header_1_0(f)
    return np.lib.format.read_array_header_2_0(f)


def read_declared_size(head: bytes) -> int | None:
    """How many bytes a .npy or NIfTI file is, by its first bytes: header + shape x size of a value.

    None for anything else.
    """
    if head[:6] == b"\x93NUMPY":
        f = io.BytesIO(head)
        try:
            shape, _, dtype = read_npy_header(f)
        except Exception:  # the header is Python text: a damaged one fails in many ways
            return None
        return (
            None
            if dtype.hasobject
            else f.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
        )
    # FreeSurfer's MGH, and what may stand behind its voxels
    if head[:4] == b"\0\0\0\1" and len(head) >= 284:
        *sizes, number = struct.unpack_from(">5i", head, 4)
        bytes_of = {0: 1, 1: 4, 3: 4, 4: 2, 10: 2}.get(number)
        if bytes_of and min(sizes) >= 1:
            return 284 + int(np.prod(sizes, dtype=object)) * bytes_of + (1 << 16)
    for order in "<>":
        for length, dims, bits, start in (
            (348, (40, "8h"), (72, "h"), (108, "f")),
            (540, (16, "8q"), (14, "h"), (168, "q")),
        ):
            if len(head) >= length and struct.unpack_from(order + "i", head)[0] == length:
                dim = struct.unpack_from(order + dims[1], head, dims[0])
                bit, offset = (
                    struct.unpack_from(order + kind, head, at)[0] for at, kind in (bits, start)
                )
                if (
                    1 <= dim[0] <= 7
                    and min(dim[1 : dim[0] + 1]) >= 0
                    and bit > 0
                    and 0 <= offset < 1 << 24
                ):
                    return int(offset) + int(np.prod(dim[1 : dim[0] + 1], dtype=object)) * (
                        bit // 8
                    )
    return None
