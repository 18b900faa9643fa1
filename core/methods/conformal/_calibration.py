"""Calibration of sets of classes on the validation cases of an earlier classifier, and what the
sets then guarantee, in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from core.methods.conformal import _ranks

if TYPE_CHECKING:
    from core.data.dataset import Dataset


@dataclass(frozen=True)
class Calibration:
    """Calibration cases, and the thresholds of the score 1 - p(true class) that follow from them.

    `prob` float64 [n,k]; `truth` int64 [n]; `sites` words [n], "" = not known. In a share
    `certainty` of batches of `batch` cases at least a `share` of the sets shall hold the truth.
    """

    prob: np.ndarray
    truth: np.ndarray
    sites: np.ndarray
    batch: int
    share: float
    certainty: float

    @cached_property
    def score(self) -> np.ndarray:
        """float64 [n]: 1 - p(true class)."""
        return 1 - self.prob[np.arange(len(self.truth)), self.truth]

    @cached_property
    def needed(self) -> int:
        """How many sets of a batch have to hold the truth."""
        return _ranks.share_of(self.share, self.batch)

    @cached_property
    def pooled(self) -> float:
        """The threshold by the cases of all sites; inf where they are too few."""
        return self._threshold(self.score)

    @cached_property
    def single(self) -> float:
        """The plain threshold for one case at a time; inf where the cases are too few."""
        return _ranks.plain_bound(self.score, self.share)

    @cached_property
    def by_site(self) -> dict[str, float]:
        """The threshold of each site that has enough cases of its own."""
        own = {
            site: self._threshold(self.score[self.sites == site])
            for site in sorted(set(self.sites) - {""})
        }
        return {site: threshold for site, threshold in own.items() if np.isfinite(threshold)}

    def _threshold(self, score: np.ndarray) -> float:
        return _ranks.quantile_bound(score, self.batch, self.needed, 1 - self.certainty)

    def thresholds(self, sites: np.ndarray) -> np.ndarray:
        """float64 [n,1]: the threshold for a case of each of `sites` [n]."""
        return np.array([self.by_site.get(site, self.pooled) for site in sites])[:, None]


def make_sets(prob: np.ndarray, threshold: np.ndarray | float) -> np.ndarray:
    """`bool [n,k]`: classes whose score 1 - p is at most the threshold, one for all or [n,1]; the
    likeliest one always.
    """
    sets = 1 - prob <= threshold
    sets[np.arange(len(prob)), prob.argmax(1)] = True
    return sets


def one_of_each_patient(data: Dataset, seed: int) -> list[int]:
    """Positions of one case of each patient, drawn by `seed`; all where there is no patient
    column.
    """
    groups = data.groups
    if groups is None:
        return list(range(len(data)))
    order, seen, found = np.random.default_rng(seed).permutation(len(data)), set(), []
    for i in order:
        if groups[i] is None or groups[i] not in seen:
            seen.add(groups[i])
            found.append(int(i))
    return sorted(found)


def say_guarantee(made: Calibration, sites: np.ndarray, patients: bool) -> str:
    """Return what the sets guarantee, in words, where each case comes from its site in `sites` (""
    = not known) and there are several cases of some `patients`.
    """
    named = sorted(set(sites) - {""})
    of = " of one site" if made.by_site else ""
    of += ", each of another patient" if patients else ""
    words = (
        f"In {made.certainty:.0%} of batches of {made.batch} new cases{of}, at least"
        f" {made.share:.0%} of the sets hold the truth."
    )
    less = [site for site in named if site not in made.by_site]
    less += ["cases whose site is not known"] if named and (sites == "").any() else []
    if named and not made.by_site:
        words += (
            " That holds for batches of all sites mixed as they are here, not for batches of"
            " one site: none has enough calibration cases of its own."
        )
    elif less:
        words += (
            f" It does not hold for {', '.join(less)}: too few calibration cases there, so the"
            " sets follow all sites together."
        )
    if not np.isfinite(made.pooled):
        words += (
            " The calibration cases are too few for that guarantee, so every set holds every class."
        )
    return words
