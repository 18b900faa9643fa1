"""PCA against raw columns and a random projection: `python -m tests.benchmarks.bench_pca`."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.samples.catalogue import make_sample
from core.evidence import store_evidence
from tests.benchmarks._common import latent, probe, row, run, table, verdict


def tables() -> list[dict[str, Any]]:
    found = []
    for name in ("digits", "breast-cancer"):
        data = make_sample(name)
        d = 16 if name == "digits" else 8
        x = data.inputs().reshape(len(data), -1)
        z = latent(run("pca", data, {"dimensions": d})[1]).z
        rng = np.random.default_rng(0)
        scaled = (x - x[data.splits == "train"].mean(0)) / np.maximum(
            x[data.splits == "train"].std(0), 1e-6
        )
        rows = [
            row(f"PCA {d}-d", probe(z, data, "test", value="accuracy")),
            row(
                f"random projection {d}-d",
                probe(scaled @ rng.normal(size=(x.shape[1], d)), data, "test", value="accuracy"),
            ),
            row(f"all {x.shape[1]} columns", probe(x, data, "test", value="accuracy")),
        ]
        found.append(
            table(
                f"Telling classes apart: {name}",
                f"{name} (scikit-learn)",
                "test",
                int((data.splits == "test").sum()),
                [0],
                "linear-probe accuracy",
                rows,
                verdict(rows),
            )
        )
    return found


if __name__ == "__main__":
    store_evidence("pca", tables())
