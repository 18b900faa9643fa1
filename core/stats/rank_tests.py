"""Comparing contestants over tasks by rank: Friedman, the Nemenyi critical difference, Wilcoxon
against one of them with Holm's correction.
"""

from __future__ import annotations

import numpy as np


def complete_tasks(score: np.ndarray) -> np.ndarray:
    """int64 positions of the tasks (columns of `score [m,t]`) on which every contestant was run."""
    return np.flatnonzero(np.isfinite(score).all(0))


def rank_contestants(score: np.ndarray, higher_is_better: bool = True) -> np.ndarray:
    """float64 [m,t]: the rank of each contestant on each task, 1 = best, ties shared."""
    from scipy.stats import rankdata

    return rankdata(-score if higher_is_better else score, axis=0)


def friedman_test(score: np.ndarray) -> float | None:
    """`p` that all contestants are alike, over the complete tasks; None below three contestants or
    three tasks, where the test says nothing.
    """
    from scipy.stats import friedmanchisquare

    part = score[:, complete_tasks(score)]
    if min(part.shape) < 3:
        return None
    if (part == part[:1]).all():
        return 1.0
    return float(friedmanchisquare(*part).pvalue)


def critical_difference(contestants: int, tasks: int, alpha: float = 0.05) -> float:
    """How far two mean ranks must lie apart to differ at level `alpha` (Nemenyi)."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - alpha, contestants, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(contestants * (contestants + 1) / (6 * tasks)))


def find_groups(mean_rank: np.ndarray, reach: float) -> list[tuple[float, float]]:
    """(least, largest mean rank) of each longest run of contestants that lie within `reach` of each
    other, runs of one left out.
    """
    order = np.sort(mean_rank)
    found: list[tuple[float, float]] = []
    for i, low in enumerate(order):
        last = int(np.flatnonzero(order <= low + reach)[-1])
        if last > i and (not found or order[last] > found[-1][1]):
            found.append((float(low), float(order[last])))
    return found


def compare_to_baseline(score: np.ndarray, base: int) -> list[float | None]:
    """Wilcoxon signed-rank p of each contestant against contestant `base`, over the tasks both ran,
    corrected by Holm; None for `base` itself and below five tasks, where no p can be small.
    """
    from scipy.stats import wilcoxon

    p: dict[int, float] = {}
    for i in range(len(score)):
        gap = (score[i] - score[base])[np.isfinite(score[i]) & np.isfinite(score[base])]
        if i != base and len(gap) >= 5:
            p[i] = float(wilcoxon(gap).pvalue) if gap.any() else 1.0
    found: list[float | None] = [None] * len(score)
    worst = 0.0
    for place, i in enumerate(sorted(p, key=lambda i: p[i])):
        worst = max(worst, min(1.0, p[i] * (len(p) - place)))
        found[i] = worst
    return found
