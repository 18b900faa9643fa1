"""The layout of a map: UMAP's attraction along the neighbours' graph and repulsion from a sample,
laid out with all threads.

The objective is that of McInnes, Healy and Melville, UMAP, arXiv 1802.03426. What differs from
umap-learn is how it is descended: every row owns its place. In an epoch each row looks at where all
rows were, and moves by the weighted mean of its neighbours (attraction solved for implicitly, so
that large steps are stable), by the push of a run of rows drawn at random, and by its momentum
(Nesterov). So the result does not depend on the number of threads or their order, and the push is a
plain loop that the processor takes 16 rows at a time.

Traps: numba keeps what it compiled in `__pycache__` beside this file; the first call on a machine
takes some seconds. Sums may be taken in any order ("reassoc"), since that is settled when a
function is compiled, but products must not be fused with them ("contract"): that is settled
differently in the process that compiled and in those that read what it kept, and then a map differs
from the first one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

NEAR = 14  # neighbours of the graph: 15 with the row itself, as umap-learn counts
# 1 / (1 + A d^2B) fits UMAP's curve at its defaults, min_dist 0.1 and spread 1
A, B = 1.5769434, 0.8950609
# rows that push a row in an epoch, standing for 5 a unit of weight in its graph; of a small map
# more, since few that push make one of latents without groups less faithful
PUSHED, PUSHED_SMALL, SMALL = 32, 128, 10_000
RATE = 5.0
MOMENTUM = 0.8
SETTLE = 30  # epochs of rows placed on a map that stays
_one = threading.Lock()  # numba's simplest threading layer dies when two threads call it at once

f4, i4, u8 = np.float32, np.int32, np.uint64


@numba.njit(inline="always")
def _power(x: Any, b: Any) -> Any:
    """`x ** b` of a float32 x > 0 within 1 %, by polynomials of its exponent and mantissa:
    arithmetic that is taken 16 at a time, unlike pow.
    """
    bits = f4(x).view(i4)
    m = i4((bits & i4(0x007FFFFF)) | i4(0x3F800000)).view(f4)
    log = f4((bits >> i4(23)) - i4(127)) + (
        (((f4(-0.0825615) * m + f4(0.6452952)) * m - f4(2.1203722)) * m + f4(4.0700908)) * m
        - f4(2.5128557)
    )
    t = max(log * b, f4(-126.0))
    whole = np.floor(t)
    r = t - whole
    return i4((i4(whole) + i4(127)) << i4(23)).view(f4) * (
        ((f4(0.0790199) * r + f4(0.2241276)) * r + f4(0.6968368)) * r + f4(0.9999890)
    )


@numba.njit(parallel=True, fastmath={"reassoc", "nsz"}, error_model="numpy", cache=True)
def _epoch(
    at: Any,
    last: Any,
    after: Any,
    base: Any,
    m: int,
    start: Any,
    tail: Any,
    weight: Any,
    total: Any,
    key: Any,
    epoch: int,
    alpha: Any,
    seed: int,
    pushed: int,
) -> None:
    """Move rows `at` [3,n] among `base` [3,m + pushed] (its beginning repeated at its end) to
    `after`; `last` holds where they were without momentum, `key` [n] what each draws by.
    """
    a, b, one = f4(A), f4(B), f4(1)
    for i in numba.prange(len(start) - 1):
        x, y, z = at[0, i], at[1, i], at[2, i]
        near, by = tail[start[i] : start[i + 1]], weight[start[i] : start[i + 1]]
        sx, sy, sz, s = f4(0), f4(0), f4(0), f4(0)
        for k in range(near.shape[0]):
            j = near[k]
            u, v, w = base[0, j], base[1, j], base[2, j]
            d = (x - u) * (x - u) + (y - v) * (y - v) + (z - w) * (z - w) + f4(1e-6)
            f = _power(d, b)
            c = by[k] * f / (d * (a * f + one))
            sx += c * u
            sy += c * v
            sz += c * w
            s += c
        h = (
            u8(seed) * u8(0x9E3779B97F4A7C15)
            + u8(epoch) * u8(0xD1B54A32D192ED03)
            + key[i] * u8(0x8CB92BA72F3D8DD7)
        )
        h = (h ^ (h >> u8(31))) * u8(0x7FB5D329728EA185)
        h = (h ^ (h >> u8(27))) * u8(0x81DADEF4BC2DD44D)
        first = np.int64(((h >> u8(32)) * u8(m)) >> u8(32))
        us = base[0, first : first + pushed]
        vs = base[1, first : first + pushed]
        ws = base[2, first : first + pushed]
        px, py, pz = f4(0), f4(0), f4(0)
        for k in range(pushed):
            p, q, r = x - us[k], y - vs[k], z - ws[k]
            d = p * p + q * q + r * r + f4(1e-12)
            # no push is longer than 4, as in umap-learn
            g = min(f4(2) * b / ((f4(1e-3) + d) * (a * _power(d, b) + one)), f4(4) / np.sqrt(d))
            px += g * p
            py += g * q
            pz += g * r
        push, pull = alpha * f4(RATE / pushed) * total[i], alpha * f4(4) * a * b
        x = (x + pull * sx + push * px) / (one + pull * s)
        y = (y + pull * sy + push * py) / (one + pull * s)
        z = (z + pull * sz + push * pz) / (one + pull * s)
        after[0, i] = x + f4(MOMENTUM) * (x - last[0, i])
        after[1, i] = y + f4(MOMENTUM) * (y - last[1, i])
        after[2, i] = z + f4(MOMENTUM) * (z - last[2, i])
        last[0, i], last[1, i], last[2, i] = x, y, z


@numba.njit(parallel=True, error_model="numpy", cache=True)
def _weights(distance: Any) -> Any:
    """UMAP's weights float32 [n,k] of neighbours at `distance` [n,k], near first: 1 for the
    nearest, falling so that a row's add up to log2(k + 1).
    """
    n, k = distance.shape
    out = np.empty((n, k), np.float32)
    target = np.log2(k + 1.0)
    for i in numba.prange(n):
        near = 0.0
        for j in range(k):
            if distance[i, j] > 0:
                near = distance[i, j]
                break
        low, high, scale = 0.0, np.inf, 1.0
        for _ in range(64):
            total = 0.0
            for j in range(k):
                gap = distance[i, j] - near
                total += np.exp(-gap / scale) if gap > 0 else 1.0
            if abs(total - target) < 1e-5:
                break
            if total > target:
                high = scale
                scale = (low + high) / 2
            else:
                low = scale
                scale = scale * 2 if high == np.inf else (low + high) / 2
        scale = max(scale, 1e-3 * distance[i].mean())
        for j in range(k):
            gap = distance[i, j] - near
            out[i, j] = np.exp(-gap / scale) if gap > 0 and scale > 0 else 1.0
    return out


def weights(distance: np.ndarray) -> np.ndarray:
    """UMAP's weights float32 [n,k] in (0, 1] of the neighbours at `distance` [n,k], near first."""
    with _one:
        return _weights(np.ascontiguousarray(distance, np.float32))


def umap(
    start: np.ndarray,
    near: tuple[np.ndarray, np.ndarray],
    seed: int,
    report: Callable[[float], None] = lambda fraction: None,
) -> np.ndarray:
    """Places float32 [n,dims] after descending from `start` [n,2 or 3]; `near` = the neighbours'
    (positions, distances) [n,k]. O(n) an epoch.
    """
    from scipy import sparse

    n, k = len(start), min(NEAR, near[0].shape[1])
    by = weights(near[1][:, :k])
    # runs of rows that push must be random ones: all is done in a shuffled order
    order = np.random.default_rng(seed).permutation(n)
    back = np.empty(n, np.int32)
    back[order] = np.arange(n)
    one = sparse.csr_matrix(
        (by[order].ravel(), back[near[0][order, :k]].ravel(), np.arange(0, n * k + 1, k)), (n, n)
    )
    both = one + one.T - one.multiply(one.T)
    both.sum_duplicates()
    both.sort_indices()
    epochs = 500 if n <= SMALL else 200
    return _descend(
        start[order], None, both.indptr, both.indices, both.data, epochs, 1.0, seed, report
    )[back]


def settle(
    start: np.ndarray, base: np.ndarray, index: np.ndarray, weight: np.ndarray, seed: int
) -> np.ndarray:
    """Places float32 [n,dims] of new rows, from `start` [n,dims], on a map whose rows `base`
    [m,dims] stay. Each new row looks at its neighbours `index` [n,k] in `base` by `weight` [n,k]
    only, not at other new rows.
    """
    n, k = index.shape
    order = np.random.default_rng(seed).permutation(len(base))
    back = np.empty(len(base), np.int32)
    back[order] = np.arange(len(base))
    return _descend(
        start,
        base[order],
        np.arange(0, n * k + 1, k),
        back[index].ravel(),
        weight.ravel(),
        SETTLE,
        0.25,
        seed,
        lambda fraction: None,
    )


def _descend(
    start: np.ndarray,
    base: np.ndarray | None,
    bounds: np.ndarray,
    tail: np.ndarray,
    weight: np.ndarray,
    epochs: int,
    alpha: float,
    seed: int,
    report: Callable[[float], None],
) -> np.ndarray:
    """`epochs` of moving `start` [n,dims] among `base`, or among themselves where that is None."""
    total, n = np.add.reduceat(weight, bounds[:-1]).astype(np.float32), len(start)
    # of a row alone, whoever is beside it
    key = (
        np.arange(n, dtype=np.uint64)
        if base is None
        else np.ascontiguousarray(start[:, :2], np.float32).view(np.uint64).ravel()
    )
    m = len(start if base is None else base)
    pushed = PUSHED_SMALL if m <= SMALL else PUSHED
    at = _padded(start, pushed)
    last, after, fixed = at.copy(), at.copy(), None if base is None else _padded(base, pushed)
    for epoch in range(epochs):
        with _one:
            _epoch(
                at,
                last,
                after,
                at if fixed is None else fixed,
                m,
                bounds,
                tail,
                weight,
                total,
                key,
                epoch,
                np.float32(alpha * (1 - epoch / epochs)),
                seed,
                pushed,
            )
        after[:, n:] = after[:, np.arange(pushed) % n]
        at, after = after, at
        if epoch % 10 == 0:
            report(epoch / epochs)
    return np.ascontiguousarray(last[: start.shape[1], :n].T)


def _padded(places: np.ndarray, pushed: int) -> np.ndarray:
    """float32 [3,n + pushed]: one array a coordinate (a third of zeros for two dimensions), the
    beginning repeated at the end.
    """
    out = np.zeros((3, len(places) + pushed), np.float32)
    out[: places.shape[1], : len(places)] = places.T
    out[:, len(places) :] = out[:, np.arange(pushed) % len(places)]
    return out
