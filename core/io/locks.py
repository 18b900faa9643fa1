"""Holds on a workspace that end with the process: of the one supervisor, the one server, and
whoever repairs the catalogue.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO

from core.io import files


def hold_lock(path: Path, wait: float = 0.0) -> IO[bytes] | None:
    """Return an exclusive hold on the lock file `path`, given up when closed; None when another
    process still has it after `wait` seconds.

    Trap: nothing may be written into the file: on Windows nobody else could read it.
    """
    files.before("write", path)
    handle = open(path, "ab")  # noqa: SIM115 - the lock lasts as long as the handle
    end = time.monotonic() + wait
    while True:
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError:
            if time.monotonic() >= end:
                handle.close()
                return None
            time.sleep(0.05)
