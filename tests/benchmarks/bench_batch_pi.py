"""Batch predictive inference against plain conformal sets and Bonferroni, on classifiers of real data: `python -m tests.benchmarks.bench_batch_pi`."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples import make
from core.evidence import shared, store
from core.methods.conformal import _ranks
from tests.benchmarks._common import heart, row, run, table, verdict

M, SHARE, CERTAINTY, DRAWS = 20, 0.9, 0.9, 400


def ways(score: np.ndarray) -> dict[str, float]:
    """Threshold on 1 - p(true class) of each way to make sets."""
    s, n = np.sort(score), len(score)
    plain = min(n, ceil(SHARE * (n + 1))) - 1
    all_hold = ceil((1 - (1 - CERTAINTY) / M) * (n + 1))
    return {
        "batch sets": _ranks.quantile_bound(score, M, ceil(SHARE * M), 1 - CERTAINTY), "plain conformal sets, one by one": float(s[plain]),
        "Bonferroni over the batch": float(s[all_hold - 1]) if all_hold <= n else float("inf"),
        "sets of the 90 % likeliest classes, uncalibrated": float("nan"),
    }  # fmt: skip


def sets(prob: np.ndarray, threshold: float) -> np.ndarray:
    if np.isnan(threshold):
        order = np.argsort(-prob, 1)
        before = np.take_along_axis(prob, order, 1).cumsum(1) - np.take_along_axis(prob, order, 1)
        made = np.zeros(prob.shape, bool)
        np.put_along_axis(made, order, before < SHARE, 1)
        return made
    made = 1 - prob <= threshold
    made[np.arange(len(prob)), prob.argmax(1)] = True
    return made


def compare(name: str, data: Dataset, epochs: int) -> list[dict[str, Any]]:
    """The model learns from train; val and test are drawn anew into calibration and batches 400 times, since one division says little."""
    given = run("classifier", data, {"epochs": epochs, "width": 8})[1]["predictions"]
    held = np.flatnonzero(data.splits != "train")
    place = {c: i for i, c in enumerate(given.classes)}
    prob, y = np.asarray(given.prob[held], float), np.array([place.get(data.classes[c], -1) for c in data.labels[held]])
    prob, y = prob[y >= 0], y[y >= 0]
    rng, kept, size = np.random.default_rng(0), {}, {}
    for _ in range(DRAWS):
        order = rng.permutation(len(y))
        calibration, new = order[:-M], order[-M:]
        for way, threshold in ways(1 - prob[calibration, y[calibration]]).items():
            own = sets(prob[new], threshold)
            kept.setdefault(way, []).append(own[np.arange(M), y[new]].sum() >= ceil(SHARE * M))
            size.setdefault(way, []).append(own.sum(1).mean())
    spread = lambda p: 1.96 * np.sqrt(p * (1 - p) / DRAWS)  # noqa: E731
    rows = [row(w, (float(np.mean(v)), float(np.mean(v) - spread(np.mean(v))), float(np.mean(v) + spread(np.mean(v))))) for w, v in kept.items()]
    words = f"Promised: {CERTAINTY:.0%} of batches. Batch sets keep it in {rows[0]['value']:.0%}, plain conformal sets in {rows[1]['value']:.0%}, uncalibrated ones in {rows[3]['value']:.0%}."
    found = [table(f"Batches of {M} in which 90 % of the sets hold the truth: {name}", name, "val and test, drawn anew", len(y), [0], f"share of {DRAWS} batches (promised {CERTAINTY})", rows, words)]
    rows = [row(w, (float(np.mean(v)), float(np.percentile(v, 2.5)), float(np.percentile(v, 97.5)))) for w, v in size.items()]
    found.append(table(f"Classes in a set: {name}", name, "val and test, drawn anew", len(y), [0], "mean number of classes", rows, verdict([rows[0], rows[2]], False), False))
    return found


def tables() -> list[dict[str, Any]]:
    found = compare("digits (scikit-learn)", make("digits"), 2)
    if shared():
        found += compare("PneumoniaMNIST, balanced", read(shared() / "pneumoniamnist_balanced"), 2)
        found += compare("heart disease, four sites (UCI)", heart(), 15)
    return found


if __name__ == "__main__":
    store("batch_pi", tables())
