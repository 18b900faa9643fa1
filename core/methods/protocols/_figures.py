"""What a contest shows: contestants against shifts, how often each setting was picked, and scorers
against the oracle.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from core.artifacts import Benchmark, Grid, Metric
from core.methods.protocols._names import BLIND, ORACLE, SOURCE, TARGET
from core.methods.protocols._tables import Cell, by_place, choose_by, score_contestants


def draw_benchmark(
    cells: list[Cell],
    names: list[str],
    scorer: str,
    measure: str,
    rows: np.ndarray,
    name: str,
    choices: bool,
) -> Benchmark:
    """Contestants against shifts, mean and standard error over splits; with what every scorer would
    have picked, if asked for.
    """
    tasks, value, seconds = score_contestants(cells, names, scorer, measure)
    n = np.isfinite(value).sum(2)
    mean = np.where(n, np.nansum(value, 2) / np.maximum(n, 1), np.nan)
    spread = np.sqrt(
        np.nansum((value - mean[..., None]) ** 2, 2) / np.maximum(n - 1, 1) / np.maximum(n, 1)
    )
    said: list[dict[str, Any]] = []
    if choices:
        best, most = choose_by(cells, ORACLE, measure)
        for s in BLIND:
            picked, got = choose_by(cells, s, measure)
            for j, task in enumerate(tasks):
                if picked[j] and best[j]:
                    said.append(
                        {
                            "scorer": s,
                            "task": task,
                            "chosen": _commonest(picked[j]),
                            "score": float(got[j]),
                            "oracle": _commonest(best[j]),
                            "oracle_score": float(most[j]),
                        }
                    )
    return Benchmark(
        rows=rows,
        name=name,
        contestants=list(names),
        tasks=tasks,
        score=mean.astype(np.float32),
        error=np.where(n > 1, spread, np.nan).astype(np.float32),
        measure=measure,
        choices=said,
        marks={SOURCE: "rival", TARGET: "upper bound"},
        seconds=seconds.astype(np.float32),
    )


def _commonest(cells: list[Cell]) -> str:
    return Counter(c["contestant"] for c in cells).most_common(1)[0][0]


def draw_choices(cells: list[Cell], names: list[str], measure: str, rows: np.ndarray) -> Grid:
    """Mean gain over training on the source, contestants against the scorer that picked their
    settings.
    """
    columns = (ORACLE, *BLIND)
    value = np.full((len(names), len(columns)), np.nan, dtype=np.float32)
    for k, scorer in enumerate(columns):
        _, got, _ = score_contestants(cells, names, scorer, measure)
        gain = (got - got[names.index(SOURCE)]).reshape(len(names), -1)
        value[:, k] = [g[np.isfinite(g)].mean() if np.isfinite(g).any() else np.nan for g in gain]
    return Grid(
        rows=rows,
        name="gain-by-scorer",
        value=value,
        x=list(columns),
        y=list(names),
        x_title="settings chosen by",
        y_title="contestant",
        unit=f"gain in {measure} over {SOURCE}",
    )


def measure_contest(cells: list[Cell], names: list[str], scorer: str, measure: str) -> list[Metric]:
    """Gains with intervals over shifts and p, the test that all are alike, what choosing without
    labels costs, and how well scorers order the truth.
    """
    from core.stats import rank_tests
    from core.stats.bootstrap import mean_interval

    tasks, value, _ = score_contestants(cells, names, scorer, measure)
    mean = np.array(
        [
            [v[np.isfinite(v)].mean() if np.isfinite(v).any() else np.nan for v in one]
            for one in value
        ]
    )
    base, found = names.index(SOURCE), []
    compete = [i for i, n in enumerate(names) if n != TARGET]

    def over_tasks(name: str, gap: np.ndarray, better: bool | None, note: str = "") -> Metric:
        gap = gap[np.isfinite(gap)]
        if not len(gap):
            return Metric(name, None, note="it could not be run", higher_is_better=better)
        one = Metric(
            name,
            float(gap.mean()),
            split="held-out target rows",
            n=len(gap),
            higher_is_better=better,
            note=note,
        )
        return one.within(mean_interval(gap))

    p = rank_tests.compare_to_baseline(mean[compete], compete.index(base))
    for i, name in enumerate(names):
        if i != base:
            chance = p[compete.index(i)] if i in compete else None
            found.append(
                over_tasks(
                    f"gain of {name}",
                    mean[i] - mean[base],
                    True,
                    (
                        f"p {chance:.3f} (Wilcoxon, Holm)"
                        if chance is not None
                        else (
                            f"over {len(tasks)} shifts; too few for a test"
                            if i in compete
                            else "upper bound"
                        )
                    ),
                )
            )
    found.append(
        Metric(
            "p that all contestants are alike (Friedman)",
            rank_tests.friedman_test(mean[compete]),
            n=len(tasks),
            higher_is_better=None,
            note="" if len(tasks) >= 3 else "needs three shifts",
        )
    )
    _, most = choose_by(cells, ORACLE, measure)
    for s in BLIND:
        _, got = choose_by(cells, s, measure)
        found.append(
            over_tasks(
                f"lost by choosing with {s}",
                most - got,
                False,
                "against choosing with the target's labels",
            )
        )
        found.append(
            over_tasks(
                f"agreement of {s} with the truth",
                _agreement(cells, s, measure),
                True,
                "rank correlation over contestants and settings",
            )
        )
    failed = sum(
        c["contestant"] != TARGET and all(v is None for v in c["scores"].values()) for c in cells
    )
    if failed:
        found.append(
            Metric(
                "fits that failed",
                float(failed),
                n=len(cells),
                higher_is_better=False,
                note="left out of the tables",
            )
        )
    return found


def _agreement(cells: list[Cell], scorer: str, measure: str) -> np.ndarray:
    """Spearman correlation of the scorer's value and the truth for each task, mean over splits; NaN
    where either is constant.
    """
    from scipy.stats import spearmanr

    found = []
    for own in by_place(cells).values():
        got = []
        for here in own.values():
            pairs = np.array(
                [
                    (c["scores"][scorer], c[measure])
                    for c in here
                    if c["scores"].get(scorer) is not None and c[measure] is not None
                ]
            )
            if len(pairs) > 2 and (np.ptp(pairs, axis=0) > 0).all():
                got.append(float(spearmanr(*pairs.T).statistic))
        found.append(np.mean(got) if got else np.nan)
    return np.array(found)


def tell_choices(by_site: dict[str, str], left_out: list[str]) -> list[Metric]:
    """Return what was chosen for each site, and what was left out, in words."""
    return [
        Metric("chosen for", None, group=site, higher_is_better=None, note=name)
        for site, name in by_site.items()
    ] + [Metric("left out", None, higher_is_better=None, note=words) for words in left_out]
