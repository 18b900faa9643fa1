"""GMNA on SARS-CoV-2 genomes by place, against nearest genomes, a linear reader and shuffled
places: `python -m tests.benchmarks.bench_gmna`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

from core.data.readers import read
from core.evidence import shared_data, store_evidence
from core.methods.sequences import _network
from core.methods.sequences._kmers import count_kmers
from core.stats.bootstrap import interval
from tests.benchmarks._common import row, run, table, verdict

BY = ("region", "division")


def balanced(said: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    def score(i):
        return float(np.mean([(said[i][truth[i] == c] == c).mean() for c in np.unique(truth[i])]))

    return score(np.arange(len(truth))), *interval(score, len(truth), within=(0, 1)).bounds


def tables() -> list[dict[str, Any]]:
    if shared_data() is None:
        return []
    data, found = read(shared_data() / "sarscov2_location", label="region"), []
    name = "SARS-CoV-2 genomes (nextstrain example)"
    x = normalize(count_kmers(data.texts, 8))
    for by in BY:
        params = {"by": by, "within": "region" if by == "division" else ""}
        fitted, given = run("gmna", data, params)
        y = fitted.codes(data)
        test, train = (
            np.flatnonzero((data.splits == "test") & (y >= 0)),
            np.flatnonzero((data.splits == "train") & (y >= 0)),
        )
        _, cnn = run("gmna", data, params | {"model": "network", "epochs": 10})
        rng = np.random.default_rng(0)
        mixed = replace(data, table=data.table.assign(**{by: rng.permutation(data.table[by])}))
        other, chance = run("gmna", mixed, params | {"within": ""})
        y_mixed = other.codes(mixed)
        test_mixed = np.flatnonzero((mixed.splits == "test") & (y_mixed >= 0))
        rows = [
            row(
                "naive Bayes on 8-mers",
                balanced(given["predictions"].prob[test].argmax(1), y[test]),
            ),
            row(
                "small convolutional network",
                balanced(cnn["predictions"].prob[test].argmax(1), y[test]),
            ),
            row(
                "nearest genome by 8-mers",
                balanced(
                    KNeighborsClassifier(1, metric="cosine", algorithm="brute")
                    .fit(x[train], y[train])
                    .predict(x[test]),
                    y[test],
                ),
            ),
            row(
                "logistic regression on 8-mers",
                balanced(
                    LogisticRegression(C=100, class_weight="balanced", max_iter=500)
                    .fit(x[train], y[train])
                    .predict(x[test]),
                    y[test],
                ),
            ),
            row(
                "naive Bayes, places shuffled",
                balanced(chance["predictions"].prob[test_mixed].argmax(1), y_mixed[test_mixed]),
            ),
        ]
        k = len(fitted.class_names_)
        found.append(
            table(
                f"Telling a genome's {by} among {k} (chance {1 / k:.2f})",
                name,
                "test",
                len(test),
                [0],
                "balanced accuracy",
                rows,
                verdict([rows[0], *rows[2:]]),
            )
        )
        if by == "division":
            found.append(against_rewired(name, given, cnn, chance, y))
    return found


def against_rewired(
    name: str, given: dict[str, Any], cnn: dict[str, Any], chance: dict[str, Any], y: np.ndarray
) -> dict[str, Any]:
    """z of the errors that stay within one region, and of modularity, against rewired networks."""
    key, wanted = "metrics", "modularity of the error network: z"
    z = {
        words: next((m.value for m in found[key] if m.name == wanted), None)
        for words, found in (
            ("naive Bayes", given),
            ("convolutional network", cnn),
            ("places shuffled", chance),
        )
    }
    within = next(m for m in given[key] if m.name == "errors that stay within one region: z")
    rows = [
        row("naive Bayes: errors within one region, z", (within.value, None, None)),
        *(row(f"{w}: modularity, z", (v, None, None)) for w, v in z.items() if v is not None),
    ]
    nets = [
        _network.error_rates(n.source, n.target, len(n.names))
        for n in (given["network-left-one-out"], cnn["network-left-one-out"])
    ]
    off = ~np.eye(len(nets[0]), dtype=bool)
    rows.append(
        row(
            "correlation of the two classifiers' networks",
            (float(np.corrcoef(nets[0][off], nets[1][off])[0, 1]), None, None),
        )
    )
    words = (
        f"Errors between divisions stay within a region {within.value:.1f} standard deviations more"
        " often than in rewired networks; z above 3 is not chance."
    )
    return table(
        "The network of divisions against rewired ones",
        name,
        "all",
        int((y >= 0).sum()),
        [0],
        "standard deviations (last line: correlation)",
        rows,
        words,
    )


if __name__ == "__main__":
    if found := tables():
        store_evidence("gmna", found)
