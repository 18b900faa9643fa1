"""Sparse autoencoders against TopK, ReLU and PCA on three embeddings: `python -m
tests.benchmarks.bench_sparse_autoencoders [ID]`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from core.artifacts import Embedding
from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from tests.benchmarks._common import latent, over_seeds, row, run, table, verdict

IDS = ("abs_topk_sae", "variational_sae")
SEEDS, K = [0, 1, 2], 8
WAYS = {
    "AbsTopK": ("abs_topk_sae", {}),
    "TopK": ("abs_topk_sae", {"rule": "top-k"}),
    "ReLU with L1": ("abs_topk_sae", {"rule": "relu"}),
    "variational, learned spread": ("variational_sae", {}),
    "variational, spread 1": ("variational_sae", {"spread": "one"}),
}


def minilm(data: Dataset) -> Embedding:
    """MiniLM's sentence embeddings, by the text method where there is one."""
    return latent(run("sentence_encoder", data)[1])


def spaces() -> list[tuple[str, Dataset, Embedding]]:
    digits = make_sample("digits")
    found = [("SwAV on digits", digits, latent(run("swav", digits, {"epochs": 15})[1]))]
    if shared_data():
        chest = read(shared_data() / "pneumoniamnist_balanced")
        found.append(
            (
                "autoencoder on PneumoniaMNIST",
                chest,
                latent(run("gaussian_vae", chest, {"epochs": 8})[1]),
            )
        )
        from core.registry import methods

        if "sentence_encoder" in methods():
            words = read(
                shared_data() / "medical_abstracts_tc" / "medical_tc.csv", label="condition_label"
            )
            found.append(("MiniLM on medical abstracts", words, minilm(words)))
    return found


def figures(given: dict[str, Any]) -> tuple[float, float, float]:
    """(variance explained on held-out cases, features on per case, share never on)."""
    m = list(given["metrics"])
    return m[0].value, m[1].value, m[2].value


def sparse_enough(data: Dataset, on: dict[str, Any], seed: int) -> dict[str, Any]:
    """ReLU's weight of the absolute values at which as many features are on as K, by bisection on
    the whole (its own training, no test figure).
    """
    low, high, made = 1e-3, 30.0, {}
    for _ in range(7):
        weight = float(np.sqrt(low * high))
        made = run(
            "abs_topk_sae",
            data,
            {"k": K, "rule": "relu", "sparsity": weight, "epochs": 60},
            seed,
            on,
        )[1]
        low, high = (weight, high) if figures(made)[1] > K else (low, weight)
    return made


def tables() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {id: [] for id in IDS}
    for name, data, embedding in spaces():
        on, got = {"embedding-latent": embedding}, {}
        for words, (id, params) in WAYS.items():
            for seed in SEEDS:
                made = (
                    sparse_enough(data, on, seed)
                    if params.get("rule") == "relu"
                    else run(id, data, {"k": K, "epochs": 60, **params}, seed, on)[1]
                )
                got.setdefault(words, []).append(figures(made))
        z, train, test = (
            np.asarray(embedding.z, float),
            data.splits == "train",
            data.splits == "test",
        )
        if not test.any():
            test = data.splits == "val"
        if embedding.metric == "cosine":
            z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
        pca = PCA(min(K, z.shape[1])).fit(z[train])
        floor = (
            1
            - np.square(z[test] - pca.inverse_transform(pca.transform(z[test]))).sum()
            / np.square(z[test] - z[test].mean(0)).sum()
        )
        n = int(test.sum())
        for id, first in (
            ("abs_topk_sae", "AbsTopK"),
            ("variational_sae", "variational, learned spread"),
        ):
            order = [first, *(w for w in WAYS if w != first)]
            rows = [
                row(
                    f"{w} ({np.mean([g[1] for g in got[w]]):.1f} on)",
                    over_seeds([g[0] for g in got[w]]),
                )
                for w in order
            ] + [
                row(
                    f"PCA, the same {min(K, z.shape[1])} for every case", (float(floor), None, None)
                )
            ]
            found[id].append(
                table(
                    f"Latent space explained by {K} features a case: {name}",
                    name,
                    "test" if (data.splits == "test").any() else "val",
                    n,
                    SEEDS,
                    "share of variance, mean and range over seeds",
                    rows,
                    verdict(rows),
                )
            )
            rows = [row(w, over_seeds([g[2] for g in got[w]])) for w in order]
            found[id].append(
                table(
                    f"Features that are never on: {name}",
                    name,
                    "train",
                    int(train.sum()),
                    SEEDS,
                    "share of features",
                    rows,
                    verdict(rows, False),
                    False,
                )
            )
    return found


if __name__ == "__main__":
    for id, made in tables().items():
        if id in (sys.argv[1:] or IDS):
            store_evidence(id, made)
