"""What nearest neighbours tell: near copies over the split, labels that most alike cases
contradict, cases far from all others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.data.checks.scan import blocks, unit
from core.data.dataset import Dataset
from core.neighbours import nearest, others

NEAR = 0.995  # correlation from which two samples count as nearly the same
# share of common words (of genomes: of stretches of eight letters) from which two texts do
WORDS = 0.9
K = 15  # neighbours that vote on a label; the tenth tells how far off a case is
SWAPPED = 0.03  # share of labels swapped in the trial
CLASSES = 200  # more classes than this get no votes: a measurement or a name rather than a class
FEWEST = 50


@dataclass(frozen=True)
class Doubts:
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


def near_copies(
    data: Dataset, x: np.ndarray, is_unit: bool, copies: list[list[int]]
) -> list[list[int]]:
    """Pairs [held-out row, training row] that are nearly the same and no exact copies: neighbours
    of vectors `x`, confirmed on the samples.

    Tables are left out: rounded measurements of two patients may well agree. Cost: a search of the
    held-out rows among the training rows.
    """
    train = np.flatnonzero(data.splits == "train")
    other = np.flatnonzero(data.splits != "train")
    if (
        data.modality == "table"
        or not is_unit
        or not len(train)
        or not len(other)
        or x.shape[1] < 2
    ):
        return []
    if data.modality in ("image", "volume") and min(data.shape[1:]) < 16:
        return []
    at, square = nearest(x[train], x[other], 5)
    close = np.argwhere((square < (0.1 if data.samples is None else 4 * (1 - NEAR))) & (at >= 0))
    same = {row: i for i, rows in enumerate(copies) for row in rows}
    found: dict[int, list[int]] = {}
    pairs = [(int(other[i]), int(train[at[i, j]])) for i, j in close]
    for i in range(0, len(pairs), 256):
        part = pairs[i : i + 256]
        like = _similarity(data, np.array([a for a, _ in part]), np.array([b for _, b in part]))
        for (a, b), ok in zip(part, like > (WORDS if data.samples is None else NEAR)):
            row, theirs = int(data.rows[a]), int(data.rows[b])
            if ok and row not in found and same.get(row, -1) != same.get(theirs, -2):
                found[row] = [row, theirs]
    return list(found.values())


def _similarity(data: Dataset, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How alike samples at positions `a` and `b` are: correlation of thumbnails (images) or of all
    values; of texts, the share of common words.
    """
    if data.samples is None:
        words = [set(str(t).lower().split()) for t in data.take(np.concatenate([a, b])).texts]
        size = 8 if data.modality == "sequence" else 0
        if size:
            texts = [str(t) for t in data.take(np.concatenate([a, b])).texts]
            words = [{t[i : i + size] for i in range(max(1, len(t) - size + 1))} for t in texts]
        return np.array(
            [
                len(p & q) / max(1, len(p | q)) if len(p) > 3 else 0.0
                for p, q in zip(words[: len(a)], words[len(a) :])
            ]
        )
    left, right = data.raw(a), data.raw(b)
    make = (
        blocks
        if data.modality == "image"
        else lambda raw: np.nan_to_num(raw.reshape(len(raw), -1).astype(np.float32))
    )
    return (unit(make(left)) * unit(make(right))).sum(1)


def around(x: np.ndarray, k: int = K) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest other rows of each row: positions int64 [n,k] and distances float32
    [n,k].
    """
    return others(*nearest(x, x, min(k + 1, len(x))))


def doubtful_labels(data: Dataset, near: np.ndarray, seed: int = 0) -> Doubts:
    """Labels that most alike cases contradict, by confident learning on the votes of the `near`
    [n,k] neighbours (a row never votes on itself).

    Cost: two passes over the votes, [n, classes] float32 at a time.
    """
    y, many = data.labels.copy(), len(data.classes)
    known = np.flatnonzero(y >= 0)
    if many < 2 or len(known) < FEWEST or len(np.unique(y[known])) < 2:
        return Doubts(
            why=(
                "there are no labels of two classes"
                if len(known) >= FEWEST
                else "there are too few labels"
            )
        )
    if many > CLASSES:
        return Doubts(why=f"there are {many:,} different labels")
    at, said, share = _contradicted(y, near, many)
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
        named, _, _ = _contradicted(mixed, near, many)
        new = np.setdiff1d(named, at)
        hits, names = hits + int(np.isin(named, swapped).sum()), names + len(named)
        new_hits, news = new_hits + int(np.isin(new, swapped).sum()), news + len(new)
    low, high = hits / max(1, names), new_hits / max(1, news)
    return Doubts(
        data.rows[at].tolist(),
        said.tolist(),
        np.round(share, 3).tolist(),
        size,
        hits / (tries * size),
        min(low, high),
        max(low, high),
    )


def _contradicted(
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


def far_off(
    data: Dataset, distance: np.ndarray, share: float = 0.01
) -> tuple[list[int], list[float]]:
    """Rows that lie far from all others, the farthest first, and how many times the usual distance
    to the tenth neighbour they have.

    Far = beyond 6 robust standard deviations of the logarithm of that distance, and among the
    `share` farthest.
    """
    if len(data) < FEWEST:
        return [], []
    tenth = np.maximum(distance[:, min(9, distance.shape[1] - 1)].astype(np.float64), 1e-9)
    size = np.log(tenth)
    middle = float(np.median(size))
    spread = max(1.4826 * float(np.median(np.abs(size - middle))), 0.02)
    order = np.argsort(-size, kind="stable")[: max(1, int(share * len(data)))]
    far = order[size[order] > middle + 6 * spread]
    return data.rows[far].tolist(), np.round(np.exp(size[far] - middle), 2).tolist()
