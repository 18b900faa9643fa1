"""What SUFO shows: grids of layers by moments, outliers, and figures on test texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import AnomalyMaps, Grid, Metric
from core.methods.text import _sufo
from core.methods.text._sufo import STIMULI
from core.stats.metrics import counted_metric, mean_metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.methods.text._reader import Reader
    from core.training.run import Run

REMOVED = (0, 1, 2, 3, 5, 8, 16, 32)  # first components taken away
DELETED = 60  # test texts whose weightiest words are deleted
UNITS = {
    "probing": (
        "how well a linear probe names the class from each layer (macro-F1 on validation texts, 1 ="
        " always right)"
    ),
    "similarity": (
        "do the same pairs of texts lie close together as in the untouched model? (RSA, 1 ="
        " unchanged)"
    ),
    "alignment": (
        "how much of the untouched model’s arrangement of texts is left (CKA, 1 = unchanged)"
    ),
    "disambiguation": "how far apart the classes are on the two main directions (1 = fully apart)",
}


def draw_grids(
    grids: dict[str, np.ndarray],
    steps: list[str],
    paths: list[dict[str, Any]],
    rows: np.ndarray,
) -> Iterator[Grid]:
    """Each of the grids float32 [layers, moments], the paths of the classes with the last."""
    for name, value in grids.items():
        yield Grid(
            rows=rows,
            name=name,
            value=value,
            x=steps,
            y=["words", *(f"layer {k}" for k in range(1, len(value)))],
            x_title="step of the training",
            y_title="layer",
            unit=UNITS[name],
            low=0.0,
            high=1.0,
            paths=paths if name == "disambiguation" else [],
        )


def draw_outliers(score: np.ndarray, y: np.ndarray, data: Dataset) -> AnomalyMaps:
    """Outlier scores float32 [n] of the rows of `data` with classes y (-1 = none), the threshold
    taken from validation texts.
    """
    val = score[(data.splits == "val") & (y >= 0)]
    return AnomalyMaps(
        rows=data.rows,
        name="outliers",
        score=score,
        threshold=float(np.quantile(val, 0.95)) if len(val) else None,
        rule="95 % of validation texts lie below",
        unit="distance to the own class beyond that to the nearest other",
    )


def measure_reader(
    data: Dataset,
    net: Reader,
    z: np.ndarray,
    prob: np.ndarray,
    y: np.ndarray,
    spans: list[list[dict[str, Any]]],
    removal: dict[str, np.ndarray],
    run: Run,
) -> list[Metric]:
    """Test F1, what of it is left without the first components, and the deletion test of the
    reasons.

    `z` float32 [n,d] features of the last layer, `prob` [n,k], `y` int64 [n] classes, -1 = none;
    `removal` holds `mean` [d] and directions `v` [r,d] of the training features.
    """
    test = np.flatnonzero((data.splits == "test") & (y >= 0))
    if len(test) < 5:
        return []
    part, truth = data.take(test), y[test]
    score = _macro_f1(truth, prob[test].argmax(1))
    found = [counted_metric("macro-F1", score, part, (0, 1), split="test")]
    for k in (k for k in REMOVED if k <= z.shape[1]):
        left = net.predict(
            _sufo.remove_components(z[test], removal["mean"], removal["v"], k)
        ).argmax(1)
        found.append(
            counted_metric(
                "macro-F1 without the first components",
                _macro_f1(truth, left),
                part,
                (0, 1),
                blocks=50,
                split="test",
                group=f"components taken away = {k}",
            )
        )
    some = test[np.linspace(0, len(test) - 1, min(DELETED, len(test))).astype(int)]
    falls = net.test_deletion(data.texts[some], [spans[i] for i in some], prob[some], run)
    for words, value in falls.items():
        title = f"fall of the predicted class without its {words}"
        found.append(mean_metric(title, value, data.take(some), (-1, 1), split="test"))
    return found


def _macro_f1(truth: np.ndarray, predicted: np.ndarray) -> Callable[[np.ndarray], float]:
    """Macro-F1 of the classes `predicted` [n] at positions of them, over the classes of `truth`
    [n].
    """
    labels = np.unique(truth)
    return lambda at: _sufo.macro_f1(truth[at], predicted[at], labels)


def measure_shares(shares: list[float]) -> list[Metric]:
    """Return the shares of variance in five components, before and after training."""
    return [
        Metric(
            f"variance in five components, {words} training",
            value,
            split="train",
            n=STIMULI,
            higher_is_better=None,
        )
        for words, value in zip(("before", "after"), shares)
    ]
