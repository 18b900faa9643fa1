"""One cell of the contest: a contestant with one setting, from one set of sites to another. Not
imported before something is fitted.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from skada import __version__ as SKADA
from skada import make_da_pipeline
from skada.metrics import (
    CircularValidation,
    DeepEmbeddedValidation,
    ImportanceWeightedScorer,
    PredictionEntropyScorer,
    SoftNeighborhoodDensity,
    SupervisedScorer,
)

from core.io.files import make_folder, write_json
from core.methods.protocols._contestants import CONTESTANTS, Reader, settings
from core.methods.protocols._names import BLIND, ORACLE, TARGET
from core.methods.protocols._shifts import Shift

if TYPE_CHECKING:
    from core.training.run import Run

VERSION = 1  # raised when a cell's result would change, so that kept ones are made again
FAILURES = (ValueError, ArithmeticError, np.linalg.LinAlgError, AssertionError, IndexError)


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
    """Return the context skada's pipelines work in."""
    return sklearn.config_context(enable_metadata_routing=True)


def fit_contestant(
    name: str, setting: dict[str, Any], reader: dict[str, Any], shift: Shift, at: np.ndarray
) -> Any:
    """Return the contestant fitted on the rows `at`; labels of the target reach only the upper
    bound, which is given nothing else.
    """
    model = pipeline(name, setting, reader, shift.x.shape[1], shift.seed)
    x, y, side = shift.x[at], shift.y[at].copy(), shift.side[at]
    if name == TARGET:
        known = (side < 0) & (y < len(np.unique(shift.y[shift.side > 0])))
        return model.fit(x[known], y[known], sample_domain=np.ones(int(known.sum()), dtype=int))
    y[side < 0] = -1
    return model.fit(x, y, sample_domain=side)


def run_cell(
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
                fitted = fit_contestant(name, setting, reader, shift, fit)
            except FAILURES:
                fitted = None
            x, side = shift.x[check], shift.side[check]
            blind = np.where(side > 0, shift.y[check], -1)
            for key, scorer in scorers(shift.seed).items():
                more = {"target_labels": shift.y[check]} if key == ORACLE else {}
                try:
                    value = (
                        float("nan")
                        if fitted is None
                        else float(scorer(fitted, x, blind.copy(), sample_domain=side, **more))
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
                predicted = fit_contestant(name, setting, reader, shift, shift.train).predict(
                    shift.x[shift.test], sample_domain=shift.side[shift.test]
                )
                hit, truth = predicted == shift.y[shift.test], shift.y[shift.test]
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


def cached_cell(
    cache: Path | None,
    name: str,
    setting: dict[str, Any],
    reader: dict[str, Any],
    shift: Shift,
    digest: str,
) -> dict[str, Any]:
    """As `run_cell`, from the cache where the very same cell was computed before."""
    if cache is None:
        return run_cell(name, setting, reader, shift)
    key = hashlib.sha256(
        json.dumps(
            [VERSION, SKADA, digest, shift.seed, name, setting, reader], sort_keys=True
        ).encode()
    ).hexdigest()[:40]
    path = cache / f"{key}.json"
    if path.exists():
        return json.loads(path.read_text())
    found = run_cell(name, setting, reader, shift)
    make_folder(cache)
    write_json(path, found)
    return found


def best_reader(shift: Shift) -> dict[str, Any]:
    """Return the reader (straight or curved, strength) with the best accuracy on held-out rows of
    the source alone.
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


def to_arrays(model: Any, columns: int) -> dict[str, np.ndarray]:
    """Return a fitted pipeline as arrays: the target's side of the adapter, which is affine, as
    `turn [d,e]` and `move [e]`, and the reader's own.
    """
    turn, move = np.eye(columns), np.zeros(columns)
    if len(model.steps) > 1:
        with routing():
            probe = np.vstack([np.zeros((1, columns)), np.eye(columns)])
            out = model[:-1].transform(probe, sample_domain=np.full(columns + 1, -2))
        turn, move = out[1:] - out[0], out[0]
    reader = model.steps[-1][1].base_estimator_
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


def run_settings(
    shift: Shift, contestants: list[str], grid: str, run: Run
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return (the reader chosen on the source, one cell for each contestant and setting of the
    `grid`, "small" or "full").
    """
    reader, digest = best_reader(shift), shift.digest()
    least = min(int((shift.side[fit] == side).sum()) for fit, _ in shift.inner for side in (1, -2))
    found = []
    for name in contestants:
        for setting in settings(name, grid, shift.x.shape[1], least):
            run.check()
            values = cached_cell(run.cache, name, setting, reader, shift, digest)
            found.append({"contestant": name, "setting": setting, **values})
    return reader, found


def fit_final(cell: dict[str, Any], reader: dict[str, Any], shift: Shift) -> dict[str, np.ndarray]:
    """Return the contestant and setting of a `cell`, fitted on all rows of the shift, as
    arrays.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"), routing():
        warnings.simplefilter("ignore")
        found = fit_contestant(cell["contestant"], cell["setting"], reader, shift, shift.train)
    return to_arrays(found, shift.x.shape[1]) | shift.scale
