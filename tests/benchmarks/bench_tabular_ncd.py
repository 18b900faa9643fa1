"""Novel class discovery against k-means on raw columns and on PCA, and fixed weights: `python -m
tests.benchmarks.bench_tabular_ncd`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.evidence import store_evidence
from core.methods.discovery._groups import estimate_k
from core.stats.bootstrap import mean_interval
from core.stats.cluster_agreement import accuracy
from core.training.run import Run
from tests.benchmarks._common import over_seeds, row, run, table, verdict

SPLITS = ("0,3,5,6,7", "1,2,4,8,9", "0,1,2,3,4")


def digits_table() -> Dataset:
    d = make_sample("digits")
    return Dataset(
        "digits-table",
        "table",
        d.table,
        d.raw().reshape(len(d), -1).astype("f4"),
        roles=d.roles,
        features=tuple(f"p{i}" for i in range(64)),
    )


def kmeans(x: np.ndarray, data: Dataset, novel: np.ndarray, k: int = 5) -> float:
    """Accuracy of k-means on the novel rows; k = 0 estimates it as our method does."""
    from sklearn.cluster import KMeans

    train, test = novel & (data.splits == "train"), novel & (data.splits == "test")
    k = k or estimate_k(x[train], 15, Run(seed=0))[0]
    return accuracy(
        KMeans(k, n_init=10, random_state=0).fit(x[train]).predict(x[test]), data.labels[test]
    )


def tables() -> list[dict[str, Any]]:
    data = digits_table()
    x = data.inputs() / 16
    from sklearn.decomposition import PCA

    flat = PCA(16).fit(x[data.splits == "train"]).transform(x)
    told: dict[str, list[float]] = {
        "PBN, weight tuned on known classes": [],
        "PBN, weight 0.2": [],
        "PBN, weight 0.8": [],
        "k-means, raw columns": [],
        "k-means, PCA 16-d": [],
    }
    guessed: dict[str, list[float]] = {
        "PBN, weight tuned on known classes": [],
        "k-means, raw columns": [],
    }
    counts, known = [], []
    for names in SPLITS:
        novel = np.isin(data.labels, [int(c) for c in names.split(",")])
        test = novel & (data.splits == "test")
        fitted, given = run("tabular_ncd", data, {"novel": names})
        guessed["PBN, weight tuned on known classes"].append(
            accuracy(given["clusters-groups"].label[test], data.labels[test])
        )
        counts.append(sum(not k for k in given["clusters-groups"].known))
        said, held = given["predictions-known"], ~novel & (data.splits == "test")
        known.append(
            float(
                np.mean(
                    [
                        said.classes[j] == data.classes[c]
                        for j, c in zip(said.prob[held].argmax(1), data.labels[held])
                    ]
                )
            )
        )
        for title, weight in (
            ("PBN, weight tuned on known classes", fitted.weight_),
            ("PBN, weight 0.2", 0.2),
            ("PBN, weight 0.8", 0.8),
        ):
            _, given = run(
                "tabular_ncd", data, {"novel": names, "tune": False, "weight": weight, "groups": 5}
            )
            told[title].append(accuracy(given["clusters-groups"].label[test], data.labels[test]))
        told["k-means, raw columns"].append(kmeans(x, data, novel))
        told["k-means, PCA 16-d"].append(kmeans(flat, data, novel))
        guessed["k-means, raw columns"].append(kmeans(x, data, novel, 0))
    rows = [row(k, over_seeds(v)) for k, v in told.items()]
    n = int((data.splits == "test").sum()) // 2
    found = [
        table(
            "Discovering five hidden digits (range over three choices of hidden classes; all are"
            " told there are five)",
            "digits as a table",
            "test",
            n,
            [0],
            "clustering accuracy of novel rows",
            rows,
            verdict(rows),
        )
    ]
    rows = [row(k, over_seeds(v)) for k, v in guessed.items()]
    found.append(
        table(
            "The same without being told how many",
            "digits as a table",
            "test",
            n,
            [0],
            "clustering accuracy of novel rows",
            rows,
            verdict(rows),
        )
    )
    rows = [
        row("estimated number of novel groups", over_seeds([float(c) for c in counts])),
        row("true number", (5.0, None, None)),
    ]
    found.append(
        table(
            "How many novel groups",
            "digits as a table",
            "train",
            n,
            [0],
            "groups",
            rows,
            f"Estimated {counts} where 5 are true.",
        )
    )
    rows = [row("known-class accuracy", over_seeds(known))]
    found.append(
        table(
            "Known classes stay known",
            "digits as a table",
            "test",
            n,
            [0],
            "accuracy",
            rows,
            f"Known rows are named right in {np.mean(known):.1%} of cases.",
        )
    )
    cancer = make_sample("breast-cancer")
    _, given = run("tabular_ncd", cancer, {"novel": "malignant"})
    test = cancer.splits == "test"
    label = given["clusters-groups"].label[test]
    hidden = cancer.labels[test] == cancer.classes.index("malignant")
    share = [float(np.bincount(label[hidden]).max() / hidden.sum())]
    low, high = mean_interval(label[hidden] == np.bincount(label[hidden]).argmax()).bounds
    rows = [row("largest novel group's share of hidden malignant rows", (share[0], low, high))]
    found.append(
        table(
            "One known class only: breast cancer, malignant hidden",
            "breast-cancer (scikit-learn)",
            "test",
            int(hidden.sum()),
            [0],
            "share",
            rows,
            "With one known class this is an autoencoder with k-means: it splits the hidden class"
            " rather than finding it whole.",
        )
    )
    return found


if __name__ == "__main__":
    store_evidence("tabular_ncd", tables())
