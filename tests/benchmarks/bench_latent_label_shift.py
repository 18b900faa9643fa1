"""Latent label shift against k-means, an oracle and shuffled sites: `python -m
tests.benchmarks.bench_latent_label_shift`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from core.data.dataset import Dataset
from core.data.samples.generated import shifted_sites
from core.data.scaling import Standardise
from core.evidence import shared_data, store_evidence
from core.stats.cluster_agreement import accuracy
from tests.benchmarks._common import heart, over_seeds, row, run, table, verdict
from tests.methods.test_latent_label_shift import distance, shares

SEEDS = [0, 1, 2]


def flat(data: Dataset) -> np.ndarray:
    import torch

    return (
        Standardise.fit(data.part("train"))(torch.from_numpy(data.inputs()))
        .numpy()
        .reshape(len(data), -1)
    )


def shuffled(data: Dataset, seed: int) -> Dataset:
    column = data.roles["domain"]
    return replace(
        data,
        table=data.table.assign(
            **{column: np.random.default_rng(seed).permutation(data.table[column])}
        ),
    )


def compare(title: str, name: str, made: list[Dataset], k: int) -> list[dict[str, Any]]:
    """Accuracy of the classes found (best matching) and distance of the shares, over seeds."""
    own, mixed, blind, known, away, away_mixed = [], [], [], [], [], []
    for seed, data in zip(SEEDS, made):
        test, train = data.splits == "test", data.splits == "train"
        fitted, given = run("latent_label_shift", data, {"k": k}, seed)
        other, shuffle = run("latent_label_shift", shuffled(data, seed), {"k": k}, seed)
        x = flat(data)
        own.append(accuracy(given["clusters-classes"].label[test], data.labels[test]))
        mixed.append(accuracy(shuffle["clusters-classes"].label[test], data.labels[test]))
        blind.append(
            accuracy(
                KMeans(k, n_init=10, random_state=seed).fit(x[train]).predict(x[test]),
                data.labels[test],
            )
        )
        known.append(
            float(
                LogisticRegression(max_iter=1000)
                .fit(x[train], data.labels[train])
                .score(x[test], data.labels[test])
            )
        )
        away.append(distance(fitted.prior_, shares(data, fitted.sites_)))
        away_mixed.append(distance(other.prior_, shares(data, other.sites_)))
    n = int(np.mean([(d.splits == "test").sum() for d in made]))
    rows = [
        row("latent label shift", over_seeds(own)),
        row("k-means on the inputs, blind to sites", over_seeds(blind)),
        row("sites shuffled", over_seeds(mixed)),
        row("logistic regression with all labels (bound)", over_seeds(known)),
    ]
    found = [
        table(
            title,
            name,
            "test",
            n,
            SEEDS,
            "accuracy after matching, mean and range over seeds",
            rows,
            verdict(rows[:3]),
        )
    ]
    rows = [
        row("latent label shift", over_seeds(away)),
        row("sites shuffled", over_seeds(away_mixed)),
    ]
    found.append(
        table(
            f"Shares of each class: {title.partition(':')[2].strip()}",
            name,
            "train",
            n,
            SEEDS,
            "L1 distance per site (0 to 2)",
            rows,
            verdict(rows, False),
            False,
        )
    )
    return found


def tables() -> list[dict[str, Any]]:
    found = []
    for classes, sites in (((3, 8, 9), 5), ((0, 1, 2, 3, 4), 8)):
        words = f"digits {', '.join(map(str, classes))} over {sites} sites"
        found += compare(
            f"Finding classes without labels: {words}",
            "digits (scikit-learn), shares drawn",
            [shifted_sites(classes, sites, s) for s in SEEDS],
            len(classes),
        )
    if shared_data():
        found += compare(
            "Finding the ill without labels: heart disease, four hospitals",
            "heart disease, four sites (UCI)",
            [heart()] * 3,
            2,
        )
    return found


if __name__ == "__main__":
    store_evidence("latent_label_shift", tables())
