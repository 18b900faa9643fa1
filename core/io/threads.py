"""Work on many things at once, or on the next while the last is used, on threads: for what lets
other threads work meanwhile (decoders, sums, pyarrow, matrix products).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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


def read_ahead(read: Callable[[A], B], wanted: Iterable[A], most: int = 1) -> Iterator[B]:
    """`read(w)` for each of `wanted`, in order; one thread (or as many as `most` and cores) reads
    the next while the last is used, and so many are ready at most. What `read` raises is raised
    here, and the threads end with the loop, however that ends.
    """
    many = min(most, os.cpu_count() or 1)
    coming: deque[Future[B]] = deque()
    with ThreadPoolExecutor(many, "reading ahead") as threads:
        try:
            for w in wanted:
                coming.append(threads.submit(read, w))
                if len(coming) > many:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for one in coming:
                one.cancel()
