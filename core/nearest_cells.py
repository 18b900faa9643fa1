"""The nearest other rows of every row of a large table, with all threads: rows are parted into
cells, and each cell's rows are compared with those of the cells around it by matrix products.

How many cells around are looked at is measured: of a sample of rows the true neighbours are found,
and with them how far down the list of nearest cells they lie. Where they lie anywhere, as in
uniform data of many dimensions, all cells are looked at and the search is exact.

Every product has a settled shape and is taken by one thread, so the result does not depend on how
many threads there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from core.io.shared_work import Work, do, helpers
from core.io.threads import in_threads

ROWS = 256  # in a cell, about
TURNS = 6  # of k-means
LEARNED = 40  # rows a cell that k-means learns from
SAMPLED = 300  # rows whose true neighbours are found
RECALL = 0.985  # share of them that must lie in the cells looked at
HELD = 32_768  # rows seen from a cell at most, of which a copy is held
QUERIES, COLUMNS = 256, 1_024  # rows of a product, which the processor's cache holds

# rows in the order of cells [n,d], middles of cells [c,d], bounds of cells [c+1], the cells to look
# at from each, and how many neighbours are wanted
Table = tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray], int]
Found = tuple[np.ndarray, np.ndarray, np.ndarray]


def search(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest other rows of each row of `x` [n,d] float32: positions int32 [n,k] and
    Euclidean distances float32 [n,k], near first. k < n. About 98 in 100 are the true ones.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        return _search(x, k)


def _search(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    n = len(x)
    of = _parted(x)
    order = np.argsort(of, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(of))])
    x = x[order]
    cells = len(bounds) - 1
    middle = np.add.reduceat(x, bounds[:-1], axis=0) / np.diff(bounds)[:, None].astype(np.float32)
    table = (x, middle, bounds, _around(x, middle, bounds, k), k)
    index, distance = np.empty((n, k), np.int32), np.empty((n, k), np.float32)

    def keep(own: np.ndarray, at: np.ndarray, square: np.ndarray) -> None:
        index[order[own]], distance[order[own]] = order[at], np.sqrt(square)

    if helpers() is None:
        in_threads(lambda c: _look(table, c, keep), range(cells), numba.get_num_threads())
        return index, distance
    work = Work(
        units=cells,
        here=lambda part: look_at_cells(table, part),
        keep=lambda part, found: _each(keep, found),
        common=lambda: table,
        send=lambda part: part,
        open=_as_it_is,
        there=look_at_cells,
    )
    do(work, lambda: None, lambda done: None)
    return index, distance


def look_at_cells(table: Table, cells: range) -> list[Found]:
    """Return what is found for the rows of some cells, in blocks: positions int32 [q] of the rows
    in the order of cells, those of their neighbours int32 [q,k], and squared distances float32
    [q,k].
    """
    from threadpoolctl import threadpool_limits

    found: list[Found] = []

    def keep(own: np.ndarray, at: np.ndarray, square: np.ndarray) -> None:
        found.append((own, at, square))

    with threadpool_limits(1, "blas"):
        in_threads(lambda c: _look(table, c, keep), cells, numba.get_num_threads())
    return found


def _each(keep: Callable[..., None], found: list[Found]) -> None:
    for one in found:
        keep(*one)


def _as_it_is(table: Table) -> Table:
    return table


def _look(table: Table, c: int, keep: Callable[..., None]) -> None:
    """Have `keep` take what is found for the rows of cell `c`."""
    x, middle, bounds, around, k = table
    theirs = np.concatenate(
        [np.arange(bounds[j], bounds[j + 1], dtype=np.int32) for j in around[c]]
    )
    there = _beside(x[theirs] - middle[c]) if len(theirs) <= HELD else None
    for first in range(bounds[c], bounds[c + 1], QUERIES):
        own = np.arange(first, min(first + QUERIES, bounds[c + 1]), dtype=np.int32)
        keep(own, *_nearest(x, own, middle[c], theirs, there, k))


def _beside(x: np.ndarray) -> np.ndarray:
    """Rows [m,d] and their squared lengths [m,d+1], for `_from`."""
    return np.concatenate([x, np.einsum("ij,ij->i", x, x)[:, None]], 1)


def _from(x: np.ndarray) -> np.ndarray:
    """[q,d+1], whose products with `_beside`'s rows are the squared distances to them, less what is
    the same for all.
    """
    return np.concatenate([-2 * x, np.ones((len(x), 1), np.float32)], 1)


def _parted(x: np.ndarray) -> np.ndarray:
    """Cell int64 [n] of each row, by k-means in two steps; none is empty."""
    cells = len(x) / ROWS
    coarse = _assigned(x, _k_means(x, max(1, round(cells**0.5))))
    parts = [np.flatnonzero(coarse == c) for c in range(coarse.max() + 1)]

    def part(c: int) -> np.ndarray:
        own = x[parts[c]]
        return _assigned(own, _k_means(own, max(1, round(len(own) / ROWS))))

    of = np.empty(len(x), np.int64)
    for c, fine in enumerate(in_threads(part, range(len(parts)), numba.get_num_threads())):
        of[parts[c]] = fine + (c << 32)
    return np.unique(of, return_inverse=True)[1]


def _k_means(x: np.ndarray, cells: int) -> np.ndarray:
    """Middles float32 [cells or fewer,d] of cells of rows `x` [n,d]."""
    some = x[np.unique(np.linspace(0, len(x) - 1, LEARNED * cells).astype(int))]
    middle = some[np.random.default_rng(0).choice(len(some), min(cells, len(some)), replace=False)]
    for _ in range(TURNS):
        of = _assigned(some, middle)
        order, found = np.argsort(of, kind="stable"), np.bincount(of)
        first = np.concatenate([[0], np.cumsum(found)[:-1]])[found > 0]
        middle = np.add.reduceat(some[order], first, axis=0) / found[found > 0, None]
        middle = middle.astype(np.float32)
    return middle


def _assigned(x: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return the nearest of `middle` [c,d] to each row, int64 [n]."""
    there = _beside(middle).T
    return np.concatenate(
        [(_from(x[i : i + 2048]) @ there).argmin(1) for i in range(0, len(x), 2048)]
    )


def _around(x: np.ndarray, middle: np.ndarray, bounds: np.ndarray, k: int) -> list[np.ndarray]:
    """For each cell those to look at, near first and itself among them: as many as hold enough of
    the true neighbours of a sample of rows.
    """
    n, cells = len(x), len(middle)
    some = np.unique(np.linspace(0, n - 1, SAMPLED).astype(int)).astype(np.int32)
    every = np.arange(n, dtype=np.int32)
    true = _true(x, some, every, k)
    own = np.searchsorted(bounds, some, side="right") - 1
    theirs = np.searchsorted(bounds, true, side="right") - 1
    away = _from(middle[own]) @ _beside(middle).T
    rank = np.empty(away.shape, np.int64)
    np.put_along_axis(rank, away.argsort(1, kind="stable"), np.arange(cells)[None], 1)
    deep = np.sort(np.take_along_axis(rank, theirs, 1), axis=None)
    looked = int(deep[int(RECALL * (deep.size - 1))]) + 1
    there, held = _beside(middle).T, np.diff(bounds)

    def near(c: int) -> np.ndarray:
        by = (_from(middle[c : c + 1]) @ there)[0].argsort(kind="stable")
        least = int(np.searchsorted(np.cumsum(held[by]), k + 1)) + 1  # to have k others at all
        return by[: max(looked, least)]

    return in_threads(near, range(cells), numba.get_num_threads())


def _true(x: np.ndarray, some: np.ndarray, every: np.ndarray, k: int) -> np.ndarray:
    middle = x.mean(0)

    def part(i: int) -> np.ndarray:
        return _nearest(x, some[i : i + 64], middle, every, None, k)[0]

    return np.concatenate(in_threads(part, range(0, len(some), 64), numba.get_num_threads()))


def _nearest(
    x: np.ndarray,
    own: np.ndarray,
    middle: np.ndarray,
    theirs: np.ndarray,
    there: np.ndarray | None,
    k: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions int32 [q,k] and squared distances float32 [q,k] of the k nearest to rows `own`
    among rows `theirs` [m] other than themselves, near first; `there` = `_beside` of these, seen
    from `middle`, or None where they are too many to be held at once.
    """
    here = _from(x[own] - middle)
    at = np.full((len(own), k), -1, np.int32)
    square = np.full((len(own), k), np.inf, np.float32)
    for i in range(0, len(theirs), COLUMNS):
        some = theirs[i : i + COLUMNS]
        part = _beside(x[some] - middle) if there is None else there[i : i + COLUMNS]
        _keep(here @ part.T, own, some, at, square)
    _measure(x, own, at, square)
    return at, square


@numba.njit(nogil=True, error_model="numpy", cache=True)
def _keep(found: Any, own: Any, theirs: Any, at: Any, square: Any) -> None:
    """Keep the k smallest of what was `found` [q,m] for each row and of those in `square`."""
    k = at.shape[1]
    m = found.shape[1]
    for i in range(found.shape[0]):
        limit = square[i, k - 1]
        for b in range(0, m, 16):
            end = min(b + 16, m)
            low = found[i, b]
            for j in range(b + 1, end):
                low = min(low, found[i, j])
            if low >= limit:
                continue
            for j in range(b, end):
                d = found[i, j]
                if d < limit and theirs[j] != own[i]:
                    p = k - 1
                    while p > 0 and d < square[i, p - 1]:
                        square[i, p], at[i, p] = square[i, p - 1], at[i, p - 1]
                        p -= 1
                    square[i, p], at[i, p] = d, theirs[j]
                    limit = square[i, k - 1]


@numba.njit(nogil=True, fastmath={"reassoc"}, error_model="numpy", cache=True)
def _measure(x: Any, own: Any, at: Any, square: Any) -> None:
    """Fill `square` with the squared distances themselves, and put them in order."""
    k = at.shape[1]
    for i in range(len(own)):
        for j in range(k):
            s, other = np.float32(0), at[i, j]
            for d in range(x.shape[1]):
                s += (x[own[i], d] - x[other, d]) * (x[own[i], d] - x[other, d])
            p = j
            while p > 0 and s < square[i, p - 1]:
                square[i, p], at[i, p] = square[i, p - 1], at[i, p - 1]
                p -= 1
            square[i, p], at[i, p] = s, other
