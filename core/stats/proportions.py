"""Shares of cases with their intervals: Wilson's, and sensitivity and specificity over patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.stats.bootstrap import Z95, mean_interval, score_bounds


@dataclass(frozen=True)
class Rate:
    """A share of `n` cases with its 95 % interval; None in `value` where nothing was counted, in
    `low` and `high` where `note` says why.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""


def wilson(k: int, n: int) -> Rate:
    """Wilson's score interval of `k` successes in `n` independent cases (Wilson 1927)."""
    if n == 0:
        return Rate(None, None, None, 0)
    return Rate(k / n, *score_bounds(k / n, n, Z95), n)


def share(hit: np.ndarray, groups: np.ndarray | None = None) -> Rate:
    """Return the share of true values in bool `hit` [n], its interval over the patients `groups`
    [n] where there are some.
    """
    if not len(hit):
        return Rate(None, None, None, 0)
    found = mean_interval(np.asarray(hit, bool), groups)
    return Rate(float(np.mean(hit)), found.low, found.high, len(hit), found.note)


def rates(
    alarm: np.ndarray, truth: np.ndarray, groups: np.ndarray | None = None
) -> dict[str, Rate]:
    """Sensitivity and specificity of bool alarms [n] against bool truth [n], intervals over the
    patients `groups` [n] where there are some.
    """
    of = (
        {True: None, False: None}
        if groups is None
        else {side: groups[truth == side] for side in (True, False)}
    )
    return {
        "sensitivity": share(alarm[truth], of[True]),
        "specificity": share(~alarm[~truth], of[False]),
    }
