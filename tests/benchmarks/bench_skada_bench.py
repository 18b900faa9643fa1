"""Adaptations against each other, and against doing nothing, on four hospitals and on known shifts:
`python -m tests.benchmarks.bench_skada_bench`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.artifacts import Benchmark
from core.data.dataset import Dataset
from core.data.samples.generated import two_clinics
from core.evidence import shared_data, store_evidence
from core.methods.protocols import _tables
from core.methods.protocols._names import BLIND, ORACLE, SOURCE, TARGET
from core.stats.bootstrap import mean_interval
from tests.benchmarks._common import heart, over_seeds, row, run, table, verdict
from tests.methods.test_skada_bench import shifted

SEEDS = [0, 1, 2]
PLAN = {"splits": 2, "inner": 2}


def over_tasks(values: np.ndarray) -> tuple[float, float, float]:
    """(mean, low, high) over shifts, drawn again with replacement."""
    return float(values.mean()), *mean_interval(values).bounds


def on_hospitals(data: Dataset) -> list[dict[str, Any]]:
    method, found = run("skada_bench", data, PLAN)
    b: Benchmark = found["benchmark-chosen-without-labels"]
    n = len(b.tasks)
    scorer, found_tables = method.params.scorer, []
    by_scorer = {s: _tables.choose_by(method.cells_, s, "accuracy")[1] for s in (*BLIND, ORACLE)}
    rows = [row(f"chosen among all by {scorer}", over_tasks(by_scorer[scorer]))] + [
        row(n, over_tasks(s))
        for n, s in zip(b.contestants, np.asarray(b.score, float))
        if n != TARGET
    ]
    said = verdict(rows)
    rows.append(
        row(
            f"{TARGET} (upper bound)",
            over_tasks(np.asarray(b.score[b.contestants.index(TARGET)], float)),
        )
    )
    title = (
        f"Carrying a model from one hospital to another: {len(b.tasks)} ordered pairs of four"
        " hospitals"
    )
    found_tables.append(
        table(
            title,
            "heart disease, four sites (UCI)",
            "pairs of hospitals, held-out target rows",
            n,
            [0],
            "accuracy, mean and 95 % interval over pairs",
            rows,
            said,
        )
    )
    rows = [row(f"choosing with {s}", over_tasks(by_scorer[s])) for s in BLIND]
    rows += [
        row(
            f"always {SOURCE}", over_tasks(np.asarray(b.score[b.contestants.index(SOURCE)], float))
        ),
        row("choosing with the target's labels", over_tasks(by_scorer[ORACLE])),
    ]
    found_tables.append(
        table(
            "What a choice without labels is worth, four hospitals",
            "heart disease, four sites (UCI)",
            "pairs of hospitals, held-out target rows",
            n,
            [0],
            "accuracy, mean and 95 % interval over pairs",
            rows,
            verdict(rows[:-1]),
        )
    )
    test = {m.name: m for m in found["metrics"] if m.split == "test"}
    rows = [
        row(name, (m.value, m.low, m.high))
        for name, m in test.items()
        if name.startswith("accuracy")
    ]
    found_tables.append(
        table(
            "A new hospital read by a model of the three others",
            "heart disease, four sites (UCI)",
            "test",
            next(iter(test.values())).n,
            [0],
            "accuracy with 95 % interval",
            rows,
            verdict(rows),
        )
    )
    return found_tables


def on_known(kind: str, title: str) -> dict[str, Any]:
    """One generated shift, old site to new, over seeds."""
    score: dict[str, list[float]] = {}
    for seed in SEEDS:
        data = two_clinics(seed=seed) if kind == "device" else shifted(kind, seed)
        method, found = run("skada_bench", data, PLAN, seed)
        b: Benchmark = found["benchmark-chosen-without-labels"]
        j = b.tasks.index("west → east" if kind == "device" else "old → new")
        score.setdefault(f"chosen among all by {method.params.scorer}", []).append(
            float(_tables.choose_by(method.cells_, method.params.scorer, "accuracy")[1][j])
        )
        for name, line in zip(b.contestants, b.score):
            score.setdefault(f"{name} (upper bound)" if name == TARGET else name, []).append(
                float(line[j])
            )
    rows = [row(name, over_seeds(values)) for name, values in score.items()]
    return table(
        title,
        "generated",
        "the new site, a fifth held out at a time",
        len(data) // 2,
        SEEDS,
        "accuracy, mean and range over seeds",
        rows,
        verdict([r for r in rows if "bound" not in r["name"]]),
    )


def tables() -> list[dict[str, Any]]:
    found = on_hospitals(heart()) if shared_data() else []
    found.append(on_known("device", "The other clinic's device scales and mixes the markers"))
    found.append(on_known("covariate", "The other clinic sees other patients (covariate shift)"))
    found.append(
        on_known("subspace", "A tell-tale that deceives at the other clinic (subspace shift)")
    )
    found.append(on_known("target", "The other clinic has fewer ill patients (target shift)"))
    return found


if __name__ == "__main__":
    store_evidence("skada_bench", tables())
