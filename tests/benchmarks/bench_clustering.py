"""k-means, Gaussian mixture and HDBSCAN on three embeddings of digits, k not given: `python -m
tests.benchmarks.bench_clustering`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from core.artifacts import Embedding
from core.data.samples.catalogue import make_sample
from core.evidence import store_evidence
from core.stats.bootstrap import interval
from tests.benchmarks._common import latent, row, run, table, verdict

IDS = ("kmeans", "gaussian_mixture", "hdbscan")
TITLES = {"kmeans": "k-means", "gaussian_mixture": "Gaussian mixture", "hdbscan": "HDBSCAN"}


def tables(ids: tuple[str, ...] = IDS) -> dict[str, list[dict[str, Any]]]:
    data = make_sample("digits")
    spaces = {
        "SwAV": latent(run("swav", data, {"epochs": 30})[1]),
        "PCA 16-d": latent(run("pca", data)[1]),
        "raw pixels": Embedding(rows=data.rows, z=data.inputs().reshape(len(data), -1)),
    }
    test = np.flatnonzero(data.splits == "test")
    scores: dict[tuple[str, str], tuple[float, float, float]] = {}
    for space, embedding in spaces.items():
        for id in IDS:
            label = run(id, data, on={"embedding": embedding})[1]["clusters-groups"].label[test]
            label = np.where(label < 0, 1000 + np.arange(len(label)), label)
            ari = lambda i, label=label: adjusted_rand_score(data.labels[test][i], label[i])  # noqa: E731
            scores[id, space] = (
                ari(np.arange(len(test))),
                *interval(ari, len(test), within=(-1, 1)).bounds,
            )
    found = {}
    for id in ids:
        rows = [row(f"{TITLES[id]} on SwAV", scores[id, "SwAV"])]
        rows += [
            row(f"{TITLES[i]} on {s}", v)
            for (i, s), v in scores.items()
            if (i, s) != (id, "SwAV") and (i == id or s == "SwAV")
        ]
        found[id] = [
            table(
                f"Finding the ten digits without being told how many: {TITLES[id]}",
                "digits (scikit-learn)",
                "test",
                len(test),
                [0],
                "adjusted Rand index",
                rows,
                verdict(rows),
            )
        ]
    return found


if __name__ == "__main__":
    for id, made in tables(tuple(sys.argv[1:]) or IDS).items():
        store_evidence(id, made)
