"""How well the name of a sparse feature foretells where it is strong, on cases it was not named by.

A feature is named by the class that its strongest training cases lean to. The name is scored by the
AUROC with which "the case is of that class" tells strong from weak activation on held-out cases,
with its interval over patients, against the same with the classes of the cases shuffled: what a
name without any meaning reaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.stats.auroc import auroc_of_ranks
from core.stats.bootstrap import interval

if TYPE_CHECKING:
    from core.artifacts import Embedding
    from core.data.dataset import Dataset

SHUFFLES = 200
FEWEST = 5  # held-out cases of the class, and of others


@dataclass(frozen=True)
class NameScore:
    """One end of a feature: `sign` 1 or -1, the class it is named by, `auroc` with its interval on
    `n` held-out cases, `chance`: what 97.5 % of shuffled names stay below. `holds`: the interval
    lies above 0.5 and the figure above chance.
    """

    sign: int
    name: str
    auroc: float
    low: float | None
    high: float | None
    n: int
    chance: float

    @property
    def holds(self) -> bool:
        """Return whether the name foretells the feature."""
        return self.low is not None and self.low > 0.5 and self.auroc > self.chance


def score_names(codes: Embedding, data: Dataset, feature: int) -> list[NameScore]:
    """Return the score of each end of a feature that is named by a class, + first; empty where none
    is, or too few held-out cases are known.
    """
    from scipy.stats import rankdata

    named = _named(codes.axes[feature] if codes.axes else "", data.classes)
    held = data.of(np.asarray(codes.rows)[np.isin(codes.rows, data.rows)])
    held = held.take(np.flatnonzero((held.splits != "train") & (held.labels >= 0)))
    if not named or not len(held):
        return []
    value = np.asarray(codes.z[:, feature], dtype=float)[codes.at(held.rows)]
    rng, found = np.random.default_rng(0), []
    for sign, name in named.items():
        yes, x = held.labels == data.classes.index(name), sign * value
        if min(yes.sum(), (~yes).sum()) < FEWEST:
            continue

        def auroc(i: np.ndarray, yes: np.ndarray = yes, x: np.ndarray = x) -> float:
            mixed = yes[i].any() and not yes[i].all()
            return auroc_of_ranks(yes[i], rankdata(x[i])) if mixed else float("nan")

        bounds = interval(auroc, len(x), held.groups, (0, 1), yes)
        rank = rankdata(x)
        shuffled = [auroc_of_ranks(rng.permutation(yes), rank) for _ in range(SHUFFLES)]
        found.append(
            NameScore(
                sign,
                name,
                auroc(np.arange(len(x))),
                bounds.low,
                bounds.high,
                len(x),
                float(np.quantile(shuffled, 0.975)),
            )
        )
    return found


def _named(title: str, classes: list[str]) -> dict[int, str]:
    """Return the class that each end is named by: "feature 3 (+ a, − b)" -> {1: "a", -1: "b"}."""
    found = {}
    for sign, mark in ((1, "+ "), (-1, "− ")):
        _, _, after = title.partition(mark)
        fits = [c for c in classes if after.startswith((f"{c},", f"{c})"))]
        if fits:
            found[sign] = max(fits, key=len)
    return found
