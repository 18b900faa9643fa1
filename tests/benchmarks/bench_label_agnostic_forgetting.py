"""Forgetting single cases and a whole class, against the model trained anew without them and the
untouched one.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from core.method import check_params
from core.registry import methods
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.benchmarks._common import over_seeds, row, run, table

SEEDS = [0, 1, 2]
MODELS = {
    "unlearned": "after forgetting",
    "trained anew without them": "trained anew without them",
    "untouched": "untouched",
}
ASKED = {
    "accuracy, cases to forget": "accuracy on the cases to forget",
    "accuracy, cases retained": "accuracy on retained cases",
    "accuracy, held-out cases": "accuracy on held-out cases",
    "forgotten cases taken for training cases": (
        "share of forgotten cases an attack takes for training cases"
    ),
}
HELD_OUT = re.compile("test(?= cases)|validation(?= cases)")  # some data have no test part


def forgotten(
    data: Dataset, chosen: np.ndarray, seed: int, params: dict[str, Any]
) -> dict[tuple[str, str], float]:
    base = run("classifier", data, {"epochs": 30}, seed)[1]
    kind = methods()["label_agnostic_forgetting"]
    _, made = fit_and_apply(
        kind, check_params(kind, params), data, Run(seed=seed, on=base, chosen=chosen)
    )
    return {
        (HELD_OUT.sub("held-out", m.name), m.group): m.value
        for m in next(a for a in made if type(a).__name__ == "Metrics")
        if m.value is not None
    }


def tables() -> list[dict[str, Any]]:
    digits = make_sample("digits")
    train = digits.part("train")

    def some(part, s):
        return np.random.default_rng(s).choice(part.rows, len(part) // 10, replace=False)

    cases = [
        ("digits (scikit-learn), one case in ten", digits, lambda s: some(train, s), {}),
        (
            "digits (scikit-learn), all threes",
            digits,
            lambda s: train.rows[train.labels == 3],
            {"temperature": 20.0},
        ),
    ]
    if shared_data():
        lungs = read(shared_data() / "pneumoniamnist_balanced")
        cases.append(
            (
                "PneumoniaMNIST, balanced, one case in ten",
                lungs,
                lambda s: some(lungs.part("train"), s),
                {},
            )
        )
    found = []
    for name, data, chosen, params in cases:
        scores = [forgotten(data, chosen(s), s, params) for s in SEEDS]
        for asked, words in ASKED.items():
            rows = [
                row(said, over_seeds([s[asked, model] for s in scores]))
                for model, said in MODELS.items()
            ]
            values = {r["name"]: r["value"] for r in rows}
            own, anew, before = (values[MODELS[m]] for m in MODELS)
            nearer = (
                "nearer to the model trained anew than the untouched one is"
                if abs(own - anew) < abs(before - anew)
                else "no nearer to the model trained anew than the untouched one is"
            )
            found.append(
                table(
                    f"{words[0].upper()}{words[1:]}: {name}",
                    name,
                    "see title",
                    len(chosen(0)),
                    SEEDS,
                    words,
                    rows,
                    f"The model after forgetting ({own:.3f}) is {nearer} ({anew:.3f} anew,"
                    f" {before:.3f} untouched).",
                )
            )
    return found


if __name__ == "__main__":
    store_evidence("label_agnostic_forgetting", tables())
