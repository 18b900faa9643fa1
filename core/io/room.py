"""How much room is left: on the disk of a workspace, and of its share of it (LIGHTBOX_QUOTA)."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import Full, UserError
from core.io.events import log_event
from core.settings import read_settings
from core.words import size

Level = Literal["ok", "low", "full"]
# bytes, and share of the disk: the smaller of the two counts, so that small disks can be used
LOW, FULL = (5 << 30, 0.10), (256 << 20, 0.01)
LOW_SHARE = 0.9  # of the quota
NOTHING = 1 << 16  # bytes with which not even a request can be kept
SECONDS = 60.0  # for which what a workspace takes up is not counted again
_counted: dict[Path, tuple[float, int]] = {}
_levels: dict[Path, Level] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class Room:
    """Bytes: `free` of the `total` of the disk; what the workspace has `used` of its `quota`, both
    None where there is no quota.
    """

    free: int
    total: int
    used: int | None = None
    quota: int | None = None

    @property
    def level(self) -> Level:
        """Return "full" where nothing is imported or trained any more, "low" where soon."""
        share = self.used / self.quota if self.quota and self.used is not None else 0.0
        if share >= 1 or self.free < min(FULL[0], FULL[1] * self.total):
            return "full"
        if share >= LOW_SHARE or self.free < min(LOW[0], LOW[1] * self.total):
            return "low"
        return "ok"

    @property
    def sentence(self) -> str:
        """What to tell people; "" where there is room."""
        if self.level == "ok":
            return ""
        if self.quota and self.used is not None and self.used >= LOW_SHARE * self.quota:
            share = f"This project takes up {size(self.used)} of its {size(self.quota)}"
            if self.level == "full":
                return f"{share}, so nothing is imported or trained; remove data or runs first."
            return f"{share}; once that is used up, nothing is imported or trained."
        if self.level == "full":
            return (
                f"Only {size(self.free)} of the disk are free, so nothing is imported or trained;"
                " remove data or runs, or ask those who run this machine for more."
            )
        return (
            f"{size(self.free)} of the disk are free; once it is nearly full, nothing is imported"
            " or trained."
        )


def look_at_room(home: Path, seconds: float = SECONDS) -> Room:
    """Return how much room a workspace has; a change of its level is logged. What it takes up is
    counted anew after `seconds`, and only where there is a quota.
    """
    disk = shutil.disk_usage(home)
    settings = read_settings()
    quota = int(settings.quota * 2**30) or None
    room = Room(disk.free, disk.total, used_bytes(home, seconds) if quota else None, quota)
    if _levels.get(home, "ok") != room.level:
        log_event(
            "disk",
            level=room.level,
            project=home.name if settings.projects else None,
            free_bytes=room.free,
            used_bytes=room.used,
            quota_bytes=room.quota,
        )
    _levels[home] = room.level
    return room


def require_room(home: Path) -> None:
    """UserError where the disk, or the workspace's share of it, is full."""
    room = look_at_room(home)
    if room.level == "full":  # something may have been removed since it was counted
        room = look_at_room(home, seconds=0.0)
    if room.free < NOTHING:
        raise Full()
    if room.level == "full":
        raise UserError(room.sentence)


def used_bytes(home: Path, seconds: float = SECONDS) -> int:
    """Return the bytes of all files below a workspace folder, counted anew after `seconds`. Cost:
    about 3 s of processor time for a million files (a system call each).
    """
    with _lock:
        at, known = _counted.get(home, (-1e9, 0))
        if time.monotonic() - at >= seconds:
            known = _count(home)
            _counted[home] = (time.monotonic(), known)
        return known


def _count(folder: str | Path) -> int:
    found, waiting = 0, [os.fspath(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        else:
                            found += entry.stat(follow_symlinks=False).st_size
                    except OSError:  # gone meanwhile
                        continue
        except OSError:
            continue
    return found
