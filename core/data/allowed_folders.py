"""Folders of this machine from which data may be taken in the browser: only beneath the roots that
whoever started the server has allowed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from core import limits
from core.errors import UserError
from core.settings import Settings


def allowed_roots() -> list[Path]:
    """Return the allowed roots (LIGHTBOX_FOLDERS, separated as in PATH), resolved; those that are
    not there are left out.
    """
    given = [Path(p).expanduser() for p in Settings().folders.split(os.pathsep) if p]
    return [p.resolve() for p in given if p.is_dir()]


def check_allowed(path: Path) -> Path:
    """`path` resolved, once it is a plain file or folder beneath an allowed root and no step below
    the root is a link. UserError otherwise.
    """
    allowed = allowed_roots()
    if not allowed:
        raise UserError(
            "No folder of this machine is open to the browser; start Lightbox with"
            " LIGHTBOX_FOLDERS=/path/to/data to open one."
        )
    whole = Path(os.path.abspath(path))
    root = next((r for r in allowed if whole == r or r in whole.parents), None)
    if root is None or ".." in Path(path).parts:
        raise UserError(f"{whole.name} lies outside the folders that are open to the browser.")
    try:
        step = whole
        while step != root:
            if step.is_symlink():
                raise UserError(f"{step.name} is a link; only plain files and folders are taken.")
            step = step.parent
        kind = whole.stat().st_mode
    except FileNotFoundError:
        raise UserError(f"There is no file or folder {whole.name}.") from None
    except OSError as e:
        raise UserError(f"{whole.name[:60]} cannot be read ({e.strerror}).") from None
    except ValueError:  # a zero byte, or half a letter
        raise UserError("A name that no file can have was given.") from None
    if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        raise UserError(f"{whole.name} is no plain file or folder.")
    if not os.access(whole, os.R_OK):
        raise UserError(f"{whole.name} may not be read by Lightbox; change its rights or copy it.")
    return whole


def list_entries(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the sub-folders and of the plain files in an allowed folder, each at most
    `limits.LISTED`, in order; hidden ones and links left out.
    """
    check_allowed(folder)
    folders: list[str] = []
    files: list[str] = []
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False) and len(folders) < limits.LISTED:
                folders.append(entry.name)
            elif entry.is_file(follow_symlinks=False) and len(files) < limits.LISTED:
                files.append(entry.name)
    return sorted(folders), sorted(files)
