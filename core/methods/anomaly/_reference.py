"""How far cases lie from reference cases, by five scores and the largest of three of them.

- nearest cases: mean distance to the k nearest reference cases (Ramaswamy, Rastogi, Shim 2000;
  Angiulli, Pizzuti 2002);
- Mahalanobis: distance from the mean, covariance with Ledoit and Wolf's shrinkage (2004);
- isolation forest: how few random cuts set a case apart (Liu, Ting, Zhou 2008);
- local outlier factor: how much sparser it lies than its neighbours (Breunig, Kriegel, Ng, Sander
  2000);
- ECOD: sum over the axes of the smaller tail's -log share (Li, Zhao, Hu, Botta, Ionescu, Chen
  2022), the larger side of each axis as in PyOD;
- largest of three: nearest cases, Mahalanobis and isolation forest, each in standard deviations of
  cases held back from the reference; the largest counts (Aggarwal, Sathe 2015).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

COMBINED = "largest of three"
OF_COMBINED = ("nearest cases", "Mahalanobis", "isolation forest")
UNITS = {
    "nearest cases": "mean distance to the nearest reference cases",
    "Mahalanobis": "Mahalanobis distance",
    "isolation forest": "isolation score",
    "local outlier factor": "local outlier factor",
    "ECOD": "sum of -log tail shares",
    COMBINED: "standard deviations of held-back cases",
}
TREES = 200
SAME = 1e-6  # of its own length: a reference case this near is the case itself
LEAST = 1e-9  # of the usual score: below it, a score counts as that on the log scale


class Reference:
    """Reference `cases` [n,d] float32, n >= 2, and what a `score` of UNITS says of others: higher =
    farther. `k`: how many neighbours count; `scale`: mean and deviation of each part of the
    combined score, from `calibrate`.
    """

    def __init__(
        self,
        cases: np.ndarray,
        score: str,
        k: int,
        seed: int,
        scale: dict[str, list[float]] | None = None,
    ) -> None:
        self.cases = np.ascontiguousarray(cases, np.float32)
        self.kind, self.k, self.seed = score, k, seed
        self.scale = scale or {}

    def state(self) -> dict[str, Any]:
        """Return what `restore` makes it again from: the cases, since forests are grown again by
        the seed.
        """
        names = ("cases", "kind", "k", "seed", "scale")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Reference:
        """Return the reference that `state` was given by."""
        cases = np.asarray(state["cases"])
        return cls(cases, state["kind"], state["k"], state["seed"], state["scale"])

    def calibrate(self, held: np.ndarray) -> None:
        """Learn from cases [m,d] that are not among the reference what is usual of each part of the
        combined score.
        """
        if self.kind != COMBINED:
            return
        for name in OF_COMBINED:
            values = self.scores[name](held)
            if name != "isolation forest":
                floor = LEAST * float(np.median(values)) or LEAST
                values = np.log(np.maximum(values, floor))
                self.scale[name] = [float(values.mean()), _deviation(values), floor]
            else:
                self.scale[name] = [float(values.mean()), _deviation(values), 0.0]

    def score(self, z: np.ndarray) -> np.ndarray:
        """float64 [m] of cases [m,d]. A reference case is scored as though it were none."""
        z = np.asarray(z, np.float64)
        if not len(z):
            return np.zeros(0)
        if self.kind != COMBINED:
            return self.scores[self.kind](z)
        return np.max([self._standardised(name, z) for name in OF_COMBINED], axis=0)

    def _standardised(self, name: str, z: np.ndarray) -> np.ndarray:
        """One part of the combined score in standard deviations; distances on a log scale."""
        mean, deviation, floor = self.scale[name]
        values = self.scores[name](z)
        return ((np.log(np.maximum(values, floor)) if floor else values) - mean) / deviation

    @property
    def scores(self) -> dict[str, Any]:
        """Return the five scores by name, each a function of cases float64 [m,d]."""
        return {
            "nearest cases": self._nearest_cases,
            "Mahalanobis": lambda z: np.sqrt(self._covariance.mahalanobis(z)),
            "isolation forest": lambda z: -self._forest.score_samples(z),
            "local outlier factor": self._local_outlier_factor,
            "ECOD": self._ecod,
        }

    # -- neighbours --------------------------------------------------------------------------------
    @cached_property
    def _finder(self) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors().fit(self.cases.astype(np.float64))

    def neighbours(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances float64 and positions int64 [m,k] of the k nearest reference cases, near first,
        without the case itself.
        """
        k = min(self.k, len(self.cases) - 1)
        distance, at = self._finder.kneighbors(z, k + 1)
        self_first = distance[:, 0] <= SAME * (1 + np.linalg.norm(z, axis=1))
        keep = np.arange(k) + self_first[:, None]
        return np.take_along_axis(distance, keep, 1), np.take_along_axis(at, keep, 1)

    def _nearest_cases(self, z: np.ndarray) -> np.ndarray:
        return self.neighbours(z)[0].mean(1)

    @cached_property
    def _own_neighbours(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each reference case the distance of its k-th neighbour and the density about it."""
        distance, at = self.neighbours(self.cases.astype(np.float64))
        reach = np.maximum(distance, distance[at, -1])
        return distance[:, -1], 1 / (reach.mean(1) + 1e-10)

    def _local_outlier_factor(self, z: np.ndarray) -> np.ndarray:
        far, density = self._own_neighbours
        distance, at = self.neighbours(z)
        own = 1 / (np.maximum(distance, far[at]).mean(1) + 1e-10)
        return density[at].mean(1) / own

    # -- the others --------------------------------------------------------------------------------
    @cached_property
    def _covariance(self) -> Any:
        from sklearn.covariance import LedoitWolf

        return LedoitWolf().fit(self.cases.astype(np.float64))

    @cached_property
    def _forest(self) -> Any:
        from sklearn.ensemble import IsolationForest

        return IsolationForest(n_estimators=TREES, random_state=self.seed).fit(self.cases)

    def _ecod(self, z: np.ndarray) -> np.ndarray:
        """Each case as though it were added to the reference alone."""
        total, n = np.zeros(len(z)), len(self.cases)
        for values, x in zip(np.sort(self.cases.astype(np.float64), 0).T, z.T):
            below = np.searchsorted(values, x, "right")
            above = n - np.searchsorted(values, x, "left")
            total -= np.log((np.minimum(below, above) + 1) / (n + 1))
        return total


def _deviation(values: np.ndarray) -> float:
    """Return the standard deviation; 1 where all values are the same."""
    return float(values.std()) or 1.0
