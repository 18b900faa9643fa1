"""Scores of unusual rows against each other and against PCA's residual, on the tables of ADBench:
`python -m tests.benchmarks.bench_table_anomaly [NAME...]`, NAME a table's file; all by default,
about 12 minutes of a processor. With `pyod` as the NAME: whether ECOD is PyOD's, under a minute.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from core.data.normal import keep_normal_only
from core.methods.anomaly._reference import Reference
from core.stats.bootstrap import mean_interval
from tests.benchmarks._adbench import as_dataset, datasets, table_names
from tests.benchmarks._common import over_seeds, row, run, store_part, table, verdict

SEEDS = [0, 1, 2]
OWN = "automatic (default)"
SCORES: dict[str, dict[str, Any]] = {
    OWN: {},
    "largest of three": {"score": "largest of three"},
    "nearest cases, k 5": {"score": "nearest cases"},
    "Mahalanobis": {"score": "Mahalanobis"},
    "isolation forest": {"score": "isolation forest"},
    "local outlier factor, k 20": {"score": "local outlier factor", "neighbours": 20},
    "ECOD": {"score": "ECOD"},
}
PCA = "PCA residual (the default until now)"
PROTOCOLS = {
    "learned from normal cases": True,
    "learned from all training cases, abnormal ones among them": False,
}
MOST, ALONE = 5000, 50  # rows of each part, and cases scored alone, against PyOD
MEASURES: dict[str, Callable[..., float]] = {
    "AUROC": roc_auc_score,
    "average precision": average_precision_score,
}


def score_table(data: Any, seed: int, normal_only: bool) -> dict[str, np.ndarray]:
    """What each score says of the test cases."""
    test = data.splits == "test"
    which = {"learn_from": "normal cases" if normal_only else "all training cases"}
    found = {
        name: run("table_anomaly", data, {**params, **which}, seed)[1]["anomalymaps"].score[test]
        for name, params in SCORES.items()
    }
    learned = keep_normal_only(data) if normal_only else data
    maps = run("pca", learned, {}, seed)[1].get("anomalymaps")
    found[PCA] = np.zeros(test.sum()) if maps is None else maps.score[test]
    return found


def tables(names: list[str]) -> list[dict[str, Any]]:
    found = []
    for protocol, normal_only in PROTOCOLS.items():
        values: dict[tuple[str, str], dict[str, list[float]]] = {}
        for name, seed, data in datasets(SEEDS, names):
            truth = data.labels[data.splits == "test"] == data.classes.index("abnormal")
            scores = score_table(data, seed, normal_only)
            for measure, of in MEASURES.items():
                for kind, score in scores.items():
                    one = values.setdefault((measure, kind), {}).setdefault(name, [])
                    one.append(float(of(truth, score)))
            if seed == SEEDS[-1]:
                mean = {k: np.mean(v[name]) for (m, k), v in values.items() if m == "AUROC"}
                print(name, " ".join(f"{k} {v:.3f}" for k, v in mean.items()), flush=True)
        for measure in MEASURES:
            found.append(_table(protocol, measure, values, names))
    return found


def _table(protocol: str, measure: str, values: Any, names: list[str]) -> dict[str, Any]:
    """Means over the tables, each the mean over the seeds, with intervals over the tables."""
    rows, per = [], []
    for kind in (*SCORES, PCA):
        of = np.array([np.mean(v) for v in values[measure, kind].values()])
        per.append(of)
        taken = kind != OWN and np.array_equal(of, per[0])  # so it is no rival of the default
        name = f"{kind} (what the default takes)" if taken else kind
        rows.append(row(name, (float(of.mean()), *mean_interval(of, within=(0, 1)).bounds)))
    said = verdict([r for r in rows if not r["name"].endswith("(what the default takes)")])
    best = np.max(per[1:], 0)  # another score for each table, by its test cases
    bounds = mean_interval(best, within=(0, 1)).bounds
    rows.append(row("the best for each table (upper bound)", (float(best.mean()), *bounds)))
    return table(
        f"Unusual rows of {len(names)} tables, {protocol}: {measure}",
        "adbench_classical (ADBench)",
        "test, 15 % of each class, parts by seed",
        len(names),
        SEEDS,
        f"{measure}, mean and 95 % interval over tables",
        rows,
        said,
    )


# -- against PyOD ----------------------------------------------------------------------------------
def pyod_tables(names: list[str]) -> list[dict[str, Any]]:
    """Tables of how far ECOD's scores are those of PyOD: one new case at a time, by the largest
    relative difference, and all test cases at once, by rank correlation and AUROC.
    """
    from pyod.models.ecod import ECOD

    gap, alike, auroc = [], [], []
    for name in names:
        data = as_dataset(name, 0)
        train, test = (data.inputs(np.flatnonzero(data.splits == s)) for s in ("train", "test"))
        train, test = train[:MOST], test[:MOST]
        own = Reference(train, "ECOD", 5, 0).score(test)
        theirs = ECOD().fit(train.astype(float))
        alone = [theirs.decision_function(x[None].astype(float))[0] for x in test[:ALONE]]
        gap.append(float(np.max(np.abs(own[:ALONE] - alone) / np.abs(alone))))
        together = theirs.decision_function(test.astype(float))
        alike.append(float(spearmanr(own, together).statistic))
        truth = data.labels[data.splits == "test"][:MOST] == data.classes.index("abnormal")
        auroc.append(float(roc_auc_score(truth, own) - roc_auc_score(truth, together)))
        print(name, f"{gap[-1]:.1e} {alike[-1]:.4f} {auroc[-1]:+.4f}", flush=True)
    found = []
    for what, measure, values, words, better in (
        (
            f"one case at a time, {ALONE} of each table",
            "largest relative difference, millionths",
            [1e6 * g for g in gap],
            f"At most {max(gap):.1e} of a score: the same but for rounding.",
            False,
        ),
        (
            "all test cases at once",
            "rank correlation",
            alike,
            "PyOD lets cases that are scored together count for one another; the order of cases"
            f" changes little, by rank correlation {min(alike):.3f} at least.",
            True,
        ),
        (
            "all test cases at once",
            "AUROC, ours less PyOD's",
            auroc,
            f"At most {max(map(abs, auroc)):.4f} apart on any table.",
            True,
        ),
    ):
        rows = [row("ECOD", over_seeds(values))]
        title = f"Are ECOD's scores PyOD's? {what[0].upper()}{what[1:]} (range over tables)"
        data = f"adbench_classical (ADBench), {MOST:,} rows of each part at most"
        found.append(table(title, data, "test", len(names), [0], measure, rows, words, better))
    return found


if __name__ == "__main__":
    if not (every := table_names()):
        sys.exit("The tables of ADBench are not here (LIGHTBOX_SHARED names their folder).")
    chosen = [n for n in sys.argv[1:] if n != "table_anomaly"]
    if "pyod" in chosen or not chosen:
        store_part("table_anomaly", pyod_tables(every))
    if not chosen:
        store_part("table_anomaly", tables(every))
    elif names := [n for n in chosen if n != "pyod"]:
        tables(names)
