"""Novel class discovery against k-means on raw columns and on PCA, and fixed weights: `python -m tests.benchmarks.bench_tabular_ncd`."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.data.samples import make
from core.evidence import store
from core.matching import accuracy
from core.measure import bootstrap
from tests.benchmarks._common import over_seeds, row, run, table, verdict

SPLITS = ("0,3,5,6,7", "1,2,4,8,9", "0,1,2,3,4")


def digits_table() -> Dataset:
    d = make("digits")
    return Dataset("digits-table", "table", d.table, d.raw().reshape(len(d), -1).astype("f4"), roles=d.roles, features=tuple(f"p{i}" for i in range(64)))


def kmeans(x: np.ndarray, data: Dataset, novel: np.ndarray) -> float:
    from sklearn.cluster import KMeans

    train, test = novel & (data.splits == "train"), novel & (data.splits == "test")
    return accuracy(KMeans(5, n_init=10, random_state=0).fit(x[train]).predict(x[test]), data.labels[test])


def tables() -> list[dict[str, Any]]:
    data = digits_table()
    x = data.inputs() / 16
    from sklearn.decomposition import PCA

    flat = PCA(16).fit(x[data.splits == "train"]).transform(x)
    scores: dict[str, list[float]] = {"PBN, weight tuned on known classes": [], "PBN, weight 0.8": [], "k-means, raw columns": [], "k-means, PCA 16-d": []}
    counts, known = [], []
    for names in SPLITS:
        novel = np.isin(data.labels, [int(c) for c in names.split(",")])
        test = novel & (data.splits == "test")
        for title, params in (("PBN, weight tuned on known classes", {"tune": True}), ("PBN, weight 0.8", {"tune": False, "weight": 0.8})):
            _, given = run("tabular_ncd", data, {"novel": names, **params})
            scores[title].append(accuracy(given["clusters-groups"].label[test], data.labels[test]))
            if params["tune"]:
                counts.append(sum(not k for k in given["clusters-groups"].known))
                said = given["predictions-known"]
                held = ~novel & (data.splits == "test")
                known.append(float(np.mean([said.classes[j] == data.classes[c] for j, c in zip(said.prob[held].argmax(1), data.labels[held])])))
        scores["k-means, raw columns"].append(kmeans(x, data, novel))
        scores["k-means, PCA 16-d"].append(kmeans(flat, data, novel))
    rows = [row(k, over_seeds(v)) for k, v in scores.items()]
    n = int((data.splits == "test").sum()) // 2
    found = [table("Discovering five hidden digits (range over three choices of hidden classes; k-means is told there are five)", "digits as a table", "test", n, [0],
                   "clustering accuracy of novel rows", rows, verdict(rows))]  # fmt: skip
    rows = [row("estimated number of novel groups", over_seeds([float(c) for c in counts])), row("true number", (5.0, None, None))]
    found.append(table("How many novel groups", "digits as a table", "train", n, [0], "groups", rows, f"Estimated {counts} where 5 are true."))
    rows = [row("known-class accuracy", over_seeds(known))]
    found.append(table("Known classes stay known", "digits as a table", "test", n, [0], "accuracy", rows, f"Known rows are named right in {np.mean(known):.1%} of cases."))
    cancer = make("breast-cancer")
    _, given = run("tabular_ncd", cancer, {"novel": "malignant"})
    test = cancer.splits == "test"
    label = given["clusters-groups"].label[test]
    hidden = cancer.labels[test] == cancer.classes.index("malignant")
    rng = np.random.default_rng(0)
    share = [float(np.bincount(label[hidden]).max() / hidden.sum())]
    low, high = bootstrap(lambda i: float(np.bincount(label[hidden][i]).max() / hidden.sum()), int(hidden.sum()), rng, draws=300)
    rows = [row("largest novel group's share of hidden malignant rows", (share[0], low, high))]
    found.append(table("One known class only: breast cancer, malignant hidden", "breast-cancer (scikit-learn)", "test", int(hidden.sum()), [0], "share", rows,
                       "With one known class this is an autoencoder with k-means: it splits the hidden class rather than finding it whole."))  # fmt: skip
    return found


if __name__ == "__main__":
    store("tabular_ncd", tables())
