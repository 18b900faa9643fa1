"""Lightbox's methods for tables as scikit-learn estimators, for pipelines and searches.

They take a matrix of numbers, NaN for missing where the method takes that, and learn from every row
of it. What scikit-learn asks of an estimator (`check_estimator`) holds for methods that fit at once
(pca, kmeans, gaussian_mixture, hdbscan). Networks need more rows than some of its checks give, and
the last digits of float32 depend on how many rows are asked about together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClusterMixin,
    OutlierMixin,
    TransformerMixin,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from core import registry
from core.artifacts import Artifact, Clusters, Embedding
from core.data.dataset import Dataset
from core.data.scaling import needs_float64
from core.errors import UserError
from core.method import Goal, Method, check_params
from core.training.fit import fit_and_apply
from core.training.run import Run

__all__ = ["AnomalyDetector", "Classifier", "Clusterer", "Embedder", "applicable"]

BLOCK = 4096  # rows that a fitted method is asked about at a time


def applicable() -> dict[str, list[str]]:
    """Ids of the methods that each estimator can be made of, by the name of the estimator."""
    kinds = (AnomalyDetector, Classifier, Clusterer, Embedder)
    return {
        kind.__name__: [id for id, method in registry.methods().items() if kind._fits(method)]
        for kind in kinds
    }


def _alone(method: type[Method]) -> bool:
    """Whether the method learns from a table by itself: no labels, sites or picked rows."""
    takes = method.takes
    needs = (takes.labels, takes.domains, takes.groups, takes.masks, takes.chosen)
    return "table" in takes.modalities and not takes.on and "needed" not in needs


def _first_choice(estimator: type[_Estimator]) -> type[Method]:
    """Return the method an estimator takes where none is named: of those that fit it, one that fits
    at once before one that trains, then by what the methods say of its goal.
    """
    suggested = registry.suggested(estimator._goal)
    return min(
        (kind for kind in suggested if estimator._fits(kind)), key=lambda kind: kind.takes.trains
    )


class _Estimator(BaseEstimator):
    """What the estimators share: parameters, checks of input, the fit of the method."""

    _missing = True  # NaN may stand for missing values
    _least_columns = 1
    _goal: Goal  # of the method that is taken where none is named
    _fits: Callable[[type[Method]], bool]

    def __init__(
        self,
        method: str | None = None,
        params: dict[str, Any] | None = None,
        random_state: int = 0,
    ) -> None:
        self.method = method
        self.params = params
        self.random_state = random_state

    def _check(self, X: Any, y: Any = "no_validation", *, reset: bool = False) -> Any:
        """`X` as float64 [n,d], and `y` where it is given. ValueError for what is no such table."""
        finite = "allow-nan" if self._missing else True
        how: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": finite, "reset": reset}
        if reset:
            how |= {"ensure_min_samples": 2, "ensure_min_features": self._least_columns}
        return validate_data(self, X, y, **how)

    def _learn(
        self, x: np.ndarray, labels: np.ndarray | None = None, on: Artifact | None = None
    ) -> list[Artifact]:
        """Fit the method on every row of `x`; gives what it says of them. ValueError, one sentence,
        when there is no such method or the table does not fit it.
        """
        kind = self._kind()
        run = Run(seed=int(self.random_state), device="cpu", on={on.slug: on} if on else {})
        self.precise_ = any(needs_float64(column) for column in x.T)
        try:
            params = check_params(kind, self.params or {})
            fitted, given = fit_and_apply(kind, params, self._dataset(x, labels), run)
        except UserError as e:
            raise ValueError(str(e)) from e
        self.method_ = fitted
        return given

    def _kind(self) -> type[Method]:
        """Return the method named, or the first choice where none is. ValueError for one that does
        not fit this estimator.
        """
        if self.method is None:
            return _first_choice(type(self))
        kind = registry.method_class(self.method)
        if kind is None or not type(self)._fits(kind):
            there = ", ".join(applicable()[type(self).__name__])
            raise ValueError(
                f"{type(self).__name__} takes {there}; “{self.method}” is none of them."
            )
        return kind

    def _dataset(self, x: np.ndarray, labels: np.ndarray | None = None) -> Dataset:
        table = pd.DataFrame({"row": np.arange(len(x))})
        if labels is not None:
            table["label"] = [f"{code:06d}" for code in labels]
        return Dataset(
            name="X",
            modality="table",
            table=table,
            samples=x if self.precise_ else x.astype(np.float32),
            roles={} if labels is None else {"label": "label"},
            features=tuple(f"column {j}" for j in range(x.shape[1])),
        )

    def _ask(self, ability: str, x: np.ndarray) -> np.ndarray:
        """Return what the fitted method's function `ability` says of every row of `x`."""
        import torch

        ask, inputs = getattr(self.method_, ability), torch.from_numpy(self._dataset(x).inputs())
        with torch.no_grad():
            parts = [ask(inputs[i : i + BLOCK]).numpy() for i in range(0, len(inputs), BLOCK)]
        return np.concatenate(parts).astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._missing
        return tags


class Embedder(TransformerMixin, _Estimator):
    """A method of tables that gives an embedding, such as pca, as a transformer.

    Parameters: `method`, an id of `applicable()["Embedder"]`, None = the first choice among those
    that fit at once; `params`, its parameters; `random_state`, the seed. Attributes of a fitted
    one: `method_`, the fitted method; `n_features_in_`; `feature_names_in_`, where the columns had
    names.
    """

    _goal = "map"

    @staticmethod
    def _fits(method: type[Method]) -> bool:
        return _alone(method) and hasattr(method, "embed")

    def fit(self, X: Any, y: Any = None) -> Self:
        self._learn(self._check(X, reset=True))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """float64 [n,d]: the embedding of each row."""
        check_is_fitted(self)
        return self._ask("embed", self._check(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # methods compute in float32
        return tags


class AnomalyDetector(OutlierMixin, _Estimator):
    """A method of tables that gives an anomaly score, such as pca, as an outlier detector.

    `contamination`: share of the training rows that lie above the threshold. Otherwise as
    `Embedder`; attributes besides: `offset_`, the threshold; `n_features_in_`;
    `feature_names_in_`, where the columns had names.
    """

    _goal = "unusual"
    _least_columns = 2  # a score is what a method cannot explain of a row by its other columns

    def __init__(
        self,
        method: str | None = None,
        params: dict[str, Any] | None = None,
        contamination: float = 0.1,
        random_state: int = 0,
    ) -> None:
        super().__init__(method, params, random_state)
        self.contamination = contamination

    @staticmethod
    def _fits(method: type[Method]) -> bool:
        return _alone(method) and hasattr(method, "score")

    def fit(self, X: Any, y: Any = None) -> Self:
        x = self._check(X, reset=True)
        if not 0 < self.contamination <= 0.5:
            raise ValueError(f"contamination is above 0 and at most 0.5, not {self.contamination}.")
        self._learn(x)
        if "score" not in self.method_.abilities:
            raise ValueError(f"{self.method_.title} found no score with these parameters.")
        self.offset_ = float(np.quantile(-self._ask("score", x), self.contamination))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """float64 [n]: the anomaly score turned round, so that lower is more unusual."""
        check_is_fitted(self)
        return -self._ask("score", self._check(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less the threshold: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """-1 for outliers, 1 for the others."""
        return np.where(self.decision_function(X) >= 0, 1, -1)


class Clusterer(ClusterMixin, _Estimator):
    """A method that clusters the rows of an embedding, such as kmeans; `X` is the embedding, for
    instance what an `Embedder` before it in a pipeline gives.

    Parameters as of `Embedder`; attributes besides: `labels_` int64 [n], -1 = in no cluster;
    `n_features_in_`; `feature_names_in_`, where the columns had names.
    """

    _goal = "clusters"
    _missing = False

    @staticmethod
    def _fits(method: type[Method]) -> bool:
        return method.takes.on == ("Embedding",) and Clusters in method.gives

    def fit(self, X: Any, y: Any = None) -> Self:
        x = self._check(X, reset=True)
        given = self._learn(x, on=Embedding(rows=np.arange(len(x)), z=x.astype(np.float32)))
        self.labels_ = next(a.label for a in given if isinstance(a, Clusters))
        return self


class Classifier(ClassifierMixin, _Estimator):
    """A method of tables that learns classes, such as classifier.

    Parameters as of `Embedder`; attributes besides: `classes_`; `n_features_in_`;
    `feature_names_in_`, where the columns had names.
    """

    _goal = "classes"

    @staticmethod
    def _fits(method: type[Method]) -> bool:
        takes = method.takes
        alone = not takes.on and "needed" not in (takes.domains, takes.groups, takes.masks)
        learns = takes.labels == "needed" and hasattr(method, "predict")
        known = Clusters not in method.gives  # not one that keeps some classes to find them again
        return "table" in takes.modalities and alone and learns and known

    def fit(self, X: Any, y: Any) -> Self:
        x, y = self._check(X, y, reset=True)
        check_classification_targets(y)
        self.classes_, code = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("There is one class; a classifier needs two.")
        self._learn(x, code)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """float64 [n,k]: the probability of each of `classes_`."""
        check_is_fitted(self)
        return self._ask("predict", self._check(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row."""
        probability = self.predict_proba(X)
        return self.classes_[probability.argmax(1)]
