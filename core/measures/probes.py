"""Probes: can a simple reader tell the classes from the latent coordinates? Fitted on the training
part, counted on validation and test.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from core.artifacts import Artifact, Embedding, Metric
from core.artifacts.cases import log_odds
from core.measure import Measure
from core.stats.bootstrap import interval, mean_interval

if TYPE_CHECKING:
    from core.data.dataset import Dataset

# cases a reader is fitted on, and as many it is counted on in each part; above it a seeded sample,
# and the figure says so
MOST = 20_000


def auc(truth: np.ndarray, prob: np.ndarray, classes: np.ndarray) -> float:
    """Area under the ROC curve; with several classes the mean of one against the rest over those
    present. NaN when undefined.
    """
    from scipy.stats import rankdata

    found = []
    for j, c in enumerate(classes):
        if len(classes) == 2 and j == 0:
            continue
        yes = truth == c
        if yes.any() and not yes.all():
            rank = rankdata(prob[:, j])
            found.append(
                (rank[yes].sum() - yes.sum() * (yes.sum() + 1) / 2) / (yes.sum() * (~yes).sum())
            )
    return float(np.mean(found)) if found else float("nan")


def _auc_at(truth: np.ndarray, prob: np.ndarray, classes: np.ndarray, i: np.ndarray) -> float:
    return auc(truth[i], prob[i], classes)


class _Probe(Measure):
    """Shared: split the embedding by the dataset's parts, fit, count on each held-out part with
    intervals by patient.
    """

    name: ClassVar[str]
    takes = (Embedding,)
    labels = True

    def reader(
        self, z: np.ndarray, y: np.ndarray, metric: str
    ) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Fit on z, y; gives a function z -> (predicted class codes [n], scores float64 [n,k] that
        rank the cases for each sorted class of y).
        """
        raise NotImplementedError

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        trained = data.part("train").labels
        if len(np.unique(trained[trained >= 0])) < 2:
            return "the training part holds one class only"
        return None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (embedding,) = artifacts
        assert isinstance(embedding, Embedding)
        whole = data.of(embedding.rows)
        y, z, split, groups = whole.labels, np.asarray(embedding.z), whole.splits, whole.groups
        fit, of = _some(np.flatnonzero((split == "train") & (y >= 0)), rng)
        read, classes = self.reader(z[fit], y[fit], embedding.metric), np.unique(y[fit])
        found = []
        for part in ("val", "test"):
            at, of_part = _some(np.flatnonzero((split == part) & (y >= 0)), rng)
            if len(at) < 2:
                continue
            note = "; ".join(
                f"{words} {said}"
                for words, said in (("fitted on", of), ("counted on", of_part))
                if said
            )
            truth, (said, prob) = y[at], read(z[at])
            patients = groups[at] if groups is not None else None
            right = said == truth
            accuracy = Metric(
                f"{self.name} accuracy", float(right.mean()), split=part, n=len(at), note=note
            )
            found.append(accuracy.within(mean_interval(right, patients)))
            value = auc(truth, prob, classes)
            if value == value:
                ranked = Metric(f"{self.name} AUC", value, split=part, n=len(at), note=note)
                at_once = partial(_auc_at, truth, prob, classes)
                found.append(
                    ranked.within(interval(at_once, len(at), patients, (0, 1), classes=truth))
                )
        return found


def _some(at: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """At most MOST of the positions `at`, and of how many they were drawn, in words; "" where all
    are taken.
    """
    if len(at) <= MOST:
        return at, ""
    return np.sort(rng.choice(at, MOST, replace=False)), f"{MOST:,} of {len(at):,} cases drawn"


def _odds(score: np.ndarray) -> np.ndarray:
    """Log-odds float64 [n,k] of the classes from a linear model's scores [n] or [n,k]: they rank
    where probabilities have become 1.0.
    """
    return np.stack([-score, score], 1) if score.ndim == 1 else log_odds(score)


class LinearProbe(_Probe):
    id = "linear_probe"
    headline = ("linear probe accuracy",)
    title = "Linear probe"
    name = "linear probe"
    help = (
        "How well a linear probe (logistic regression) tells the classes apart from the latent"
        " coordinates. Higher is better; compare with the same figure for principal components."
    )

    def reader(
        self, z: np.ndarray, y: np.ndarray, metric: str
    ) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(z, y)
        return lambda x: (fitted.predict(x), _odds(fitted.decision_function(x)))


class KnnProbe(_Probe):
    id = "knn_probe"
    title = "Nearest-neighbour probe"
    name = "20-neighbour probe"
    help = (
        "How often the vote of a case's 20 nearest training cases in latent space names its class."
        " Higher is better."
    )

    def reader(
        self, z: np.ndarray, y: np.ndarray, metric: str
    ) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        from sklearn.neighbors import KNeighborsClassifier

        from core.neighbours import prepared

        fitted = KNeighborsClassifier(min(20, len(z))).fit(prepared(z, metric), y)
        return lambda x: (
            fitted.predict(prepared(x, metric)),
            fitted.predict_proba(prepared(x, metric)),
        )
