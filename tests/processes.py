"""Processor seconds of this process and of all it has started, waited for or not."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

import psutil

LOOK = 1.0  # seconds between two looks; what lives shorter is seen by whoever waits for it
OFTEN = 0.2  # seconds within which nobody looks again: a look takes 2 ms


def own_seconds() -> float:
    """Of this process so far, with the children it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


class Tree:
    """The processes below this one, and those that were below it and live on by themselves.

    What a process has used holds that of the children it has waited for (on Linux), so that a
    child that is gone counts by itself only where its parent went before it.
    """

    def __init__(self) -> None:
        self.seen: dict[psutil.Process, tuple[float, int]] = {}  # seconds, its parent's number
        self.gone = self.total = 0.0
        self.looked = -LOOK
        self.lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def seconds(self) -> float:
        """Of this process and all those, up to OFTEN seconds ago."""
        with self.lock:
            if time.monotonic() - self.looked < OFTEN:
                return self.total
            here = self._look()
            pids = {p.pid for p in here} | {os.getpid()}
            left = [at for process, at in self.seen.items() if process not in here]
            self.gone += sum(spent for spent, parent in left if parent not in pids)
            self.seen = here
            self.looked = time.monotonic()
            self.total = own_seconds() + self.gone + sum(spent for spent, _ in here.values())
            return self.total

    def _look(self) -> dict[psutil.Process, tuple[float, int]]:
        found = _below(psutil.Process())
        for left in [p for p in self.seen if p not in found and p.is_running()]:
            found |= {left} | _below(left)
        here = {}
        for process in found:
            with suppress(psutil.Error):
                here[process] = (sum(process.cpu_times()[:4]), process.ppid())
        return here

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK)
            self.seconds()


def _below(process: psutil.Process) -> set[psutil.Process]:
    """Its children and theirs; none of a process that ends meanwhile."""
    with suppress(psutil.Error):
        return set(process.children(recursive=True))
    return set()
