"""The most memory this process has had, in bytes.

Trap: ru_maxrss of a new program starts at what the process that started it had, however little it
takes itself; Linux' VmHWM does not.
"""

import resource
from pathlib import Path


def highest() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        return (
            int(
                next(
                    line.split()[1]
                    for line in status.read_text().splitlines()
                    if line.startswith("VmHWM")
                )
            )
            * 1024
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
