"""What a selection of columns shows: how strengths grew, what the network costs, and how far the
selected columns go in telling the classes apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Grid, Metric
from core.stats.metrics import mean_metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run

SHOWN, STEPS = 60, 12  # columns and epochs in the picture of strengths


def draw_strengths(
    history: np.ndarray, names: list[str], chosen: np.ndarray, rows: np.ndarray
) -> Grid:
    """Return the strongest columns over the epochs, from their strengths `history` [epochs,p]."""
    order = np.argsort(-history[-1], kind="stable")[:SHOWN]
    picked = set(chosen.tolist())
    last = len(history) - 1
    epochs = np.unique(np.linspace(0, last, min(STEPS, len(history))).astype(int))
    return Grid(
        rows=rows,
        name="strength",
        value=history[np.ix_(epochs, order)].T.astype(np.float32),
        x=[str(epoch + 1) for epoch in epochs],
        y=[f"{names[i]} ✓" if i in picked else names[i] for i in order],
        x_title="epoch",
        y_title="column, strongest at the end on top",
        unit=(
            "how much the network relies on a column (sum of absolute weights); ✓ = one of the"
            f" {len(picked)} selected"
        ),
        low=0.0,
    )


def measure_cost(connections: int, columns: int, hidden: int, n: int) -> list[Metric]:
    """Return what the sparse network costs against a dense one with as many units; `n` cases were
    described.
    """
    dense = 2 * columns * hidden
    return [
        Metric(
            "connections",
            float(connections),
            n=n,
            higher_is_better=None,
            note=f"a dense network of this size has {dense:,}",
        ),
        Metric(
            "memory of the weights, MB",
            connections * 20 / 1e6,
            n=n,
            higher_is_better=False,
            note=f"value and two places each; dense: {4 * dense / 1e6:.2f} MB",
        ),
        Metric(
            "million multiplications a row, forward",
            connections / 1e6,
            n=n,
            higher_is_better=False,
            note=f"dense: {dense / 1e6:.2f}",
        ),
    ]


def compare_columns(x: np.ndarray, chosen: np.ndarray, data: Dataset, run: Run) -> list[Metric]:
    """Accuracy on test of trees on the `chosen` columns of x [n,p], on as many random ones and on
    all; nothing where classes or test cases are too few.
    """
    train = np.flatnonzero((data.splits == "train") & (data.labels >= 0))
    test = np.flatnonzero((data.splits == "test") & (data.labels >= 0))
    if len(np.unique(data.labels[train])) < 2 or len(test) < 5:
        return []
    rivals = {
        "selected columns": chosen,
        "as many random columns": run.rng.choice(x.shape[1], len(chosen), replace=False),
        "all columns": np.arange(x.shape[1]),
    }
    return [
        tell_apart(name, x[:, columns], data, train, test, run.seed)
        for name, columns in rivals.items()
    ]


def tell_apart(
    name: str, x: np.ndarray, data: Dataset, train: np.ndarray, test: np.ndarray, seed: int
) -> Metric:
    """Accuracy at positions `test` of 50 extremely randomised trees that learned from these columns
    x [n,k] at positions `train`.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    trees = ExtraTreesClassifier(50, random_state=seed).fit(x[train], data.labels[train])
    right = np.asarray(trees.predict(x[test]) == data.labels[test], bool)
    title, note = f"trees on {name}: accuracy", f"{x.shape[1]} columns"
    return mean_metric(title, right, data.take(test), split="test", note=note)
