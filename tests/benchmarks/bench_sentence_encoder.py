"""MiniLM's embeddings against word counts on medical abstracts: `python -m
tests.benchmarks.bench_sentence_encoder`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from tests.benchmarks._common import few_labels, latent, probe, row, run, table, verdict


def tables() -> list[dict[str, Any]]:
    data = (
        read(shared_data() / "medical_abstracts_tc" / "medical_tc.csv", label="condition_label")
        if shared_data()
        else make_sample("notes")
    )
    z, train = latent(run("sentence_encoder", data)[1]).z, data.splits == "train"
    counted = (
        TfidfVectorizer(min_df=3, stop_words="english").fit(data.texts[train]).transform(data.texts)
    )
    svd = TruncatedSVD(100, random_state=0).fit(counted[train]).transform(counted)
    whole = np.asarray(counted.todense())
    n, name = int((data.splits == "test").sum()), data.name
    rows = [
        row("MiniLM, 128 tokens", few_labels(z, data, 5)),
        row("word counts (tf-idf)", few_labels(whole, data, 5)),
        row("word counts, 100 components", few_labels(svd, data, 5)),
    ]
    found = [
        table(
            "Nearest of five labelled texts a class",
            name,
            "test",
            n,
            [0],
            "accuracy, mean and 95 % of 20 draws",
            rows,
            verdict(rows),
        )
    ]
    rows = [
        row(w, probe(x, data, "test", value="accuracy"))
        for w, x in (
            ("MiniLM, 128 tokens", z),
            ("word counts (tf-idf)", whole),
            ("word counts, 100 components", svd),
        )
    ]
    found.append(
        table(
            "A linear reader with all training labels",
            name,
            "test",
            n,
            [0],
            "accuracy",
            rows,
            verdict(rows),
        )
    )
    return found


if __name__ == "__main__":
    store_evidence("sentence_encoder", tables())
