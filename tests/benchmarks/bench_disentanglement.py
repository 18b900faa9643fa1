"""Disentanglement of latent spaces of the head phantom, whose factors are known: `python -m
tests.benchmarks.bench_disentanglement`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.artifacts import Embedding, Metric
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.evidence import store_evidence
from core.measures.disentanglement import Disentanglement, find_factors
from tests.benchmarks._common import Spread, latent, row, run, table
from tests.benchmarks.bench_gaussian_vae import untrained

AXES, EPOCHS = 10, 30


def spaces(data: Dataset) -> dict[str, np.ndarray]:
    vae = {"epochs": EPOCHS, "latent": AXES, "classifier": False}
    found = {
        f"variational autoencoder, beta {beta}": np.asarray(
            latent(run("gaussian_vae", data, vae | {"beta": float(beta)})[1]).z
        )
        for beta in (1, 4, 16)
    }
    found[f"principal components, {AXES} axes"] = np.asarray(
        latent(run("pca", data, {"dimensions": AXES})[1]).z
    )
    found["untrained encoder"] = untrained("gaussian_vae", data, {"latent": AXES})
    factors = data.frame[find_factors(data)].to_numpy(float)
    found["the factors themselves (control)"] = factors
    found["noise (control)"] = np.random.default_rng(0).normal(size=(len(data), AXES))
    return found


def bounds(m: Metric) -> Any:
    """A figure with its bounds, as what they are."""
    assert m.value is not None
    values = (m.value, m.low, m.high)
    if m.kind == "range" and m.low is not None and m.high is not None:
        return Spread((m.value, m.low, m.high))
    return values


def say(name: str, rows: list[dict[str, Any]]) -> str:
    """Whether training helped, against axes that cost nothing."""
    trained, rivals = rows[:3], rows[3:5]
    best, rival = (max(r, key=lambda x: x["value"]) for r in (trained, rivals))
    beta = rows[1]["value"] - rows[0]["value"]
    side = "ahead of" if best["value"] > rival["value"] else "behind"
    return (
        f"The best trained space, {best['name']} ({best['value']:.2f}), is {side} {rival['name']}"
        f" ({rival['value']:.2f}). Beta 4 in place of 1 changes {beta:+.2f}."
    )


def tables() -> list[dict[str, Any]]:
    data = make_sample("head-phantom")
    found: dict[str, list[dict[str, Any]]] = {}
    for name, z in spaces(data).items():
        embedding = Embedding(rows=data.rows, z=z.astype("f4"))
        for m in Disentanglement().compute(data, embedding, rng=np.random.default_rng(0)):
            found.setdefault(m.name, []).append(row(name, bounds(m)))
    words = {"FactorVAE score": "FactorVAE score (chance 0.20)"}
    return [
        table(
            f"Axes against known factors: {name}",
            f"head phantom, 5 factors, codes of {AXES} axes",
            "all",
            len(data),
            [0],
            words.get(name, name),
            rows,
            say(name, rows),
        )
        for name, rows in found.items()
    ]


if __name__ == "__main__":
    store_evidence("disentanglement", tables())
