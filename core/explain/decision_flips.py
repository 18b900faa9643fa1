"""Which cases two runs, or two thresholds of one, decide differently, from what to what, and
whether one of them is right more often.

Cases are matched by their row ids, classes by their names, so the order of either side does not
matter. Whether one side is right more often: McNemar's exact test (binomial, two-sided) of the
cases that one side alone has right (McNemar 1947), each counted for itself; and the difference of
the shares that are right, paired, its 95 % interval over patients (`core.stats.bootstrap`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.artifacts import AnomalyMaps, Predictions
from core.artifacts.tables import Interval
from core.errors import UserError
from core.stats.bootstrap import mean_interval

ALARM = ("not flagged", "flagged")


@dataclass(frozen=True)
class Decisions:
    """What one side decided: `word` object [n] a class name a case, `rows` int64 [n] their ids,
    each once; `sure` float [n], how sure it was: a probability, or how far a score is from its
    threshold.
    """

    rows: np.ndarray
    word: np.ndarray
    sure: np.ndarray


@dataclass(frozen=True)
class Flips:
    """The cases both sides decided, in the order of their ids: `rows` int64 [n], `before` and
    `after` object [n], `sure` float [n,2]; `truth` object [n], None where it is not known.
    """

    rows: np.ndarray
    before: np.ndarray
    after: np.ndarray
    sure: np.ndarray
    truth: np.ndarray

    @property
    def flipped(self) -> np.ndarray:
        """Bool [n]: decided differently."""
        return np.asarray(self.before != self.after, bool)

    def pairs(self) -> list[tuple[str, str, int, int | None, int | None]]:
        """(from, to, how many cases; of those of known truth how many the first and how many the
        second side has right, None where none is known), the most frequent first.
        """
        counted: dict[tuple[str, str], list[int]] = {}
        known = np.array([t is not None for t in self.truth], bool)
        for i in np.flatnonzero(self.flipped):
            one = counted.setdefault((self.before[i], self.after[i]), [0, 0, 0, 0])
            one[0] += 1
            one[1] += self.before[i] == self.truth[i]
            one[2] += self.after[i] == self.truth[i]
            one[3] += bool(known[i])
        found = [
            (a, b, n, int(x) if k else None, int(y) if k else None)
            for (a, b), (n, x, y, k) in counted.items()
        ]
        return sorted(found, key=lambda f: (-f[2], f[0], f[1]))


@dataclass(frozen=True)
class Accuracies:
    """Of `n` cases of known truth: the share each side has right, their difference (second less
    first) with its interval, the cases `first_only` and `second_only` has right, and the p-value of
    McNemar's exact test.
    """

    n: int
    first: float
    second: float
    difference: float
    interval: Interval
    first_only: int
    second_only: int
    p: float


def decide_by_class(found: Predictions) -> Decisions:
    """Return the likeliest class of each whole case."""
    assert found.prob is not None
    prob = np.asarray(found.prob)
    names = np.array(found.classes, dtype=object)
    return Decisions(np.asarray(found.rows), names[prob.argmax(1)], prob.max(1).astype(float))


def decide_by_threshold(found: AnomalyMaps, at: float) -> Decisions:
    """Return which cases are flagged: those with a score above the threshold `at`."""
    score = np.asarray(found.score, dtype=float)
    word = np.array(ALARM, dtype=object)[(score > at).astype(int)]
    return Decisions(np.asarray(found.rows), word, np.abs(score - at))


def find_flips(
    first: Decisions, second: Decisions, rows: np.ndarray, truth: np.ndarray | None = None
) -> Flips:
    """Set both sides beside each other over the cases among `rows` (int64 [m]) that both decided;
    `truth` object [m], aligned to `rows`: the right class of each, None where it is not known.
    UserError where no case was decided by both.
    """
    shared = np.intersect1d(np.intersect1d(first.rows, second.rows), rows)
    if not len(shared):
        raise UserError("The two decided no case in common, so none can have flipped.")
    a, b, t = (_places(of, shared) for of in (first.rows, second.rows, np.asarray(rows)))
    known = np.full(len(shared), None, dtype=object) if truth is None else truth[t]
    sure = np.stack([first.sure[a], second.sure[b]], 1)
    return Flips(shared, first.word[a], second.word[b], sure, known)


def compare_accuracy(found: Flips, groups: np.ndarray | None = None) -> Accuracies | None:
    """How often each side is right, over the cases of known truth; None where there are none.
    `groups` object [n], a patient of each of `found.rows`.
    """
    from scipy.stats import binomtest

    known = np.array([t is not None for t in found.truth], bool)
    if not known.any():
        return None
    a = np.asarray(found.before[known] == found.truth[known], bool)
    b = np.asarray(found.after[known] == found.truth[known], bool)
    gain = b.astype(float) - a
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = binomtest(only_b, only_a + only_b).pvalue if only_a + only_b else 1.0
    return Accuracies(
        int(known.sum()),
        float(a.mean()),
        float(b.mean()),
        float(gain.mean()),
        mean_interval(gain, None if groups is None else groups[known], (-1.0, 1.0)),
        only_a,
        only_b,
        float(p),
    )


def _places(rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(rows, kind="stable")
    return order[np.searchsorted(rows[order], wanted)]
