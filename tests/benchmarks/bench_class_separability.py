"""Does the label-free score follow the labels along training? And what watching costs: `python -m
tests.benchmarks.bench_class_separability`.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from core.measures.class_separability import ClassSeparability
from core.measures.rankme import RankMe
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.benchmarks._common import over_seeds, row, table, verdict

SEEDS = [0, 1, 2]
OWN, LABELS = ClassSeparability.title.lower(), "Fisher ratio (with labels)"


def watched(
    id: str, data: Dataset, params: dict[str, Any], seed: int, on: bool = True
) -> tuple[list[dict[str, float]], float, float]:
    """The looks along a training, its seconds, and the seconds spent looking."""
    kind, seen, spent = methods()[id], [], [0.0]
    old, kind.watched = kind.watched, False
    try:
        run = Run(seed=seed, device="auto")
        from core.training.fit import watch

        method = kind(check_params(kind, params))
        if on:
            inner = watch(method, data)

            def look() -> dict[str, float]:
                began = time.perf_counter()
                seen.append(inner())
                spent[0] += time.perf_counter() - began
                return seen[-1]

            run.watch = look
        began = time.perf_counter()
        with run.seeded():
            method.fit(data, run)
        return seen, time.perf_counter() - began, spent[0]
    finally:
        kind.watched = old


def tables() -> list[dict[str, Any]]:
    sets = [("digits (scikit-learn)", make_sample("digits"))] + (
        [("PneumoniaMNIST, balanced", read(shared_data() / "pneumoniamnist_balanced"))]
        if shared_data()
        else []
    )
    found, share = [], []
    rows = []
    for id, epochs in (("gaussian_vae", 15), ("swav", 15), ("classifier", 6)):
        for name, data in sets:
            follow = []
            for seed in SEEDS if name.startswith("digits") else SEEDS[:1]:
                looks, total, spent = watched(id, data, {"epochs": epochs}, seed)
                follow.append(
                    float(spearmanr([s[OWN] for s in looks], [s[LABELS] for s in looks]).statistic)
                )
                share.append(spent / total)
            rows.append(row(f"{id} on {name.partition(' ')[0].rstrip(',')}", over_seeds(follow)))
    good = sum(r["value"] > 0.6 for r in rows)
    words = (
        "Along training the label-free score rises with the Fisher ratio (rank correlation above"
        f" 0.6) in {good} of {len(rows)} settings; where it does not, it must not choose the epoch."
    )
    found.append(
        table(
            "Following the labels along training, ten looks",
            "digits and PneumoniaMNIST",
            "300 training cases",
            300,
            SEEDS,
            "rank correlation with the Fisher ratio",
            rows,
            words,
        )
    )
    rows = [
        row("watching, share of the training's time", over_seeds(share)),
        row("allowed", (0.03, None, None)),
    ]
    found.append(
        table(
            "What watching costs",
            "digits and PneumoniaMNIST",
            "train",
            300,
            SEEDS,
            "share of the training's seconds",
            rows,
            verdict(rows, False),
            False,
        )
    )
    found.append(across())
    return found


def across() -> dict[str, Any]:
    """Between methods on one dataset: does it order finished embeddings as 1-nearest-neighbour
    accuracy does? RankMe, also label-free, is the rival.
    """
    from sklearn.neighbors import KNeighborsClassifier

    data, mine, theirs, right = make_sample("digits"), [], [], []
    for id, params in (
        ("pca", {"dimensions": 2}),
        ("pca", {"dimensions": 16}),
        ("gaussian_vae", {"epochs": 3, "latent": 2}),
        ("gaussian_vae", {"epochs": 15}),
        ("swav", {"epochs": 2}),
        ("swav", {"epochs": 15}),
        ("classifier", {"epochs": 1}),
        ("classifier", {"epochs": 10}),
    ):
        kind = methods()[id]
        _, artifacts = fit_and_apply(
            kind, check_params(kind, params), data, Run(seed=0, device="auto")
        )
        e = next(a for a in artifacts if a.slug == "embedding-latent")
        mine.append(ClassSeparability().compute(data, e, rng=np.random.default_rng(0))[0].value)
        theirs.append(RankMe().compute(data, e, rng=np.random.default_rng(0))[0].value)
        z, train, test = (
            e.z / np.maximum(np.linalg.norm(e.z, axis=1, keepdims=True), 1e-12),
            data.splits == "train",
            data.splits == "test",
        )
        right.append(
            KNeighborsClassifier(1)
            .fit(z[train], data.labels[train])
            .score(z[test], data.labels[test])
        )
    rows = [
        row("separability without labels", (float(spearmanr(mine, right).statistic), None, None)),
        row("RankMe", (float(spearmanr(theirs, right).statistic), None, None)),
    ]
    return table(
        "Ordering eight finished embeddings as the nearest neighbour's accuracy does",
        "digits (scikit-learn)",
        "test",
        8,
        [0],
        "rank correlation",
        rows,
        verdict(rows),
    )


if __name__ == "__main__":
    store_evidence("class_separability", tables())
