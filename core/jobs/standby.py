"""The worker that waits for the next job, seen from the process that started it."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil

CORE = Path(__file__).parents[1]
MODULE = "core.jobs.standby_worker"
LOG = Path("log") / "standby.log"
# Bytes the machine has to have left for one to be started, and to go on waiting. One takes about
# 0.6 GiB: were they closer, one would be started and ended by turns.
TO_START = 2 << 30
TO_STAY = 1 << 30


class Standby:
    """The one worker that waits (`core.jobs.standby_worker`)."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.code = newest_code_time()

    def died(self) -> bool:
        """Whether it ended before it was given a job."""
        return self.process.poll() is not None

    def fits(self) -> bool:
        """Whether it lives and has the code that is installed now."""
        return not self.died() and self.code == newest_code_time()

    def give(self, job: str, log: Path, threads: int, env: dict[str, str]) -> bool:
        """Have it do the job `job`, whose output goes to `log`, with `threads` for arithmetic and
        with `env` added to its environment. False when it has just died.
        """
        request = {"job": job, "log": str(log), "threads": threads, "env": env}
        assert self.process.stdin
        with suppress(OSError):
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.close()
            return True
        return False

    def end(self) -> None:
        """End it, since it is not needed."""
        with suppress(OSError):
            self.process.kill()
        self.process.wait()
        with suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]


def has_memory(least: int) -> bool:
    """Whether the machine has `least` bytes of memory left."""
    return int(psutil.virtual_memory().available) >= least


def newest_code_time() -> float:
    """When one of the files of `core` was changed last, in seconds of the epoch."""
    newest = 0.0
    for path in CORE.rglob("*.py"):
        with suppress(OSError):  # it is just being replaced
            newest = max(newest, path.stat().st_mtime)
    return newest
