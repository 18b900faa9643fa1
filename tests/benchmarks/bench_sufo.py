"""SUFO on medical abstracts: fine-tuned against word counts and the untouched model; probing by
layer; the deletion test: `python -m tests.benchmarks.bench_sufo`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from core.stats.bootstrap import interval
from tests.benchmarks._common import change, row, run, table, verdict

WAYS = {
    "tiny BERT made here": {"epochs": 8},
    "tiny BERT, untouched (random)": {"epochs": 1, "learning_rate": 1e-9},
    "MiniLM, two layers fine-tuned": {
        "model": "minilm",
        "epochs": 2,
        "longest": 64,
        "frozen": 4,
        "learning_rate": 2e-4,
    },
}


def counted(data: Dataset) -> tuple[float, float, float]:
    """Macro-F1 on test of logistic regression on word counts."""
    train, test = data.splits == "train", data.splits == "test"
    x = TfidfVectorizer(min_df=3, stop_words="english", ngram_range=(1, 2)).fit(data.texts[train])
    said = (
        LogisticRegression(C=3, max_iter=500, class_weight="balanced")
        .fit(x.transform(data.texts[train]), data.labels[train])
        .predict(x.transform(data.texts[test]))
    )
    truth = data.labels[test]

    def score(i):
        return float(
            f1_score(truth[i], said[i], average="macro", labels=np.unique(truth), zero_division=0)
        )

    return score(np.arange(len(truth))), *interval(score, len(truth), within=(0, 1)).bounds


def tables() -> list[dict[str, Any]]:
    data = (
        read(shared_data() / "medical_abstracts_tc" / "medical_tc.csv", label="condition_label")
        if shared_data()
        else make_sample("notes")
    )
    n, name, given = int((data.splits == "test").sum()), data.name, {}
    for words, params in WAYS.items():
        given[words] = run("sufo", data, params)[1]
        print(words, flush=True)

    def get(words, metric):
        return next(
            (m.value, m.low, m.high)
            for m in given[words]["metrics"]
            if m.name == metric and m.group == "all"
        )

    rows = [row(w, get(w, "macro-F1")) for w in WAYS] + [
        row("word counts, logistic regression", counted(data))
    ]
    found = [
        table("Telling the conditions apart", name, "test", n, [0], "macro-F1", rows, verdict(rows))
    ]
    for words in ("tiny BERT made here", "MiniLM, two layers fine-tuned"):
        probing = np.asarray(given[words]["grid-probing"].value)
        layers = given[words]["grid-probing"].y
        rows = [
            row(f"{layer}, before → after", change(float(v[0]), float(v[-1])))
            for layer, v in zip(layers, probing)
        ]
        words_ = (
            f"Best after training: {layers[int(probing[:, -1].argmax())]}"
            f" ({probing[:, -1].max():.2f}); the last layer goes from {probing[-1, 0]:.2f} to"
            f" {probing[-1, -1]:.2f}."
        )
        found.append(
            table(
                f"Probing layer by layer: {words}",
                name,
                "200 validation texts",
                200,
                [0],
                "macro-F1 of a linear reader after training; the bar reaches from before to after",
                rows,
                words_,
            )
        )
    for words in ("tiny BERT made here", "MiniLM, two layers fine-tuned"):
        rows = [
            row(w, get(words, f"fall of the predicted class without its {w}"))
            for w in ("weightiest words", "random words")
        ]
        found.append(
            table(
                f"Leaving five words out: {words}",
                name,
                "60 test texts",
                60,
                [0],
                "fall of the predicted class's probability",
                rows,
                verdict(rows),
            )
        )
    return found


if __name__ == "__main__":
    store_evidence("sufo", tables())
