"""SwAV against the same encoder untrained, raw pixels and PCA; and the control without Sinkhorn:
`python -m tests.benchmarks.bench_swav`.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import torch

from core.data.samples.catalogue import make_sample
from core.evidence import store_evidence
from core.registry import methods
from tests.benchmarks._common import few_labels, latent, over_seeds, probe, row, run, table, verdict


def untrained(data: Any, seed: int) -> np.ndarray:
    kind = methods()["swav"]
    made = kind(kind.Params())
    made.shape_ = data.shape
    torch.manual_seed(seed)
    made.net_ = made.make_net().eval()
    with torch.no_grad():
        return made.net_.encoder(torch.from_numpy(data.inputs())).numpy()


def plain_softmax(scores: torch.Tensor, epsilon: float = 0.05) -> torch.Tensor:
    """What stands in Sinkhorn's place in the control: no call for equal shares."""
    return (scores.detach().float() / epsilon).softmax(1)


def used(given: dict[str, Any]) -> int:
    return len(np.unique(given["clusters-prototypes"].label))


def tables() -> list[dict[str, Any]]:
    data, seeds = make_sample("digits"), [0, 1, 2]
    runs = [run("swav", data, {"epochs": 30}, s)[1] for s in seeds]
    flat, base = (
        data.inputs().reshape(len(data), -1),
        latent(run("pca", data, {"dimensions": 32})[1]).z,
    )
    n = int((data.splits == "test").sum())
    rows = [
        row("SwAV", over_seeds([few_labels(latent(g).z, data)[0] for g in runs])),
        row(
            "untrained encoder",
            over_seeds([few_labels(untrained(data, s), data)[0] for s in seeds]),
        ),
        row("raw pixels", few_labels(flat, data)),
        row("PCA 32-d", few_labels(base, data)),
    ]
    found = [
        table(
            "Nearest labelled case, three labels a class: digits",
            "digits (scikit-learn)",
            "test",
            n,
            seeds,
            "kNN accuracy (k = 1, cosine)",
            rows,
            verdict(rows),
        )
    ]
    rows = [
        row("SwAV", probe(latent(runs[0]).z, data, "test", "cosine", "knn", "accuracy")),
        row(
            "untrained encoder",
            probe(untrained(data, 0), data, "test", "cosine", "knn", "accuracy"),
        ),
        row("raw pixels", probe(flat, data, "test", "cosine", "knn", "accuracy")),
    ]
    found.append(
        table(
            "Nearest cases with all training labels: digits",
            "digits (scikit-learn)",
            "test",
            n,
            [0],
            "kNN accuracy (k = 20, cosine)",
            rows,
            verdict(rows),
        )
    )
    with mock.patch("core.nets.losses.swapped_prediction.sinkhorn", plain_softmax):
        control = used(run("swav", data, {"epochs": 30})[1])
    rows = [
        row("SwAV", (float(used(runs[0])), None, None)),
        row("plain softmax in place of Sinkhorn", (float(control), None, None)),
    ]
    found.append(
        table(
            "Prototypes in use of 30: digits",
            "digits (scikit-learn)",
            "all",
            len(data),
            [0],
            "prototypes",
            rows,
            verdict(rows),
        )
    )
    return found


if __name__ == "__main__":
    store_evidence("swav", tables())
