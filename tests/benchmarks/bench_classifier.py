"""The plain classifier against logistic regression and nearest neighbours on raw values: `python -m
tests.benchmarks.bench_classifier`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from core.stats.bootstrap import mean_interval
from tests.benchmarks._common import over_seeds, probe, row, run, table, verdict

SEEDS = [0, 1, 2]


def accuracy(
    prob: np.ndarray, classes: list[str], data: Dataset, part: str
) -> tuple[float, float, float]:
    """(value, low, high) on `part`, patients drawn whole where there are any."""
    at = np.flatnonzero(data.splits == part)
    right = (
        np.array([classes[j] for j in prob[at].argmax(1)])
        == np.array(data.classes)[data.labels[at]]
    )
    groups = data.groups[at] if data.groups is not None else None
    return float(right.mean()), *mean_interval(right, groups).bounds


def tables() -> list[dict[str, Any]]:
    found, sets = (
        [],
        [
            ("digits (scikit-learn)", make_sample("digits"), "test"),
            ("breast-cancer (scikit-learn)", make_sample("breast-cancer"), "test"),
        ],
    )
    if shared_data():
        sets.append(
            ("PneumoniaMNIST, balanced", read(shared_data() / "pneumoniamnist_balanced"), "val")
        )
    for name, data, part in sets:
        given = [run("classifier", data, seed=s)[1]["predictions"] for s in SEEDS]
        scores = [accuracy(g.prob, g.classes, data, part) for g in given]
        flat = data.inputs().reshape(len(data), -1)
        rows = [
            row("plain classifier (first seed, interval over cases)", scores[0]),
            row(
                "plain classifier (three seeds, least to largest)",
                over_seeds([s[0] for s in scores]),
            ),
            row("logistic regression on raw values", probe(flat, data, part, value="accuracy")),
            row(
                "20 nearest cases on raw values",
                probe(flat, data, part, reader="knn", value="accuracy"),
            ),
        ]
        n = int((data.splits == part).sum())
        found.append(
            table(
                f"Telling the classes apart: {name}",
                name,
                part,
                n,
                SEEDS,
                "accuracy",
                rows,
                verdict([rows[0], *rows[2:]]),
            )
        )
    return found


if __name__ == "__main__":
    store_evidence("classifier", tables())
