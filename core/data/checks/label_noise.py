"""Labels that most cases like theirs contradict."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.data.dataset import Dataset

SWAPPED = 0.03  # share of labels swapped in the trial
CLASSES = 200  # more classes than this get no votes: a measurement or a name rather than a class
FEWEST = 50  # labelled cases needed


@dataclass(frozen=True)
class LabelDoubts:
    """Rows whose label most cases like them contradict, the strongest first: `rows`, the class code
    `said` by their neighbours, and its `share`.

    A trial on the same data, in which `swapped` labels are exchanged on purpose, tells how far to
    trust them: `found` is the share of those that the same rule names. The share of named rows
    whose label is truly wrong lies between `low` (none of the rows named without the trial is
    wrong) and `high` (all of them are). `why` says why none was sought.
    """

    rows: list[int] = field(default_factory=list)
    said: list[int] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    swapped: int = 0
    found: float = 0.0
    low: float = 0.0
    high: float = 0.0
    why: str = ""


def find_label_noise(data: Dataset, near: np.ndarray, seed: int = 0) -> LabelDoubts:
    """Labels that most alike cases contradict, by confident learning on the votes of the `near`
    [n,k] neighbours (a row never votes on itself).

    Cost: two passes over the votes, [n, classes] float32 at a time.
    """
    y, many = data.labels.copy(), len(data.classes)
    known = np.flatnonzero(y >= 0)
    if many < 2 or len(known) < FEWEST or len(np.unique(y[known])) < 2:
        return LabelDoubts(
            why=(
                "there are no labels of two classes"
                if len(known) >= FEWEST
                else "there are too few labels"
            )
        )
    if many > CLASSES:
        return LabelDoubts(why=f"there are {many:,} different labels")
    at, said, share = _find_contradicted(y, near, many)
    rng, there = np.random.default_rng(seed), np.unique(y[known])
    size = max(10, int(SWAPPED * len(known)))
    hits = names = new_hits = news = 0
    tries = 5 if len(y) <= 100_000 else 1
    for _ in range(tries):
        swapped = rng.choice(known, size, replace=False)
        mixed = y.copy()
        mixed[swapped] = there[
            (np.searchsorted(there, y[swapped]) + rng.integers(1, len(there), size)) % len(there)
        ]
        named, _, _ = _find_contradicted(mixed, near, many)
        new = np.setdiff1d(named, at)
        hits, names = hits + int(np.isin(named, swapped).sum()), names + len(named)
        new_hits, news = new_hits + int(np.isin(new, swapped).sum()), news + len(new)
    low, high = hits / max(1, names), new_hits / max(1, news)
    return LabelDoubts(
        data.rows[at].tolist(),
        said.tolist(),
        np.round(share, 3).tolist(),
        size,
        hits / (tries * size),
        min(low, high),
        max(low, high),
    )


def _find_contradicted(
    y: np.ndarray, near: np.ndarray, many: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, the class said instead, and the share of votes for it, the strongest first.

    A row is named when another class has at least the share of votes that its own members have on
    average, its own class has not, and the other has at least three votes for each of its own.
    """
    votes = np.zeros((len(y), many), np.float32)
    for j in range(near.shape[1]):
        theirs = np.where(near[:, j] >= 0, y[near[:, j]], -1)
        ok = np.flatnonzero(theirs >= 0)
        votes[ok, theirs[ok]] += 1
    votes /= np.maximum(votes.sum(1, keepdims=True), 1)
    known = np.flatnonzero(y >= 0)
    own = votes[known, y[known]]
    usual = np.array(
        [own[y[known] == j].mean() if (y[known] == j).any() else 1.1 for j in range(many)]
    )
    other = votes[known].copy()
    other[np.arange(len(known)), y[known]] = -1
    other[:, usual > 1] = -1
    best = other.argmax(1)
    most = other[np.arange(len(known)), best]
    named = (most >= usual[best]) & (own < usual[y[known]]) & (most >= 3 * own) & (most > 0.5)
    order = np.argsort(-(most - own)[named], kind="stable")
    return known[named][order], best[named][order], most[named][order]
