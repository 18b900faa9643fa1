"""Work over a whole dataset (`core.io.shared_work`), shared out among the processors of the Ray
cluster that a job runs on: one result, with the bits of the unshared one.

The job begins by itself and measures how long a unit takes. Once what is left takes longer than
sending it costs, and the cluster has room, parts of about a second go there from the one end, while
the job goes on from the other; so it is done however little room there is, and what a lost node
had is done again. Bits are those of one kind of processor with one number of threads, so processes
elsewhere take as many threads as the job has, and refuse on another kind.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from core import __version__
from core.children import environment
from core.io.shared_work import Work, helped_by
from core.jobs.cluster_node import CLUSTER_AT
from core.jobs.turns import somebody_waits

START = 6.0  # seconds until a process of the cluster has imported what computes
RATE = 100e6  # bytes a second between two machines: a network of one gigabit
PART = 1.0  # seconds that a part takes
MOST = 32 << 20  # bytes of a part and of what it gives
AHEAD = 3  # parts sent for each processor: one is there when another ends
LOOK = 0.5  # seconds between two looks at the room of the cluster
TRIES = 3  # that a part is refused, or lost, before the job does it itself
BITS = ("torch", "numpy", "scipy", "scikit-learn", "numba")  # packages that the last bits hang on

Check = Callable[[], None]
Report = Callable[[float], None]


@contextmanager
def sharing_out() -> Iterator[None]:
    """While it lasts, work of this job is shared out, where it runs on a cluster."""
    with helped_by(Sharing() if os.environ.get(CLUSTER_AT) else None):
        yield


class Sharing:
    """Shares out what one job does. `shared` counts the units that were done elsewhere."""

    def __init__(self) -> None:
        self._ray: Any = None
        self._asked = False
        self._warm = False  # processes elsewhere have imported what computes
        self.shared = 0

    def __call__(self, work: Work, check: Check, report: Report) -> None:
        """Do all of `work`; see `core.io.shared_work.do`."""
        done, pace, mark, may = 0, Pace(), None, True
        while done < work.units:
            check()
            report(done / work.units)
            if may and self._pays(work, work.units - done, pace):
                now = None if work.mark is None else work.mark()
                if work.mark is None or (mark is not None and now == mark):
                    self._share(work, done, pace, check, report)
                    return
                may, mark = now is not None and mark is None, now
            some = range(done, min(work.units, done + pace.units()))
            began = time.monotonic()
            made = work.here(some)
            pace.note(work, some, time.monotonic() - began, made)
            check()  # what was stopped half-way is kept nowhere
            work.keep(some, made)
            done = some.stop
        report(1.0)

    def _pays(self, work: Work, left: int, pace: Pace) -> bool:
        """Whether what helpers save of the `left` units is more than sending to them costs."""
        seconds = left * pace.seconds
        if pace.parts < 2 or left < 2 or seconds < START / 2:
            return False
        room = self._room()
        if room < 1:
            return False
        sent = size(work.common()) + left * pace.bytes
        return seconds * room / (room + 1) > (0.0 if self._warm else START) + sent / RATE

    def _connected(self) -> Any:
        """Return Ray, connected to the cluster; None where this job can have no helper there."""
        if not self._asked:
            self._asked, self._ray = True, connect()
        return self._ray

    def _room(self) -> int:
        """How many processes as this one the cluster has room for now; none where a job waits for
        its place, whose room that is.
        """
        ray = self._connected()
        if ray is None or somebody_waits(ray):
            return 0
        return int(ray.available_resources().get("CPU", 0) // threads())

    def _share(self, work: Work, done: int, pace: Pace, check: Check, report: Report) -> None:
        """Do the units from `done` on, with the cluster."""
        at_once = pace.units()
        parts = [range(i, min(work.units, i + at_once)) for i in range(done, work.units, at_once)]
        _Sharing(self, work, parts, check, report).do()
        report(1.0)

    def heard(self, units: int) -> None:
        """Take note of units that were done elsewhere."""
        self._warm, self.shared = True, self.shared + units


class _Sharing:
    """One work that is being shared out: `left` is what nobody has, `flying` what is sent."""

    def __init__(
        self, sharing: Sharing, work: Work, parts: list[range], check: Check, report: Report
    ) -> None:
        self.sharing, self.work, self.check, self.report = sharing, work, check, report
        self.ray = sharing._connected()
        self.left = deque(parts)
        self.own: list[range] = []  # what the cluster could not do
        self.flying: dict[Any, range] = {}
        self.tries: dict[int, int] = {}
        self.open = sum(map(len, parts))
        self.width, self.looked = 0, 0.0

    def do(self) -> None:
        """Do all parts."""
        ray, work = self.ray, self.work
        task = ray.remote(do_part).options(num_cpus=threads(), max_retries=TRIES)
        common, name = ray.put(work.common()), os.urandom(8).hex()
        whom = (threads(), kind_of_processor(), _settings())
        try:
            while self.open:
                self.check()
                self.report((work.units - self.open) / work.units)
                self._fetch()
                self._look()
                while self.left and len(self.flying) < self.width:
                    part = self.left.popleft()
                    sent = work.send(part)
                    self.flying[task.remote(whom, name, [common], work.open, work.there, sent)] = (
                        part
                    )
                self._do_one_here()
        finally:
            for answer in self.flying:
                with suppress(Exception):
                    ray.cancel(answer)

    def _fetch(self) -> None:
        """Keep what has come from the cluster."""
        flying = list(self.flying)
        for answer in (
            self.ray.wait(flying, num_returns=len(flying), timeout=0)[0] if flying else ()
        ):
            part, made = self.flying.pop(answer), _value(self.ray, answer)
            if made is None:
                self._again(part)
            else:
                self._keep(part, made[0])
                self.sharing.heard(len(part))

    def _again(self, part: range) -> None:
        """Send a part once more that was refused or lost; where that is in vain, do it here, and
        say what is wrong where it is the work.
        """
        self.tries[part.start] = self.tries.get(part.start, 0) + 1
        if self.tries[part.start] < TRIES:
            self.left.append(part)
        else:
            self.own.append(part)

    def _keep(self, part: range, made: Any) -> None:
        self.work.keep(part, made)
        self.open -= len(part)

    def _look(self) -> None:
        """See how many parts may be under way at once."""
        if time.monotonic() - self.looked > LOOK:
            self.looked = time.monotonic()
            if somebody_waits(self.ray):
                self.width = 0  # what is under way ends within seconds, and its room is free
            elif room := self.sharing._room():
                self.width = len(self.flying) + AHEAD * room

    def _do_one_here(self) -> None:
        """Do a part in this process: one that the cluster has not, or may not have begun with."""
        if self.own:
            part = self.own.pop()
        elif self.left:
            part = self.left.pop()
        elif self.flying:
            answer = next(reversed(self.flying))
            part = self.flying.pop(answer)
            self.ray.cancel(answer)  # where it still waits for room it need not begin
        else:
            return
        made = self.work.here(part)
        self.check()
        self._keep(part, made)


class Pace:
    """How long units took here last, and how many bytes one of them is, with what it gives."""

    def __init__(self) -> None:
        self.seconds, self.bytes, self.parts = 0.0, 0.0, 0

    def note(self, work: Work, some: range, seconds: float, made: Any) -> None:
        """Take note of a part. The first of all is slow, since it loads what later ones have."""
        self.seconds, self.parts = seconds / len(some), self.parts + 1
        self.bytes = work.unit_bytes + size(made) / len(some)

    def units(self) -> int:
        """How many units make a part."""
        if self.parts < 2:
            return 1
        return max(1, int(min(PART / max(self.seconds, 1e-6), MOST / max(self.bytes, 1.0))))


def do_part(
    whom: tuple[int, Any, dict[str, str]],
    name: str,
    common: list[Any],
    open: Callable[[Any], Any],
    there: Callable[[Any, Any], Any],
    sent: Any,
) -> list[Any] | None:
    """Do a part of a work; done by a process of Ray's. What it gives, in a list; None where this
    machine would give other bits.
    """
    many, kind, settings = whom
    os.environ.update(settings)
    if kind != kind_of_processor():
        time.sleep(PART)  # else it takes part after part from those who can
        return None
    _bound(many)
    return [there(_opened(name, open, common), sent)]


_held: dict[str, Any] = {}


def _opened(name: str, open: Callable[[Any], Any], common: list[Any]) -> Any:
    """Return what is common to the parts of the work `name`, opened once a process."""
    if name not in _held:
        import ray

        from core.registry import methods

        methods()  # plug-ins are modules that have to be loaded before they are named
        _held.clear()
        _held[name] = open(ray.get(common[0]))
    return _held[name]


def _bound(many: int) -> None:
    """Have this process compute with `many` threads: sums are taken in other orders by others."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(many)
    threadpool_limits(many)


def threads() -> int:
    """How many threads the arithmetic of this process has."""
    if "torch" in sys.modules:
        import torch

        return int(torch.get_num_threads())
    return int(os.environ.get("OMP_NUM_THREADS", "1"))


@lru_cache
def kind_of_processor() -> tuple[str, ...]:
    """Return what the last bits of a sum depend on: the processor, by which libraries choose how to
    add up, and the versions of these.
    """
    model = [platform.machine(), platform.processor()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        names = ("model name", "flags", "cache size")
        model += [line for line in lines if line.startswith(names)]
    return (__version__, *model, *map(_version, BITS))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _settings() -> dict[str, str]:
    here = ("LIGHTBOX_ENGINE", CLUSTER_AT)
    return {
        name: value
        for name, value in environment().items()
        if name.startswith("LIGHTBOX_") and name not in here
    }


def _value(ray: Any, answer: Any) -> Any:
    """Return what the cluster gives; None where it failed."""
    from ray.exceptions import RayError

    try:
        return ray.get(answer)
    except RayError:
        return None


def connect() -> Any:
    """Return Ray, connected to the cluster this job runs on; None where nobody else is on it."""
    address = os.environ.get(CLUSTER_AT)
    if not address:
        return None
    import ray

    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    return ray if ray.cluster_resources().get("CPU", 0) > 1 else None


def size(made: Any) -> int:
    """Bytes of the arrays and byte strings within `made`."""
    if isinstance(made, np.ndarray):
        return int(made.nbytes)
    if isinstance(made, bytes):
        return len(made)
    if isinstance(made, dict):
        return sum(map(size, made.values()))
    if isinstance(made, (list, tuple)):
        return sum(map(size, made))
    if is_dataclass(made):
        return sum(size(getattr(made, f.name)) for f in fields(made))
    return 0
