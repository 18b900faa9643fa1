"""Files that came through the browser, kept under names of our own until their import has ended.

Several files become one zip whose members bear the users' names, so no name of a user ever becomes
a path here.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from core import limits
from core.errors import UserError
from core.io.files import make_folder, remove, write_json, write_with
from core.io.room import require_room
from core.workspace.import_request import REQUEST
from core.workspace.workspace import Workspace

PIECE = 1 << 20  # bytes copied at a time
ABOUT = "upload.json"  # names, size and hash; lies in the upload's folder and goes with it
OLD = 24 * 3600.0  # seconds after which what nobody imported is taken away


@dataclass(frozen=True)
class Upload:
    """`path` is what `core.data.readers.read` takes, alone in `folder`; `hash` is the sha256 of all
    content in the order of the names.
    """

    folder: Path
    path: Path
    names: tuple[str, ...]
    bytes: int
    hash: str


def store_upload(ws: Workspace, files: Sequence[tuple[str, IO[bytes]]]) -> Upload:
    """Copy (name, stream) pairs into a new folder of the workspace, 1 MB at a time, hashing on the
    way.

    One file stays as it is when it is a zip; everything else goes into a zip of our own, unpacked.
    UserError for too many files, two of one name, or a full disk.
    """
    ws.permit("data", f"{len(files)} files uploaded")
    require_room(ws.home)
    if len(files) > limits.MEMBERS:
        raise UserError(
            f"{len(files):,} files were chosen; at most {limits.MEMBERS:,} are taken at once."
        )
    names = [name.replace("\\", "/").lstrip("/") for name, _ in files]
    double = (
        next((n for i, n in enumerate(names) if n in names[:i]), None)
        if len(set(names)) < len(names)
        else None
    )
    if double is not None:
        raise UserError(
            f"Two of the files are called {double}; put them into folders, or rename one."
        )
    folder = ws.home / "uploads" / uuid.uuid4().hex[:12]
    path, h, size = folder / "upload.zip", hashlib.sha256(), 0
    try:
        first = files[0][1]
        first.seek(0)
        zipped = (
            len(files) == 1
            and first.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
            and not names[0].lower().endswith(".npz")
        )

        def copy(stream: IO[bytes], into: IO[bytes]) -> None:
            nonlocal size
            stream.seek(0)
            while piece := stream.read(PIECE):
                into.write(piece)
                h.update(piece)
                size += len(piece)

        def fill(raw: IO[bytes]) -> None:
            if zipped:
                copy(first, raw)
                return
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as out:
                for (_, stream), name in sorted(zip(files, names), key=lambda f: f[1]):
                    with out.open(zipfile.ZipInfo(name), "w", force_zip64=True) as into:
                        copy(stream, into)

        make_folder(folder, new=True)
        write_with(path, fill)
        write_json(folder / ABOUT, {"names": names, "bytes": size, "hash": h.hexdigest()})
    except BaseException:
        remove(folder)
        raise
    return Upload(folder, path, tuple(names), size, h.hexdigest())


def remove_upload(ws: Workspace, upload: Upload) -> None:
    """Take away what came through the browser and is not to be imported."""
    ws.permit("data", f"upload {upload.folder.name} removed")
    remove(upload.folder)


def waiting_uploads(ws: Workspace) -> list[tuple[Upload, float]]:
    """Return uploads that no import was asked for yet, newest first, and when each came (seconds
    since the epoch).

    A page that was closed or loaded again has lost sight of them. Those cut off while they were
    copied are not among them; `remove_old_uploads` takes them away in time.
    """
    places, found = list((ws.home / "uploads").glob(f"*/{ABOUT}")), []
    wanted = _requested_paths(ws) if places else []
    for place in places:
        folder = place.parent
        if any(folder.name in w for w in wanted) or not (folder / "upload.zip").exists():
            continue
        about = json.loads(place.read_text())
        upload = Upload(
            folder, folder / "upload.zip", tuple(about["names"]), about["bytes"], about["hash"]
        )
        found.append((upload, place.stat().st_mtime))
    return sorted(found, key=lambda f: -f[1])


def _requested_paths(ws: Workspace) -> list[str]:
    """Return what imports that may still go on ask for, as written; names of their uploads' folders
    are in it.
    """
    return [place.read_text() for place in (ws.home / "runs").glob(f"*/{REQUEST}")]


def remove_old_uploads(ws: Workspace) -> None:
    """Take away uploads that are a day old and of no import that could still go on. Nothing where
    the person may not import data.
    """
    if not ws.access.allows("data"):
        return
    old = [f for f in (ws.home / "uploads").glob("*") if time.time() - f.stat().st_mtime > OLD]
    wanted = _requested_paths(ws) if old else []
    for folder in old:
        if not any(folder.name in w for w in wanted):
            remove(folder)
