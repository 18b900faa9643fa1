"""Never two writers on one run folder: what a worker on a cluster does before it touches anything.

A node that counts as lost may still be at work (the network was cut, not the machine). So each
attempt has a mark of its own (`Job.born`), its process ends with the place it was started from, it
writes only while it holds the lock of the run's folder, and it quits once the catalogue names
another attempt.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import IO

from core.io.locks import hold_lock
from core.workspace.workspace import Workspace

MARK = "ray:"  # what `Job.born` begins with on a cluster
LOCK = "worker.lock"
NAMED = 60.0  # seconds in which the catalogue has to name an attempt that has been started
LEFT = 60.0  # seconds in which an attempt that counts as lost has to leave the folder
LOST = 75  # exit code of an attempt that is no longer wanted


def take_folder(ws: Workspace, id: str, born: str) -> IO[bytes] | None:
    """Return the hold of the attempt `born` on the folder of job `id`, to be kept while it works;
    None where it is not, or no longer, wanted. Waits for an attempt before that is still leaving.
    """
    end = time.monotonic() + NAMED
    while (job := ws.catalogue.job(id)) is not None and job.born != born:
        if job.born or time.monotonic() > end:
            return None
        time.sleep(0.1)
    return None if job is None else hold_lock(ws.folder(id) / LOCK, LEFT)


def end_with_parent() -> None:
    """Have this process end when the one that started it does, in whatever call it is."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != parent or parent == 1:
            os._exit(LOST)
        return
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(LOST)
