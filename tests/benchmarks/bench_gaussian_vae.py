"""The two variational autoencoders against PCA of equal dimensions, an untrained copy and raw
pixels: `python -m tests.benchmarks.bench_gaussian_vae`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from tests.benchmarks._common import latent, probe, row, run, table, verdict

IDS = ("gaussian_vae", "dirichlet_vae")


def untrained(method: str, data: Dataset, params: dict[str, Any], seed: int = 0) -> np.ndarray:
    """Latents of the same network before any step."""
    from core.data.scaling import Standardise
    from core.registry import methods

    kind = methods()[method]
    made = kind(kind.Params(**params))
    made.shape_, made.scale_, made.class_names_ = (
        data.shape,
        Standardise.fit(data.part("train")),
        [],
    )
    torch.manual_seed(seed)
    made.net_, made._fitted = made.make_net().eval(), True  # it is asked without having learned
    with torch.no_grad():
        return made.embed(torch.from_numpy(data.inputs())).numpy()


def tables(method: str) -> list[dict[str, Any]]:
    found = []
    sets: list[tuple[str, Dataset, str, dict[str, Any]]] = [
        ("digits (scikit-learn)", make_sample("digits"), "test", {"epochs": 30})
    ]
    if shared_data() is not None:
        sets.append(
            (
                "pneumoniamnist, balanced",
                read(shared_data() / "pneumoniamnist_balanced" / "pneumoniamnist_balanced.npz"),
                "val",
                {"epochs": 15},
            )
        )
    for name, data, part, params in sets:
        n, value = int((data.splits == part).sum()), "auc" if len(data.classes) == 2 else "accuracy"
        rows = []
        for title, more in (
            ("with the joint classifier", {}),
            ("without labels", {"classifier": False}),
        ):
            _, given = run(method, data, params | more)
            rows.append(
                row(f"{method} 16-d, {title}", probe(latent(given).z, data, part, value=value))
            )
            if more:
                back = given["images-reconstruction"].image
        _, base = run("pca", data, {"dimensions": 16})
        rows.append(row("PCA 16-d", probe(latent(base).z, data, part, value=value)))
        rows.append(
            row(
                "untrained copy 16-d",
                probe(untrained(method, data, params), data, part, value=value),
            )
        )
        flat = data.inputs().reshape(len(data), -1)
        rows.append(row(f"raw pixels {flat.shape[1]}-d", probe(flat, data, part, value=value)))
        label = "linear-probe AUC" if value == "auc" else "linear-probe accuracy"
        found.append(
            table(
                f"Telling classes apart from 16 latent dimensions: {name}",
                name,
                part,
                n,
                [0],
                label,
                rows,
                verdict(rows),
            )
        )
        x, at, mean = (
            data.inputs(),
            data.splits == part,
            data.inputs()[data.splits == "train"].mean(0),
        )
        error = {
            f"{method} 16-d, without labels": back,
            "PCA 16-d": base["images-reconstruction"].image,
            "mean picture": np.broadcast_to(mean, x.shape),
        }
        rows = [
            row(k, (float(np.square(x[at] - v[at]).mean()), None, None)) for k, v in error.items()
        ]
        found.append(
            table(
                f"Redrawing held-out pictures: {name}",
                name,
                part,
                n,
                [0],
                "mean squared error",
                rows,
                verdict(rows, False),
                False,
            )
        )
    return found


if __name__ == "__main__":
    for id in sys.argv[1:] or IDS:
        store_evidence(id, tables(id))
