"""QuickSelection against variance, the Laplacian score, random and all columns: `python -m
tests.benchmarks.bench_quick_selection`.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import laplacian
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.neighbors import kneighbors_graph

from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.data.splits import add_split
from core.evidence import shared_data, store_evidence
from core.training.run import Run
from tests.benchmarks._common import over_seeds, row, run, table, verdict

SEEDS = [0, 1, 2]


def gut(name: str) -> Dataset:
    """One of the gut-flora tables: taxa by samples, turned so that a row is a person; square roots
    of the shares.
    """
    folder = shared_data()
    assert folder is not None
    x = pd.read_csv(
        folder / "gut_microbiome_popphy" / name / "abundance.tsv",
        sep="\t",
        header=None,
        index_col=0,
    ).T.to_numpy("f4")
    names = pd.read_csv(
        folder / "gut_microbiome_popphy" / name / "abundance.tsv",
        sep="\t",
        header=None,
        usecols=[0],
    )[0].astype(str)
    labels = (folder / "gut_microbiome_popphy" / name / "labels.txt").read_text().split("\n")
    lines, roles, _ = add_split(
        pd.DataFrame({"label": [v.strip() for v in labels if v.strip()]}), {"label": "label"}
    )
    return Dataset(
        name,
        "table",
        lines,
        np.sqrt(np.maximum(x, 0)),
        roles=roles,
        features=tuple(n.split("|")[-1] for n in names),
    )


def outliers(name: str) -> Dataset:
    folder = shared_data()
    assert folder is not None
    file = np.load(folder / "adbench_classical" / f"{name}.npz", allow_pickle=False)
    lines, roles, _ = add_split(
        pd.DataFrame({"label": file["y"].astype(int).astype(str)}), {"label": "label"}
    )
    return Dataset(
        name,
        "table",
        lines,
        file["X"].astype("f4"),
        roles=roles,
        features=tuple(f"column {i + 1}" for i in range(file["X"].shape[1])),
    )


def laplacian_score(x: np.ndarray) -> np.ndarray:
    """Laplacian score of each column (small = keeps neighbours together), 5 neighbours; He, Cai,
    Niyogi 2005.
    """
    w = kneighbors_graph(x, 5, mode="connectivity")
    w = w.maximum(w.T)
    d, graph = np.asarray(w.sum(1)).ravel(), laplacian(w)
    centred = x - (d @ x) / d.sum()
    return np.einsum("ij,ij->j", centred, graph @ centred) / np.maximum(
        np.einsum("ij,i,ij->j", centred, d, centred), 1e-12
    )


def scores(data: Dataset, keep: int) -> dict[str, list[float]]:
    """Balanced accuracy of 50 trees on test, per seed, by the columns used."""
    train, test = data.splits == "train", data.splits == "test"
    got: dict[str, list[float]] = {}
    for seed in SEEDS:
        fitted, _ = run("quick_selection", data, {"keep": keep}, seed)
        x = Run(device="cpu").map(fitted.flat, data)
        raw = data.inputs().reshape(len(data), -1)
        spread = (raw[train] - raw[train].min(0)) / np.maximum(np.ptp(raw[train], axis=0), 1e-12)
        ways = {
            "QuickSelection": fitted.chosen_,
            "largest variance (columns scaled to 0-1)": np.argsort(-spread.var(0), kind="stable")[
                :keep
            ],
            "Laplacian score": np.argsort(
                np.where(spread.var(0) > 0, laplacian_score(x[train]), np.inf), kind="stable"
            )[:keep],
            "random": np.random.default_rng(seed).choice(x.shape[1], keep, replace=False),
            "all columns": np.arange(x.shape[1]),
        }
        for name, columns in ways.items():
            said = (
                ExtraTreesClassifier(50, class_weight="balanced", random_state=seed)
                .fit(x[train][:, columns], data.labels[train])
                .predict(x[test][:, columns])
            )
            truth = data.labels[test]
            got.setdefault(name, []).append(
                float(np.mean([(said[truth == c] == c).mean() for c in np.unique(truth)]))
            )
    return got


def tables() -> list[dict[str, Any]]:
    sets = [
        ("digits (scikit-learn)", make_sample("digits"), 20),
        ("breast-cancer (scikit-learn)", make_sample("breast-cancer"), 6),
    ]
    if shared_data():
        sets += [(f"gut flora, {n} (PopPhy)", gut(n), 40) for n in ("Cirrhosis", "T2D")]
        sets += [
            (f"{n} (ADBench)", outliers(n), 8)
            for n in ("7_Cardiotocography", "18_Ionosphere", "24_mnist")
        ]
    found = []
    for name, data, keep in sets:
        got = scores(data, keep)
        n, p = int((data.splits == "test").sum()), int(np.prod(data.shape))
        rows = [row(k, over_seeds(v)) for k, v in got.items()]
        found.append(
            table(
                f"Telling classes apart from {keep} of {p} columns: {name}",
                name,
                "test",
                n,
                SEEDS,
                "balanced accuracy of 50 trees, mean and range over seeds",
                rows,
                verdict(rows[:4]),
            )
        )
    found.append(cost(sets[2][1] if len(sets) > 2 else sets[0][1]))
    return found


def cost(data: Dataset) -> dict[str, Any]:
    """Memory, multiplications and least processor time of one step of the sparse network and of a
    dense one of the same size.
    """
    import torch

    from core.nets.sparse import SparseAutoencoder

    p, hidden = int(np.prod(data.shape)), 1000
    sparse = SparseAutoencoder(p, hidden, 13.0, 0.2, 0)
    dense = torch.nn.Sequential(
        torch.nn.Linear(p, hidden), torch.nn.Sigmoid(), torch.nn.Linear(hidden, p)
    )
    entries, x = len(sparse.first.value) + len(sparse.second.value), torch.randn(100, p)
    nets, times = {"sparse": sparse, "dense": dense}, {"sparse": [], "dense": []}
    for _ in range(30):  # one after the other, so that what else runs here slows both alike
        for name, net in nets.items():
            began = time.process_time()
            net(x).square().mean().backward()
            times[name].append(1000 * (time.process_time() - began))
    least = {name: min(found) for name, found in times.items()}
    rows = [
        row("sparse: million multiplications a row", (entries / 1e6, None, None)),
        row("dense: million multiplications a row", (2 * p * hidden / 1e6, None, None)),
        row("sparse: weights and their places, MB", (entries * 20 / 1e6, None, None)),
        row("dense: weights, MB", (2 * p * hidden * 4 / 1e6, None, None)),
        row("sparse: processor ms a step of 100 rows", (least["sparse"], None, None)),
        row("dense: processor ms a step of 100 rows", (least["dense"], None, None)),
    ]
    words = (
        f"The sparse network does {entries / (2 * p * hidden):.0%} of the multiplications; a step"
        f" takes {least['sparse'] / least['dense']:.1f} times as long as the dense one's, whose"
        " arithmetic libraries do better."
    )
    return table(
        f"What it costs, {p} columns and 1,000 hidden units (the paper's size)",
        data.name,
        "train",
        100,
        [0],
        "see each line",
        rows,
        words,
        False,
    )


if __name__ == "__main__":
    store_evidence("quick_selection", tables())
