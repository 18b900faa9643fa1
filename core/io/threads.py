"""Work on many things at once, or on the next while the last is used, on threads: for what lets
other threads work meanwhile (decoders, sums, pyarrow, matrix products).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
MOST = 4  # threads, however many cores there are


def in_threads(work: Callable[[A], B], items: Iterable[A], most: int = MOST) -> list[B]:
    """Return `work` of each item, in their order, on at most `most` threads and one a core. The
    first error in that order is raised.
    """
    with ThreadPoolExecutor(min(most, os.cpu_count() or 1)) as threads:
        return list(threads.map(work, items))


def read_ahead(read: Callable[[A], B], wanted: Iterable[A]) -> Iterator[B]:
    """`read(w)` for each of `wanted`, in order; one thread reads the next while the last is used.
    What `read` raises is raised here, and the thread ends with the loop, however that ends.
    """
    with ThreadPoolExecutor(1, "reading ahead") as thread:
        coming = None
        for w in wanted:
            last, coming = coming, thread.submit(read, w)
            if last is not None:
                yield last.result()
        if coming is not None:
            yield coming.result()
