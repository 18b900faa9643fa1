"""How many threads of arithmetic a job gets, and holding it to that.

Trap: threads that share a busy processor wait for one another by spinning, and arithmetic of a
second takes minutes.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque

import psutil

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
WINDOW = 0.3  # seconds the processors are looked at, at least


class Load:
    """How busy the processors were a moment ago: whoever looks again and again never waits for an
    answer.
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[float, float, float]] = deque()  # when; seconds idle, in all

    def look(self) -> None:
        """Take note of the processors' clocks; costs a tenth of a millisecond."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # guests are counted among the user's as well
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        self._looks.append((time.monotonic(), idle, sum(times) - guests))
        while len(self._looks) > 1 and self._looks[-1][0] - self._looks[1][0] >= WINDOW:
            self._looks.popleft()

    def free_threads(self) -> int:
        """How many processors nobody uses just now, at least one; waits for WINDOW seconds where
        nobody has looked before.
        """
        self.look()
        if self._looks[-1][0] - self._looks[0][0] < WINDOW:
            time.sleep(WINDOW)
            self.look()
        (_, idle, total), (_, idle_now, total_now) = self._looks[0], self._looks[-1]
        share = (idle_now - idle) / max(total_now - total, 1e-9)
        return max(1, round((psutil.cpu_count() or 1) * share))


def bound_environment(threads: int) -> dict[str, str]:
    """Variables that bound the arithmetic of a new process to `threads`; those that the user has
    set are not among them.
    """
    return {name: str(threads) for name in THREADS if name not in os.environ}


def limit_threads(threads: int) -> None:
    """Bound the arithmetic of this process as `bound_environment` does that of a new one: of what
    is imported already, and by the environment of what comes later.

    Trap: numba reads its variable again each time it compiles something, and refuses to once that
    is another number than that of the threads it has launched.
    """
    from threadpoolctl import threadpool_limits

    free = bound_environment(threads)
    if "numba" in sys.modules and free.pop("NUMBA_NUM_THREADS", ""):
        import numba

        # before it is bound: as many as there can be
        numba.set_num_threads(min(threads, numba.get_num_threads()))
    os.environ.update(free)
    if "OMP_NUM_THREADS" in free:
        threadpool_limits(threads, "openmp")
        if "torch" in sys.modules:
            import torch

            torch.set_num_threads(threads)
    if "OPENBLAS_NUM_THREADS" in free:
        threadpool_limits(threads, "blas")
