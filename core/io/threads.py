"""Work on many things at once, on threads: for what lets other threads work meanwhile (decoders,
sums, pyarrow).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
MOST = 4  # threads, however many cores there are


def in_threads(work: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """Return `work` of each item, in their order. The first error in that order is raised."""
    with ThreadPoolExecutor(min(MOST, os.cpu_count() or 1)) as threads:
        return list(threads.map(work, items))
