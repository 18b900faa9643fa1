"""The law of the ranks of m new scores among n calibration scores, exactly: what batch predictive
inference rests on.

With R_z the rank (1..n+1) of the z-th smallest of m new scores among n old ones, (R_1..R_m) is
uniform over non-decreasing tuples when all scores are exchangeable and differ (Lee, Tchetgen
Tchetgen, Dobriban, Batch predictive inference, 2024).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil, comb

import numpy as np


def share_of(share: float, n: int) -> int:
    """Return the smallest whole number that is at least `share` of `n`, `share` taken as the
    decimal it is written as: 0.55 of 100 is 55 (floats say 56).
    """
    return ceil(Fraction(str(share)) * n)


def plain_bound(scores: np.ndarray, share: float) -> float:
    """Split conformal's threshold for one new case: the ceil(share (n + 1))-th smallest of `scores`
    [n]; inf where that is none of them.
    """
    k = share_of(share, len(scores) + 1)
    return float(np.sort(scores)[k - 1]) if k <= len(scores) else float("inf")


def pmf_of_one(n: int, m: int, z: int) -> np.ndarray:
    """float64 [n+1]: P(R_z = k), k = 1..n+1: C(k+z-2, z-1) C(n+m-k-z+1, m-z) / C(n+m, m)."""
    total = comb(n + m, m)
    return np.array(
        [comb(k + z - 2, z - 1) * comb(n + m - k - z + 1, m - z) / total for k in range(1, n + 2)]
    )


def quantile_of_one(n: int, m: int, z: int, alpha: float) -> int:
    """Return the smallest k with P(R_z <= k) >= 1 - alpha; n + 1 means no finite bound."""
    cdf = np.cumsum(pmf_of_one(n, m, z))
    return int(np.searchsorted(cdf, 1 - alpha - 1e-12)) + 1


@lru_cache(maxsize=64)
def pmf_of_sum(n: int, m: int) -> np.ndarray:
    """float64 [m n + 1]: P(sum of R_i - 1 = s), s = 0..m n: coefficients of the Gaussian binomial
    (n+m choose m), which is the law of Mann-Whitney's U.

    Whole numbers throughout, so exact; O(m² n) additions.
    """
    count = np.zeros(m * n + 1, dtype=object)
    count[0] = 1
    for i in range(1, m + 1):
        if n + i < len(count):  # times (1 - q^(n+i))
            count[n + i :] = count[n + i :] - count[: len(count) - n - i]
        for start in range(i):  # over (1 - q^i)
            count[start::i] = np.cumsum(count[start::i])
    total = comb(n + m, m)
    return np.array([int(c) / total for c in count])


def quantile_of_sum(n: int, m: int, alpha: float) -> int:
    """Return the smallest q with P(sum of R_i <= q) >= 1 - alpha."""
    return int(np.searchsorted(np.cumsum(pmf_of_sum(n, m)), 1 - alpha - 1e-12)) + m


def largest_sum(scores: np.ndarray, m: int, q: int) -> float:
    """Return the largest sum of m of the sorted `scores` [n+1] (the last being the known upper
    bound) whose ranks (1..n+1, repeats allowed) sum to at most q.

    T[i][j] = max over r of T[i-1][j-r] + S_(r); O(m q n), vectorised over j.
    """
    best = np.full(q + 1, -np.inf)
    best[0] = 0.0
    for i in range(1, m + 1):
        new = np.full(q + 1, -np.inf)
        for r in range(1, min(len(scores), q) + 1):
            np.maximum(new[r:], best[: q + 1 - r] + scores[r - 1], out=new[r:])
        new[:i] = -np.inf
        best = new
    return float(best.max())


def mean_bound(scores: np.ndarray, m: int, alpha: float, highest: float) -> float:
    """B with P(mean of m new scores <= B) >= 1 - alpha; `highest` bounds any score from above."""
    s = np.append(np.sort(scores), highest)
    return min(largest_sum(s, m, quantile_of_sum(len(scores), m, alpha)) / m, highest)


def quantile_bound(scores: np.ndarray, m: int, z: int, alpha: float) -> float:
    """B with P(z-th smallest of m new scores <= B) >= 1 - alpha; inf where the calibration scores
    are too few for any.
    """
    k = quantile_of_one(len(scores), m, z, alpha)
    return float(np.sort(scores)[k - 1]) if k <= len(scores) else float("inf")


def stair_bound(
    scores: np.ndarray,
    m: int,
    alpha: float,
    highest: float,
    levels: tuple[float, ...] = (0.5, 0.8, 0.95),
) -> float:
    """As `mean_bound`, from how many new scores may lie above a few fixed ranks of the calibration
    scores: far tighter where most scores are near zero and few are large. P(R_z <= k) gives, for
    each level, the most scores above S_(k) with probability 1 - alpha / levels; steps are then
    filled from the top. Levels are fixed beforehand, so the guarantee stands.
    """
    s, n = np.sort(scores), len(scores)
    bound, above_before, total = highest, 0, 0.0
    for level in sorted(levels, reverse=True):
        k = max(1, share_of(level, n))
        above = next(
            (z for z in range(m + 1) if _at_most_above(n, m, k, z) >= 1 - alpha / len(levels)), m
        )
        above = max(above, above_before)
        total += (above - above_before) * bound
        bound, above_before = float(s[k - 1]), above
    return float(min((total + (m - above_before) * bound) / m, highest))


def _at_most_above(n: int, m: int, k: int, z: int) -> float:
    """P(at most z of m new scores lie above the k-th of n calibration scores) = P(R_{m-z} <= k)."""
    return 1.0 if z >= m else float(pmf_of_one(n, m, m - z)[:k].sum())
