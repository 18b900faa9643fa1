"""Sums of what was written: `manifest.json` beside a run's artifacts, and in a dataset's folder, lists every file with its sha256."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from core.store.files import write_json

NAME = "manifest.json"


def sum_of(path: Path) -> str:
    """sha256 of a file, in hex digits; read in pieces."""
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def write(folder: Path) -> None:
    """List every file below `folder`, read back from where it was written."""
    write_json(folder / NAME, {p.relative_to(folder).as_posix(): sum_of(p) for p in sorted(folder.rglob("*")) if p.is_file() and p.name != NAME})


def wrong(folder: Path, under: str = "", most: int | None = None) -> list[str]:
    """Names of the files listed in `folder`'s manifest (those below `under` only, and of at most `most` bytes) that are missing or differ from what was
    written. The manifest itself is named when it cannot be read. Cost: reads each file once."""
    try:
        listed = json.loads((folder / NAME).read_text())
        listed = {name: value for name, value in listed.items() if name.startswith(under)}
    except (OSError, ValueError, AttributeError):
        return [NAME]
    return [name for name, value in listed.items() if _differs(folder / name, value, most)]


def _differs(path: Path, value: str, most: int | None) -> bool:
    try:
        return (most is None or path.stat().st_size <= most) and sum_of(path) != value
    except OSError:
        return True
