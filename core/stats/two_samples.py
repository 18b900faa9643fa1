"""Two samples compared by ranks or by counts, and q-values of many such tests.

The figures of SciPy's `mannwhitneyu`, `chi2_contingency` and `false_discovery_control`, without
`scipy.stats`, which takes over a second to import: somebody waits for the page that asks.
"""

from __future__ import annotations

import numpy as np

EXACT = 8  # cases of a side up to which the exact distribution is asked for, as SciPy does


def rank_sum(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return Mann and Whitney's U of `a` and its two-sided p.

    `a` and `b` are finite, each of 1 or more values. The normal approximation with corrections for
    ties and continuity; exact where a side has at most 8 values and none is tied. Cost: one sort of
    each.
    """
    from scipy.special import ndtr

    a, b = np.sort(a), np.sort(b)
    n, m = len(a), len(b)
    below, not_above = (np.searchsorted(b, a, side).sum() for side in ("left", "right"))
    u = (float(below) + float(not_above)) / 2
    both = np.sort(np.concatenate([a, b]), kind="stable")  # two runs are merged
    starts = np.flatnonzero(np.concatenate([[True], both[1:] != both[:-1]]))
    tied = np.diff(np.append(starts, n + m)).astype(np.float64)
    if min(n, m) <= EXACT and tied.max() == 1:
        from scipy.stats import mannwhitneyu

        return u, float(mannwhitneyu(a, b).pvalue)
    total = float(n + m)
    spread = np.sqrt(n * m / 12 * (total + 1 - (tied**3 - tied).sum() / (total * (total - 1))))
    if spread == 0:
        return u, 1.0
    z = (max(u, n * m - u) - n * m / 2 - 0.5) / spread
    return u, float(min(1.0, 2 * ndtr(-z)))


def chi_squared(table: np.ndarray) -> tuple[float, float]:
    """Return Pearson's chi-squared of a table of counts `[r, c]` and its p, uncorrected; every row
    and column has a count.
    """
    from scipy.special import chdtrc

    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return statistic, float(chdtrc((table.shape[0] - 1) * (table.shape[1] - 1), statistic))


def false_discovery(p: np.ndarray | list[float]) -> np.ndarray:
    """float64 q-values of the p-values `p [n]`, Benjamini and Hochberg (1995)."""
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p)[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(scaled), 1)
    return q
