"""The layout of a map: t-SNE, whose push is found on a grid, with all threads.

The objective is that of van der Maaten and Hinton, JMLR 9 (2008); the schedule that of Belkina et
al., Nature Communications 10, 5415 (2019), and of openTSNE. The push of all rows on all rows costs
O(n) here, as in Linderman et al., Nature Methods 16, 243 (2019), with less work: it is the slope of
one potential, the sum over rows of 1 / (1 + distance^2). Rows are spread over a regular grid by
cubic B-splines, the potential is that grid convolved with the kernel (one Fourier transform forth
and one back), and its value and slope at each row are read off with the same splines.

Every row is moved by itself and the grid is filled in a settled order, so the result does not
depend on the number of threads. Trap: see `layout` on what numba may reorder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from core.maps.layout import _one

PERPLEXITY = 30
EXAGGERATED, EPOCHS = 250, 500  # epochs with pulls 12 times as strong, then epochs as they are
CELL = 0.5  # widest side of a grid cell, in units of the map
FINEST, COARSEST = 100, 1_500  # cells a side at least and at most

f4 = np.float32


def tsne(
    start: np.ndarray,
    near: tuple[np.ndarray, np.ndarray],
    report: Callable[[float], None] = lambda fraction: None,
) -> np.ndarray:
    """Places float64 [n,2] after descending from `start` [n,2]; `near` = the neighbours'
    (positions, distances) [n,k], of which three times the perplexity are used. O(n) an epoch.
    """
    n = len(start)
    bounds, tail, weight = affinities(near)
    at = np.ascontiguousarray(start.T, np.float64)
    step, gain, push = np.zeros((2, n)), np.ones((2, n)), np.empty((3, n))
    field, epochs = _Field(), EXAGGERATED + EPOCHS
    for epoch in range(epochs):
        early = epoch < EXAGGERATED
        exaggeration, momentum = (12.0, 0.5) if early else (1.0, 0.8)
        field(at, push)
        with _one:
            _move(
                at.astype(np.float32),
                at,
                step,
                gain,
                push,
                bounds,
                tail,
                weight,
                1 / max(float(push[0].sum()) - n, 1e-12),
                exaggeration,
                momentum,
                n / exaggeration,
            )
        at -= at.mean(1, keepdims=True)
        if epoch % 10 == 0:
            report(epoch / epochs)
    return np.ascontiguousarray(at.T)


def affinities(near: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t-SNE's symmetric affinities of neighbours (positions, distances) [n,k], which add up to 1
    over all: (bounds [n+1], positions int32, affinities float32) of a sparse matrix by rows.
    """
    from scipy import sparse

    n = len(near[0])
    k = min(3 * PERPLEXITY, near[0].shape[1])
    with _one:
        own = _conditional(np.ascontiguousarray(near[1][:, :k], np.float64), max(k / 3, 1.0))
    one = sparse.csr_matrix(
        (own.ravel(), np.asarray(near[0][:, :k]).ravel(), np.arange(0, n * k + 1, k)), (n, n)
    )
    both = (one + one.T).tocsr()
    both.sort_indices()
    return both.indptr, both.indices, (both.data / both.data.sum()).astype(np.float32)


class _Field:
    """The potential of all rows of a map, with the kernel's transform of the last grid kept."""

    def __init__(self) -> None:
        self.side, self.cells, self.kernel = 0.0, 0, np.zeros(0)

    def __call__(self, at: np.ndarray, out: np.ndarray) -> None:
        """Fill `out` [3,n] with the potential at each row of `at` [2,n] and its slope."""
        from scipy import fft

        low, high = at.min(1), at.max(1)
        span = max(float((high - low).max()), 1e-30)
        wanted = span / CELL
        if FINEST <= wanted <= COARSEST:
            # grids grow by eighths, so that a kernel serves many epochs
            cells, side = fft.next_fast_len(int(8 * np.ceil(1.0 + wanted / 8)), real=True), CELL
        else:
            cells = FINEST if wanted < FINEST else COARSEST
            side = span / cells
        cells += 4  # a spline reaches over two cells on either side
        if (side, cells) != (self.side, self.cells):
            self.side, self.cells, self.kernel = side, cells, _kernel(side, cells)
        first = (low + high) / 2 - side * (cells - 1) / 2
        with _one:
            grid = _spread(at, first, side, cells).astype(self.kernel.dtype)
        m, workers = 2 * cells, numba.get_num_threads()
        wave = fft.rfft(grid, m, axis=1, workers=workers)
        wave = fft.fft(wave, m, axis=0, overwrite_x=True, workers=workers)
        wave *= self.kernel
        wave = fft.ifft(wave, axis=0, overwrite_x=True, workers=workers)[:cells]
        grid = fft.irfft(wave, m, axis=1, workers=workers)[:, :cells]
        with _one:
            _read(at, first, side, np.ascontiguousarray(grid, np.float64), out)


def _kernel(side: float, cells: int) -> np.ndarray:
    """Transform [2 cells, cells + 1] of 1 / (1 + distance^2) on a grid of twice the cells, such
    that splines spread and read with it pass through its values.
    """
    from scipy import fft

    m = 2 * cells
    away = side * np.minimum(np.arange(m), m - np.arange(m))
    found = fft.rfft2(1 / (1 + away[:, None] ** 2 + away**2)).real
    spline = (2 + np.cos(2 * np.pi * np.arange(m) / m)) / 3  # of a cubic B-spline's 1/6, 4/6, 1/6
    found /= spline[:, None] ** 2 * spline[: cells + 1] ** 2
    # small grids are those of young maps, whose slopes are small differences
    return found if cells < 2 * FINEST else found.astype(np.float32)


@numba.njit(error_model="numpy", cache=True)
def _spline(t: Any) -> Any:
    """Weights of the four grid lines around a place `t` in [0, 1) between the middle two."""
    u = 1 - t
    return (
        u * u * u / 6,
        2.0 / 3 - t * t + t * t * t / 2,
        2.0 / 3 - u * u + u * u * u / 2,
        t * t * t / 6,
    )


@numba.njit(error_model="numpy", cache=True)
def _slopes(t: Any) -> Any:
    """How the weights of `_spline` change with `t`."""
    u = 1 - t
    return -u * u / 2, 1.5 * t * t - 2 * t, 2 * u - 1.5 * u * u, t * t / 2


@numba.njit(error_model="numpy", cache=True)
def _spread(at: Any, first: Any, side: float, cells: int) -> Any:
    """Grid float64 [cells,cells] of rows `at` [2,n], each spread over 16 of its crossings."""
    grid = np.zeros((cells, cells))
    for i in range(at.shape[1]):
        x, y = (at[0, i] - first[0]) / side, (at[1, i] - first[1]) / side
        p, q = int(x), int(y)
        a, b = _spline(x - p), _spline(y - q)
        for r in range(4):
            for s in range(4):
                grid[p - 1 + r, q - 1 + s] += a[r] * b[s]
    return grid


@numba.njit(parallel=True, error_model="numpy", cache=True)
def _read(at: Any, first: Any, side: float, grid: Any, out: Any) -> None:
    """Value and slope of `grid` at rows `at`, into `out` [3,n]."""
    for i in numba.prange(at.shape[1]):
        x, y = (at[0, i] - first[0]) / side, (at[1, i] - first[1]) / side
        p, q = int(x), int(y)
        a, b, da, db = _spline(x - p), _spline(y - q), _slopes(x - p), _slopes(y - q)
        value, along, across = 0.0, 0.0, 0.0
        for r in range(4):
            line, slope = 0.0, 0.0
            for s in range(4):
                line += b[s] * grid[p - 1 + r, q - 1 + s]
                slope += db[s] * grid[p - 1 + r, q - 1 + s]
            value += a[r] * line
            along += da[r] * line
            across += a[r] * slope
        out[0, i], out[1, i], out[2, i] = value, along / side, across / side


@numba.njit(parallel=True, fastmath={"reassoc", "nsz"}, error_model="numpy", cache=True)
def _move(
    was: Any,
    at: Any,
    step: Any,
    gain: Any,
    push: Any,
    bounds: Any,
    tail: Any,
    weight: Any,
    share: float,
    exaggeration: float,
    momentum: float,
    rate: float,
) -> None:
    """Move each row of `at` [2,n], that `was` [2,n] in float32, by the pull of its neighbours and
    the push of all, with its momentum, its gain, and no further than 5.
    """
    for i in numba.prange(at.shape[1]):
        x, y = was[0, i], was[1, i]
        near, by = tail[bounds[i] : bounds[i + 1]], weight[bounds[i] : bounds[i + 1]]
        sx, sy = f4(0), f4(0)
        for k in range(near.shape[0]):
            u, v = x - was[0, near[k]], y - was[1, near[k]]
            f = by[k] / (f4(1) + u * u + v * v)
            sx += f * u
            sy += f * v
        # the push is minus half the potential's slope
        slope = (
            exaggeration * sx + 0.5 * share * push[1, i],
            exaggeration * sy + 0.5 * share * push[2, i],
        )
        for c in range(2):
            turned = (step[c, i] > 0) != (slope[c] > 0)
            gain[c, i] = gain[c, i] + 0.2 if turned else 0.8 * gain[c, i] + 0.01
            step[c, i] = momentum * step[c, i] - rate * gain[c, i] * slope[c]
        long = np.sqrt(step[0, i] ** 2 + step[1, i] ** 2)
        if long > 5.0:
            step[0, i] *= 5.0 / long
            step[1, i] *= 5.0 / long
        at[0, i] += step[0, i]
        at[1, i] += step[1, i]


@numba.njit(parallel=True, error_model="numpy", cache=True)
def _conditional(distance: Any, perplexity: float) -> Any:
    """Affinities float64 [n,k] of each row to its neighbours at `distance` [n,k], adding up to 1,
    by a Gaussian as wide as gives the perplexity.
    """
    n, k = distance.shape
    out = np.empty((n, k))
    target = np.log(perplexity)
    for i in numba.prange(n):
        square = distance[i] ** 2 - distance[i, 0] ** 2
        wide = square.mean()
        if wide <= 0:
            out[i] = 1.0 / k
            continue
        low, high, beta = 0.0, np.inf, 1.0 / wide
        for _ in range(200):
            total, mean = 0.0, 0.0
            for j in range(k):
                p = np.exp(-square[j] * beta)
                total += p
                mean += p * square[j]
            gap = np.log(total) + beta * mean / total - target
            if abs(gap) < 1e-8:
                break
            if gap > 0:
                low = beta
                beta = beta * 2 if high == np.inf else (beta + high) / 2
                if beta > 1e12 / wide:  # more copies than the perplexity
                    break
            else:
                high = beta
                beta = (beta + low) / 2
        total = 0.0
        for j in range(k):
            out[i, j] = np.exp(-square[j] * beta)
            total += out[i, j]
        out[i] /= total
    return out
