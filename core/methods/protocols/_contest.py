"""One cell of the contest: a contestant with one setting, from one set of sites to another. Not
imported before something is fitted.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
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
    make_da_pipeline,
)
from skada import __version__ as SKADA
from skada.metrics import (
    CircularValidation,
    DeepEmbeddedValidation,
    ImportanceWeightedScorer,
    PredictionEntropyScorer,
    SoftNeighborhoodDensity,
    SupervisedScorer,
)
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KernelDensity

from core.io.files import make_folder, write_json
from core.methods.protocols._names import BLIND, ORACLE, SOURCE, TARGET

# skada turns it on for the whole process when it is imported; here it is on only inside `cell`
sklearn.set_config(enable_metadata_routing=False)
VERSION = 1  # raised when a cell's result would change, so that kept ones are made again
FEATURES = 100  # random Fourier features of a curved reader
FAILURES = (ValueError, ArithmeticError, np.linalg.LinAlgError, AssertionError, IndexError)


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
            made = LogisticRegression(
                C=self.C, solver="newton-cholesky" if few else "lbfgs", max_iter=500
            ).fit(z, y, sample_weight=sample_weight)
            two = len(self.classes_) == 2
            self.weight_ = np.stack([0 * made.coef_[0], made.coef_[0]], 1) if two else made.coef_.T
            self.bias_ = np.array([0.0, made.intercept_[0]]) if two else made.intercept_
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
    """The settings of a contestant that make sense for so many columns and (inner) rows a side; a
    subspace cannot have more components than either.
    """
    found: list[dict[str, Any]] = []
    for s in getattr(CONTESTANTS[name], grid):
        s = s | ({"components": min(s["components"], columns, rows)} if "components" in s else {})
        if s not in found:
            found.append(s)
    return found


def _losses(y: np.ndarray, prob: np.ndarray) -> np.ndarray:
    """float64 [n,1]: log loss of each row. As a column: skada's own is a row, which its weights
    [n,1] turn into every loss times every weight.
    """
    return -np.log(np.clip(prob[np.arange(len(y)), y], 1e-15, 1.0))[:, None]


def scorers(seed: int) -> dict[str, Any]:
    """Skada's scorers by the names of `_names`; every one gives more for better. Call inside
    `routing`.
    """
    return {
        ORACLE: SupervisedScorer(),
        "prediction entropy": PredictionEntropyScorer(),
        "importance weighting": ImportanceWeightedScorer(),
        "soft neighbourhood density": SoftNeighborhoodDensity(),
        "deep embedded validation": DeepEmbeddedValidation(loss_func=_losses, random_state=seed),
        "circular validation": CircularValidation(),
    }


@dataclass(frozen=True)
class Shift:
    """Rows of the source (`side` 1) and the target (-2): `x [n,d]` standardised, `y [n]` codes into
    the source's k classes, k = a class it lacks.

    `train` and `test` are positions (test rows are of the target), `inner` holds pairs of positions
    (fit, validate) within `train`.
    """

    x: np.ndarray
    y: np.ndarray
    side: np.ndarray
    train: np.ndarray
    test: np.ndarray
    inner: tuple[tuple[np.ndarray, np.ndarray], ...]
    seed: int

    def digest(self) -> str:
        parts = (
            self.x,
            self.y,
            self.side,
            self.train,
            self.test,
            *(a for pair in self.inner for a in pair),
        )
        return hashlib.sha256(
            b"|".join(
                f"{a.shape}{a.dtype}".encode() + np.ascontiguousarray(a).tobytes() for a in parts
            )
        ).hexdigest()


def pipeline(
    name: str, setting: dict[str, Any], reader: dict[str, Any], columns: int, seed: int
) -> Any:
    """Skada's pipeline of the contestant's adapter, if any, and the reader. Call inside
    `routing`.
    """
    last = (
        Reader(**reader, seed=seed)
        .set_fit_request(sample_weight=True)
        .set_score_request(sample_weight=True)
    )
    adapter = CONTESTANTS[name].adapter(setting, columns, seed)
    return make_da_pipeline(last) if adapter is None else make_da_pipeline(adapter, last)


def routing() -> Any:
    """The context skada's pipelines work in."""
    return sklearn.config_context(enable_metadata_routing=True)


def fitted(
    name: str, setting: dict[str, Any], reader: dict[str, Any], shift: Shift, at: np.ndarray
) -> Any:
    """The contestant fitted on the rows `at`; labels of the target reach only the upper bound,
    which is given nothing else.
    """
    made = pipeline(name, setting, reader, shift.x.shape[1], shift.seed)
    x, y, side = shift.x[at], shift.y[at].copy(), shift.side[at]
    if name == TARGET:
        known = (side < 0) & (y < len(np.unique(shift.y[shift.side > 0])))
        return made.fit(x[known], y[known], sample_domain=np.ones(int(known.sum()), dtype=int))
    y[side < 0] = -1
    return made.fit(x, y, sample_domain=side)


def cell(
    name: str, setting: dict[str, Any], reader: dict[str, Any], shift: Shift
) -> dict[str, Any]:
    """Every scorer's value (mean over the inner splits, None = failed) and, refitted on all
    training rows, the accuracies on the target's test rows.
    """
    began = time.perf_counter()
    found: dict[str, list[float]] = {key: [] for key in (ORACLE, *BLIND)}
    with warnings.catch_warnings(), np.errstate(all="ignore"), routing():
        warnings.simplefilter("ignore")
        for fit, check in shift.inner if name != TARGET else ():
            try:
                made = fitted(name, setting, reader, shift, fit)
            except FAILURES:
                made = None
            x, side = shift.x[check], shift.side[check]
            blind = np.where(side > 0, shift.y[check], -1)
            for key, scorer in scorers(shift.seed).items():
                more = {"target_labels": shift.y[check]} if key == ORACLE else {}
                try:
                    value = (
                        float("nan")
                        if made is None
                        else float(scorer(made, x, blind.copy(), sample_domain=side, **more))
                    )
                except FAILURES:
                    value = float("nan")
                found[key].append(value)
        scores = {
            k: float(np.mean(v)) if v and np.isfinite(v).all() else None for k, v in found.items()
        }
        seconds, right, balanced = time.perf_counter() - began, None, None
        if len(shift.test):
            try:
                said = fitted(name, setting, reader, shift, shift.train).predict(
                    shift.x[shift.test], sample_domain=shift.side[shift.test]
                )
                hit, truth = said == shift.y[shift.test], shift.y[shift.test]
                right = float(hit.mean())
                balanced = float(np.mean([hit[truth == c].mean() for c in np.unique(truth)]))
            except FAILURES:
                scores = dict.fromkeys(scores)
    return {
        "scores": scores,
        "accuracy": right,
        "balanced accuracy": balanced,
        "seconds": round(seconds, 4),
    }


def kept(
    cache: Path | None,
    name: str,
    setting: dict[str, Any],
    reader: dict[str, Any],
    shift: Shift,
    digest: str,
) -> dict[str, Any]:
    """As `cell`, from the cache where the very same cell was computed before."""
    if cache is None:
        return cell(name, setting, reader, shift)
    key = hashlib.sha256(
        json.dumps(
            [VERSION, SKADA, digest, shift.seed, name, setting, reader], sort_keys=True
        ).encode()
    ).hexdigest()[:40]
    path = cache / f"{key}.json"
    if path.exists():
        return json.loads(path.read_text())
    found = cell(name, setting, reader, shift)
    make_folder(cache)
    write_json(path, found)
    return found


def best_reader(shift: Shift) -> dict[str, Any]:
    """The reader (straight or curved, strength) with the best accuracy on held-out rows of the
    source alone.
    """
    choices = [{"C": c, "curve": curve} for curve in (0.0, 0.5, 2.0) for c in (0.1, 1.0, 10.0)]
    right = []
    for choice in choices:
        hits = []
        for fit, check in shift.inner:
            fit, check = fit[shift.side[fit] > 0], check[shift.side[check] > 0]
            hits.append(
                (
                    Reader(**choice, seed=shift.seed)
                    .fit(shift.x[fit], shift.y[fit])
                    .predict(shift.x[check])
                    == shift.y[check]
                ).mean()
            )
        right.append(float(np.mean(hits)))
    return choices[int(np.argmax(np.round(right, 6)))]


def head(made: Any, columns: int) -> dict[str, np.ndarray]:
    """A fitted pipeline as arrays: the target's side of the adapter, which is affine, as `turn
    [d,e]` and `move [e]`, and the reader's own.
    """
    turn, move = np.eye(columns), np.zeros(columns)
    if len(made.steps) > 1:
        with routing():
            probe = np.vstack([np.zeros((1, columns)), np.eye(columns)])
            out = made[:-1].transform(probe, sample_domain=np.full(columns + 1, -2))
        turn, move = out[1:] - out[0], out[0]
    reader = made.steps[-1][1].base_estimator_
    curve = np.array([float(reader.curve)])
    return {
        "turn": turn,
        "move": move,
        "omega": reader.omega_,
        "phase": reader.phase_,
        "weight": reader.weight_,
        "bias": reader.bias_,
        "known": reader.classes_.astype(np.int64),
        "curve": curve,
    }
