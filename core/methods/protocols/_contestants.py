"""Who takes part in the contest: one kind of reader, and the adaptations that are put before it.
Not imported before something is fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from skada import (
    ClassRegularizerOTMappingAdapter,
    CORALAdapter,
    DensityReweightAdapter,
    EntropicOTMappingAdapter,
    KMMReweightAdapter,
    LinearOTMappingAdapter,
    SubspaceAlignmentAdapter,
)
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KernelDensity

from core.methods.protocols._names import SOURCE, TARGET

# skada turns it on for the whole process when it is imported; it is on inside `routing` only
sklearn.set_config(enable_metadata_routing=False)
FEATURES = 100  # random Fourier features of a curved reader


class Reader(ClassifierMixin, BaseEstimator):
    """Logistic regression on the columns, or (curve > 0) on random Fourier features of an RBF
    kernel of width curve / columns. One class: always it.
    """

    def __init__(self, C: float = 1.0, curve: float = 0.0, seed: int = 0) -> None:
        self.C, self.curve, self.seed = C, curve, seed

    def features(self, x: np.ndarray) -> np.ndarray:
        return (
            x if not self.curve else np.sqrt(2 / FEATURES) * np.cos(x @ self.omega_ + self.phase_)
        )

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> Reader:
        rng, d = np.random.default_rng(self.seed), X.shape[1]
        self.classes_ = np.unique(y)
        self.omega_ = rng.normal(size=(d, FEATURES)) * np.sqrt(2 * self.curve / d)
        self.phase_ = rng.uniform(0, 2 * np.pi, FEATURES)
        z = self.features(X)
        self.weight_ = np.zeros((z.shape[1], len(self.classes_)))
        self.bias_ = np.zeros(len(self.classes_))
        if len(self.classes_) > 1:
            # second-order steps are several times as fast while their matrix is small
            few = z.shape[1] * len(self.classes_) <= 1000
            model = LogisticRegression(
                C=self.C, solver="newton-cholesky" if few else "lbfgs", max_iter=500
            ).fit(z, y, sample_weight=sample_weight)
            two = len(self.classes_) == 2
            self.weight_ = (
                np.stack([0 * model.coef_[0], model.coef_[0]], 1) if two else model.coef_.T
            )
            self.bias_ = np.array([0.0, model.intercept_[0]]) if two else model.intercept_
        return self

    def predict_log_proba(self, X: np.ndarray) -> np.ndarray:
        from scipy.special import log_softmax

        return log_softmax(self.features(X) @ self.weight_ + self.bias_, axis=1)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.classes_[self.predict_log_proba(X).argmax(1)]


@dataclass(frozen=True)
class Contestant:
    """`adapter(setting, columns, seed)` gives skada's adapter, None where nothing is adapted;
    `small` and `full` are the settings tried.
    """

    adapter: Callable[[dict[str, Any], int, int], Any]
    small: tuple[dict[str, Any], ...] = ({},)
    full: tuple[dict[str, Any], ...] = ({},)


def _each(name: str, *values: Any) -> tuple[dict[str, Any], ...]:
    return tuple({name: v} for v in values)


# Widths and strengths that act on squared distances are per column, so that one grid suits tables
# of any number of columns.
CONTESTANTS: dict[str, Contestant] = {
    SOURCE: Contestant(lambda s, d, seed: None),
    "CORAL": Contestant(
        lambda s, d, seed: CORALAdapter(reg="auto", assume_centered=s["centred"]),
        _each("centred", False, True),
        _each("centred", False, True),
    ),
    "subspace alignment": Contestant(
        lambda s, d, seed: SubspaceAlignmentAdapter(
            n_components=s["components"], random_state=seed
        ),
        _each("components", 1, 2, 5),
        _each("components", 1, 2, 5, 10, 20, 50),
    ),
    "density reweighting": Contestant(
        lambda s, d, seed: DensityReweightAdapter(KernelDensity(bandwidth=s["bandwidth"])),
        _each("bandwidth", "scott", 1.0),
        _each("bandwidth", 0.1, 0.3, 1.0, 3.0, "scott", "silverman"),
    ),
    "kernel mean matching": Contestant(
        lambda s, d, seed: KMMReweightAdapter(gamma=s["gamma"] / d),
        _each("gamma", 0.1, 1.0),
        _each("gamma", 0.01, 0.1, 1.0, 10.0),
    ),
    "linear OT": Contestant(
        lambda s, d, seed: LinearOTMappingAdapter(reg=s["reg"]),
        _each("reg", 1e-6, 0.1),
        _each("reg", 1e-8, 1e-6, 0.1, 1.0, 10.0),
    ),
    "entropic OT": Contestant(
        lambda s, d, seed: EntropicOTMappingAdapter(reg_e=s["reg"] * d),
        _each("reg", 0.1, 1.0),
        _each("reg", 0.03, 0.1, 0.3, 1.0, 3.0),
    ),
    "class-regularised OT": Contestant(
        lambda s, d, seed: ClassRegularizerOTMappingAdapter(reg_e=s["reg"] * d, reg_cl=s["class"]),
        ({"reg": 0.1, "class": 0.1}, {"reg": 1.0, "class": 0.1}),
        (
            {"reg": 0.1, "class": 0.1},
            {"reg": 0.1, "class": 1.0},
            {"reg": 1.0, "class": 0.1},
            {"reg": 1.0, "class": 1.0},
        ),
    ),
    TARGET: Contestant(lambda s, d, seed: None),
}


def settings(name: str, grid: str, columns: int, rows: int) -> list[dict[str, Any]]:
    """Return the settings of a contestant that make sense for so many columns and (inner) rows a
    side; a subspace cannot have more components than either.
    """
    found: list[dict[str, Any]] = []
    for s in getattr(CONTESTANTS[name], grid):
        s = s | ({"components": min(s["components"], columns, rows)} if "components" in s else {})
        if s not in found:
            found.append(s)
    return found
