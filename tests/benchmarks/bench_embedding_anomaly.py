"""Distances in the latent space of an earlier run against that run's own score and plain rivals, on
chest X-rays, learned from normal ones: `python -m tests.benchmarks.bench_embedding_anomaly`, about
2 minutes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from core.data.dataset import Dataset
from core.data.normal import keep_normal_only
from core.data.readers import read
from core.evidence import shared_data, store_evidence
from core.methods.anomaly._reference import Reference
from core.stats.bootstrap import interval
from tests.benchmarks._common import over_seeds, row, run, table, verdict
from tests.benchmarks.bench_gaussian_vae import untrained

SEEDS = [0, 1, 2]
AXES, NEAR = 16, 5
VAE = {"epochs": 15, "classifier": False, "latent": AXES}
OWN = f"nearest cases in gaussian_vae's {AXES} axes (default)"
MEASURES = {"AUROC": roc_auc_score, "average precision": average_precision_score}


def chest(folder: Path) -> Dataset:
    """The balanced X-rays: every tenth of train validates, and val tests."""
    data = read(folder / "pneumoniamnist_balanced")
    table = data.frame.reset_index(drop=True)
    split = data.roles["split"]
    first = table[split] == "train"
    table[split] = np.where(
        first, np.where(np.arange(len(table)) % 10 == 9, "val", "train"), "test"
    )
    return replace(data, table=table)


def near(z: np.ndarray, data: Dataset) -> np.ndarray:
    """Mean distance to the nearest normal training cases of the test cases, z [n,d]."""
    z = z.reshape(len(z), -1)
    usual = (data.splits == "train") & (data.labels == 0)
    return Reference(z[usual], "nearest cases", NEAR, 0).score(z[data.splits == "test"])


def scores(data: Dataset, seed: int) -> dict[str, np.ndarray]:
    """What each score says of the test cases."""
    learned, test = keep_normal_only(data), data.splits == "test"
    found, spaces = {}, {"gaussian_vae": VAE, "pca": {"dimensions": AXES}}
    own = {}
    for base, params in spaces.items():
        given = run(base, learned, params, seed)[1]
        own[f"{base}'s own score ({AXES} axes)"] = given["anomalymaps"].score[test]
        for score in ("automatic", "Mahalanobis", "isolation forest"):
            on = run("embedding_anomaly", data, {"score": score}, seed, on=given)[1]
            words = "nearest cases" if score == "automatic" else score
            name = OWN if base == "gaussian_vae" and score == "automatic" else ""
            found[name or f"{words} in {base}'s {AXES} axes"] = on["anomalymaps"].score[test]
    x = data.inputs()
    usual = x[(data.splits == "train") & (data.labels == 0)]
    return {
        **found,
        **own,
        "pca's own score (64 axes)": run("pca", learned, {"dimensions": 64}, seed)[1][
            "anomalymaps"
        ].score[test],
        "nearest cases, untrained gaussian_vae": near(
            untrained("gaussian_vae", learned, VAE), data
        ),
        "nearest cases, raw pixels": near(x, data),
        "brightness (mean of all pixels)": x[test].mean((1, 2, 3)),
        "distance from the mean picture": np.abs(x[test] - usual.mean(0)).mean((1, 2, 3)),
    }


def tables(data: Dataset) -> list[dict[str, Any]]:
    truth = data.labels[data.splits == "test"] == 1
    by_seed = [scores(data, seed) for seed in SEEDS]
    found = []
    for measure, of in MEASURES.items():
        rows, ranges = [], []
        for name, score in by_seed[0].items():
            value = _of(of, truth, score)
            bounds = interval(value, len(truth), None, (0, 1), classes=truth).bounds
            rows.append(row(name, (value(np.arange(len(truth))), *bounds)))
            every = [float(of(truth, s[name])) for s in by_seed]
            ranges.append(row(name, over_seeds(every)))
        for seeds, words, lines in (
            (SEEDS[:1], "95 % interval over cases", rows),
            (SEEDS, "range over seeds", ranges),
        ):
            found.append(
                table(
                    "Pneumonia among chest X-rays, learned from normal ones",
                    "pneumoniamnist_balanced (MedMNIST)",
                    "its val, seen by none",
                    len(truth),
                    seeds,
                    f"{measure}, {words}",
                    lines,
                    verdict(lines),
                )
            )
    return found


def _of(of: Any, truth: np.ndarray, score: np.ndarray) -> Any:
    """`of` of the cases at positions i; NaN where one kind is missing among them."""

    def value(i: np.ndarray) -> float:
        return float(of(truth[i], score[i])) if 0 < truth[i].sum() < len(i) else float("nan")

    return value


if __name__ == "__main__":
    folder = shared_data()
    if folder is None:
        sys.exit("The chest X-rays are not here (LIGHTBOX_SHARED names their folder).")
    store_evidence("embedding_anomaly", tables(chest(folder)))
