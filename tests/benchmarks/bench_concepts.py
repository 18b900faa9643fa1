"""Concept tests where the truth is known: pictures in which one patch decides the class and a
stripe says nothing, by ours and by plainer ways: `python -m tests.benchmarks.bench_concepts`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import ttest_ind
from sklearn.linear_model import LogisticRegression

from core.evidence import store_evidence
from core.explain.concepts import concept_of_column, measure_concepts
from core.explain.layers import list_layers, read_layer
from core.stats.bootstrap import mean_interval
from tests.benchmarks._common import row, run, table
from tests.test_concepts import patches

SEEDS = list(range(10))
CAVS = 20  # vectors of one concept in the original test
OURS = "ours (pattern, mean change against 200 random concepts)"
KIM = "TCAV of 2018, our code (normals of classifiers, t-test of scores)"
READ = "the layer tells it above chance (AUROC alone)"
WAYS = (OURS, KIM, READ)
ASKED = {
    "decides": ("a", True, "the patch decides the class"),
    "says nothing": ("b", True, "the stripes say nothing of the class"),
    "coin": ("a", False, "classes by a coin, so the patch says nothing"),
}


def original(model: Any, data: Any, column: str, seed: int) -> bool:
    """Whether the test of Kim et al. (2018) calls the concept significant for “sick”: normals of
    logistic regressions on halves of the cases, each with as many random others; scores of these
    against those of random sets (two-sided t-test, 0.05).
    """
    layer = list_layers(model, data)[0].key
    train = data.part("train")
    held = data.take(np.flatnonzero((data.splits != "train") & (data.labels == 0)))
    assert data.classes[0] == "sick"
    x = read_layer(model, train, layer).held
    slope = read_layer(model, held, layer, ["class sick"]).slope
    assert slope is not None
    inside = (train.frame[column] == "yes").to_numpy()
    rng = np.random.default_rng(seed)
    many = int(inside.sum()) // 2

    def score(yes: np.ndarray, no: np.ndarray) -> float:
        known = np.concatenate([yes, no])
        fitted = LogisticRegression(max_iter=500).fit(x[known], np.isin(known, yes))
        return float((slope[:, 0] @ fitted.coef_[0] > 0).mean())

    own, random = [], []
    for _ in range(CAVS):
        with_it, without = np.flatnonzero(inside), np.flatnonzero(~inside)
        own.append(score(rng.choice(with_it, many, False), rng.choice(without, many, False)))
        some = rng.permutation(len(x))[: 2 * many]
        random.append(score(some[:many], some[many:]))
    return bool(ttest_ind(own, random, equal_var=False).pvalue < 0.05)


def ask(seed: int) -> dict[str, list[bool]]:
    """Whether each way, in the order of WAYS, calls the concept significant, by question."""
    fitted = {
        decides: run("classifier", patches(seed, decides), {"epochs": 30, "width": 8}, seed)[0]
        for decides in (True, False)
    }
    found = {}
    for key, (column, decides, _) in ASKED.items():
        data, model = patches(seed, decides), fitted[decides]
        (made,) = measure_concepts(model, data, [concept_of_column(data, column, "yes")], seed=seed)
        sick = next(r for r in made.results if r["output"] == "class sick")
        ours = bool(sick["significant"] and not sick["small"])
        found[key] = [ours, original(model, data, column, seed), bool(made.readable["ok"])]
    print(f"seed {seed}: {found}", flush=True)
    return found


def tables(answers: list[dict[str, list[bool]]]) -> list[dict[str, Any]]:
    """Evidence from what `ask` gave for each of SEEDS."""
    made = []
    for key, (_, _, told) in ASKED.items():
        right = key == "decides"
        rows = [row(name, share([one[key][w] for one in answers])) for w, name in enumerate(WAYS)]
        own, kim = rows[0]["value"], rows[1]["value"]
        words = (
            f"Ours finds it in {own:.0%} of {len(SEEDS)} data sets, the test of 2018 in {kim:.0%}."
            if right
            else f"Ours calls it significant in {own:.0%} of {len(SEEDS)} data sets, the test of"
            f" 2018 in {kim:.0%}; that the layer holds it (the last line) is no sign of use."
        )
        made.append(
            table(
                f"Is a concept called significant: {told}",
                "generated, 480 pictures of 24 x 24",
                "test",
                len(SEEDS),
                SEEDS,
                "share of data sets, 95 % interval",
                rows,
                words,
                better=right,
            )
        )
    return made


def share(values: list[bool]) -> tuple[float, float | None, float | None]:
    """Share with Wilson's interval."""
    bounds = mean_interval(np.array(values, bool))
    return float(np.mean(values)), bounds.low, bounds.high


if __name__ == "__main__":
    torch.set_num_threads(1)
    store_evidence("concepts", tables([ask(seed) for seed in SEEDS]))
