"""Work gives way to who looks at the screen: jobs have a lower priority than pages and commands."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil

NICE = 5  # of -20 to 19; a third of the share of a page that wants the same processor


def lower_priority() -> None:
    """Lower the priority of this process for the processors (to `NICE`; "below normal" on Windows)
    and, on Linux, for the disk, where it gets what nobody else wants. Leaves alone what the system
    does not allow, and a process that is lower already.
    """
    process = psutil.Process()
    with suppress(psutil.Error, OSError):
        if sys.platform == "win32":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        elif process.nice() < NICE:
            process.nice(NICE)
    if sys.platform == "linux":
        with suppress(psutil.Error, OSError):
            process.ionice(psutil.IOPRIO_CLASS_IDLE)
        # Trap: a process in a session of its own is weighed as a group against other sessions, and
        # then its own value counts for nothing (sched(7), "The autogroup feature")
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE))
