"""Sums of what was written: `manifest.json` beside a run's artifacts, and in a dataset's folder,
lists every file with its sha256 and its size in bytes.

It alone says which files belong there: Zarr writes none for a chunk of zeros, and reads a chunk
whose file is gone as zeros.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from core.errors import Damaged
from core.io.files import write_json
from core.io.threads import in_threads

NAME = "manifest.json"


@dataclass(frozen=True)
class Sum:
    """sha256 of a file in hex digits, and its bytes; None in lists from before sizes were kept."""

    sha256: str
    size: int | None = None


def sum_of(path: Path) -> str:
    """sha256 of a file, in hex digits; read in pieces."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """List every file below `folder`, read back from where it was written."""
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != NAME]
    names = [p.relative_to(folder).as_posix() for p in paths]
    write_json(folder / NAME, dict(zip(names, in_threads(_line, paths))))


def add_to_manifest(folder: Path, name: str) -> None:
    """List one more file of `folder`, or one that was written again."""
    lines = json.loads((folder / NAME).read_text())
    write_json(folder / NAME, lines | {name: _line(folder / name)})


def _line(path: Path) -> str:
    return f"{sum_of(path)} {path.stat().st_size}"


def read_manifest(folder: Path) -> dict[str, Sum]:
    """Return what `folder`'s manifest lists, by name. Raises OSError where there is none,
    ValueError where it is damaged.
    """
    try:
        lines = json.loads((folder / NAME).read_text())
        parts = {str(name): line.split() for name, line in lines.items()}
        return {name: Sum(p[0], int(p[1]) if len(p) > 1 else None) for name, p in parts.items()}
    except (AttributeError, IndexError) as e:
        raise ValueError(f"no list of files: {e}") from None


def find_wrong_files(folder: Path, under: str = "", most: int | None = None) -> list[str]:
    """Names of the files listed in `folder`'s manifest (those below `under` only) that are missing
    or differ from what was written; of those larger than `most` bytes only the size is compared.
    The manifest itself is named when it cannot be read. Cost: reads each file once.
    """
    try:
        lines = read_manifest(folder)
    except (OSError, ValueError):
        return [NAME]
    return [
        name
        for name, line in lines.items()
        if name.startswith(under) and _differs(folder / name, line, most)
    ]


def find_misplaced_files(folder: Path, lines: dict[str, Sum]) -> list[str]:
    """Names of the listed files that are missing or of another size. Cost: one look at each name,
    nothing is read.
    """
    return [name for name, line in lines.items() if _differs(folder / name, line, -1)]


# files found to be as they were written: path, time of change, size
_sound: set[tuple[str, int, int]] = set()


def has_changed(path: Path, line: Sum) -> bool:
    """Whether a file is no longer what was written; read once for each state of it."""
    try:
        now = path.stat()
        key = (str(path), now.st_mtime_ns, now.st_size)
        if key not in _sound:
            if _differs(path, line, None):
                return True
            _sound.add(key)
        return False
    except OSError:
        return True


def damage_error(called: str, names: list[str]) -> Damaged:
    """Return the sentence about a dataset of which the files `names` are missing or changed; to be
    raised.
    """
    many = (
        f"{len(names):,} of its stored files are"
        if len(names) > 1
        else "one of its stored files is"
    )
    first = f"the first: {names[0]}" if len(names) > 1 else names[0]
    return Damaged(
        f"“{called}” is damaged on the disk: {many} missing or not what was written ({first})."
        " Remove this data and bring it again, or bring its folder back from a copy."
    )


def _differs(path: Path, line: Sum, most: int | None) -> bool:
    """Whether a file is missing or differs; its contents are compared up to `most` bytes (None =
    always).
    """
    try:
        size = path.stat().st_size
        if line.size is not None and size != line.size:
            return True
        return (most is None or size <= most) and sum_of(path) != line.sha256
    except OSError:
        return True
