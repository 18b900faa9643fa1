"""From cells to tables: settings picked by a scorer, contestants against shifts, scorers against
the oracle.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from core.artifacts import Benchmark, Grid, Metric
from core.methods.protocols._names import BLIND, ORACLE, SOURCE, TARGET

Cell = dict[str, Any]


def pick(cells: list[Cell], scorer: str) -> Cell | None:
    """The cell that `scorer` values most, the first of equals; None where it could value none. The
    upper bound has one setting and no value.
    """
    valued = [c for c in cells if c["scores"].get(scorer) is not None]
    if not valued:
        return cells[0] if len(cells) == 1 and cells[0]["contestant"] == TARGET else None
    return max(valued, key=lambda c: c["scores"][scorer])


def by_place(cells: list[Cell]) -> dict[str, dict[int, list[Cell]]]:
    """Task -> split -> its cells, in the order they were run."""
    found: dict[str, dict[int, list[Cell]]] = {}
    for c in cells:
        found.setdefault(c["task"], {}).setdefault(c["split"], []).append(c)
    return found


def scored(
    cells: list[Cell], names: list[str], scorer: str, measure: str
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(tasks [t], value [m,t,s], seconds [m,t]): each contestant with the settings `scorer` picks,
    for each split; NaN = failed.
    """
    places = by_place(cells)
    splits = max(len(s) for s in places.values())
    value = np.full((len(names), len(places), splits), np.nan)
    seconds = np.zeros((len(names), len(places)))
    for j, own in enumerate(places.values()):
        for k, here in own.items():
            for i, name in enumerate(names):
                mine = [c for c in here if c["contestant"] == name]
                best = pick(mine, scorer)
                seconds[i, j] += sum(c["seconds"] for c in mine)
                if best is not None and best[measure] is not None:
                    value[i, j, k] = best[measure]
    return list(places), value, seconds


def chosen(cells: list[Cell], scorer: str, measure: str) -> tuple[list[list[Cell]], np.ndarray]:
    """What `scorer` picks among all contestants and settings but the upper bound: cells by task and
    split, and their mean value by task [t].
    """
    picked = [
        [
            c
            for here in own.values()
            if (c := pick([c for c in here if c["contestant"] != TARGET], scorer)) is not None
        ]
        for own in by_place(cells).values()
    ]
    return picked, np.array(
        [
            np.mean([c[measure] for c in p if c[measure] is not None]) if p else np.nan
            for p in picked
        ]
    )


def benchmark(
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
    tasks, value, seconds = scored(cells, names, scorer, measure)
    n = np.isfinite(value).sum(2)
    mean = np.where(n, np.nansum(value, 2) / np.maximum(n, 1), np.nan)
    spread = np.sqrt(
        np.nansum((value - mean[..., None]) ** 2, 2) / np.maximum(n - 1, 1) / np.maximum(n, 1)
    )
    said: list[dict[str, Any]] = []
    if choices:
        best, most = chosen(cells, ORACLE, measure)
        for s in BLIND:
            picked, got = chosen(cells, s, measure)
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


def grid(cells: list[Cell], names: list[str], measure: str, rows: np.ndarray) -> Grid:
    """Mean gain over training on the source, contestants against the scorer that picked their
    settings.
    """
    columns = (ORACLE, *BLIND)
    value = np.full((len(names), len(columns)), np.nan, dtype=np.float32)
    for k, scorer in enumerate(columns):
        _, got, _ = scored(cells, names, scorer, measure)
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


def figures(cells: list[Cell], names: list[str], scorer: str, measure: str) -> list[Metric]:
    """Gains with intervals over shifts and p, the test that all are alike, what choosing without
    labels costs, and how well scorers order the truth.
    """
    from core.stats import rank_tests
    from core.stats.bootstrap import mean_interval

    tasks, value, _ = scored(cells, names, scorer, measure)
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

    p = rank_tests.against(mean[compete], compete.index(base))
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
            rank_tests.friedman(mean[compete]),
            n=len(tasks),
            higher_is_better=None,
            note="" if len(tasks) >= 3 else "needs three shifts",
        )
    )
    _, most = chosen(cells, ORACLE, measure)
    for s in BLIND:
        _, got = chosen(cells, s, measure)
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
