"""Disentanglement of latent spaces of the head phantom, whose factors are known: `python -m
tests.benchmarks.bench_disentanglement`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import t as student

from core.artifacts import Embedding, Metric
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.evidence import store_evidence
from core.measures.disentanglement import Disentanglement, find_factors
from tests.benchmarks._common import Spread, latent, over_seeds, row, run, table
from tests.benchmarks.bench_gaussian_vae import untrained

AXES, EPOCHS = 10, 30
SEEDS = [0, 1, 2]


def spaces(data: Dataset, seed: int) -> dict[str, np.ndarray]:
    vae = {"epochs": EPOCHS, "latent": AXES, "classifier": False}
    found = {
        f"variational autoencoder, beta {beta}": np.asarray(
            latent(run("gaussian_vae", data, vae | {"beta": float(beta)}, seed)[1]).z
        )
        for beta in (1, 4, 16)
    }
    found[f"principal components, {AXES} axes"] = np.asarray(
        latent(run("pca", data, {"dimensions": AXES}, seed)[1]).z
    )
    found["untrained encoder"] = untrained("gaussian_vae", data, {"latent": AXES}, seed)
    factors = data.frame[find_factors(data)].to_numpy(float)
    found["the factors themselves (control)"] = factors
    found["noise (control)"] = np.random.default_rng(seed).normal(size=(len(data), AXES))
    return found


def bounds(each: list[Metric]) -> Any:
    """The mean over seeds with the least and the largest; a space that no seed changes has the
    bounds over patients of its one figure.
    """
    values = [m.value for m in each]
    assert None not in values
    if len({round(v, 6) for v in values}) > 1:
        return over_seeds(values)
    m = each[0]
    if m.kind == "range" and m.low is not None and m.high is not None:
        return Spread((m.value, m.low, m.high))
    return (m.value, m.low, m.high)


def say(name: str, rows: list[dict[str, Any]], each: list[list[float]]) -> str:
    """Whether training helped, against axes that cost nothing, seed by seed."""
    trained, rivals = rows[:3], rows[3:5]
    best, rival = (max(range(len(r)), key=lambda i: r[i]["value"]) for r in (trained, rivals))
    gap = np.subtract(each[best], each[3 + rival])
    ahead = int((gap > 0).sum())
    return (
        f"The best trained space, {trained[best]['name']} ({trained[best]['value']:.2f}), is ahead"
        f" of {rivals[rival]['name']} ({rivals[rival]['value']:.2f}) with {ahead} of"
        f" {len(gap)} seeds: {over(gap)}. Beta 4 in place of 1 changes"
        f" {over(np.subtract(each[1], each[0]))}."
    )


def over(differences: np.ndarray) -> str:
    """Mean of differences [s] with its 95 % interval over seeds (Student's t), in words."""
    n = len(differences)
    half = float(student.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n))
    mean = float(differences.mean())
    return f"{mean:+.2f} (95 % interval over seeds {mean - half:+.2f} to {mean + half:+.2f})"


def tables() -> list[dict[str, Any]]:
    data = make_sample("head-phantom")
    found: dict[str, dict[str, list[Metric]]] = {}
    for seed in SEEDS:
        for space, z in spaces(data, seed).items():
            embedding = Embedding(rows=data.rows, z=z.astype("f4"))
            for m in Disentanglement().compute(data, embedding, rng=np.random.default_rng(seed)):
                found.setdefault(m.name, {}).setdefault(space, []).append(m)
        print(f"seed {seed} done", flush=True)
    words = {"FactorVAE score": "FactorVAE score (chance 0.20)"}
    made = []
    for name, by in found.items():
        rows = [row(space, bounds(each)) for space, each in by.items()]
        values = [[float(m.value or 0.0) for m in each] for each in by.values()]
        made.append(
            table(
                f"Axes against known factors: {name}",
                f"head phantom, 5 factors, codes of {AXES} axes",
                "all",
                len(data),
                SEEDS,
                words.get(name, name),
                rows,
                say(name, rows, values),
            )
        )
    return made


if __name__ == "__main__":
    store_evidence("disentanglement", tables())
