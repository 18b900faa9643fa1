"""Work over many cases in parts that give the same bits wherever they are done, so that a process
that has been given helpers (a job on a cluster, `core.jobs.sharing`) can share it out.

What is here only says what such work is, and does it where nobody helps.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Work:
    """Work in `units`, numbered from 0, whose boundaries are settled: a part is a range of units,
    and what a unit gives depends on nothing that another one did.

    here: does a part in this process.
    keep: takes what a part gave, each unit once, in any order.
    common: what all parts need elsewhere, sent once.
    send: what one part needs elsewhere.
    open: turns what is common, once a process, into what `there` takes. Found by its name.
    there: does a part elsewhere, from what `open` gave and what was sent, and gives what `here`
        would. Found by its name.
    unit_bytes: of what is sent for one unit.
    mark: where given, equal before and after a part unless the part changed what later ones give (a
        generator drawn from); then, or where it is None, all is done here, in order.
    """

    units: int
    here: Callable[[range], Any]
    keep: Callable[[range, Any], None]
    common: Callable[[], Any]
    send: Callable[[range], Any]
    open: Callable[[Any], Any]
    there: Callable[[Any, Any], Any]
    unit_bytes: int = 0
    mark: Callable[[], Any] | None = None


Sharer = Callable[[Work, Callable[[], None], Callable[[float], None]], None]
_sharer: ContextVar[Sharer | None] = ContextVar("sharer", default=None)


def helpers() -> Sharer | None:
    """Return who shares work out for this thread; None where nobody does."""
    return _sharer.get()


@contextmanager
def helped_by(sharer: Sharer | None) -> Iterator[None]:
    """While it lasts, work of this thread may be shared out by `sharer`; None: by nobody."""
    before = _sharer.set(sharer)
    try:
        yield
    finally:
        _sharer.reset(before)


def do(work: Work, check: Callable[[], None], report: Callable[[float], None]) -> None:
    """Do all of `work`, shared out where somebody helps. `check` is called between parts and may
    raise; `report` hears the share that is done, 0 to 1.
    """
    sharer = helpers()
    if sharer is not None:
        with helped_by(None):  # what a part does is not shared out again
            sharer(work, check, report)
        return
    for i in range(work.units):
        check()
        report(i / work.units)
        work.keep(range(i, i + 1), work.here(range(i, i + 1)))


class OnlyHere:
    """A call made in this process only: sent elsewhere with a work's function, it does nothing."""

    def __init__(self, call: Callable[[], None] = lambda: None) -> None:
        self.call = call

    def __call__(self) -> None:
        """Make the call."""
        self.call()

    def __reduce__(self) -> tuple[type[OnlyHere], tuple[()]]:
        """Return what is sent of it: nothing."""
        return OnlyHere, ()


NOTHING = OnlyHere()


def pack(given: Any) -> bytes | None:
    """Return `given`, functions among it, as bytes for a process of our own on the cluster, as Ray
    itself sends what it is given; None where it holds what lives in this process only. Never
    written to a file, nor read from one.
    """
    try:
        return bytes(importlib.import_module("ray.cloudpickle").dumps(given))
    except Exception:  # whatever an object says that cannot be sent
        return None


def unpack(packed: bytes) -> Any:
    """Return what a process of the same job has packed."""
    return importlib.import_module("ray.cloudpickle").loads(packed)
