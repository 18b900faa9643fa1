"""What the benchmarks share: running a method, scoring an embedding, and the shape of an evidence
table.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.artifacts import Artifact, Embedding
from core.data.dataset import Dataset
from core.data.readers import read
from core.evidence import (
    evidence_folder,
    intervals_overlap,
    load_evidence,
    made_of,
    shared_data,
    store_evidence,
)
from core.measures.probes import KnnProbe, LinearProbe, auc
from core.method import check_params
from core.registry import methods
from core.stats.bootstrap import interval
from core.training.fit import fit_and_apply
from core.training.run import Run


def run(
    method: str,
    data: Dataset,
    params: dict[str, Any] | None = None,
    seed: int = 0,
    on: dict[str, Artifact] | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Fit and apply; the fitted method and its artifacts by slug."""
    kind = methods()[method]
    fitted, artifacts = fit_and_apply(
        kind, check_params(kind, params or {}), data, Run(seed=seed, device="auto", on=on or {})
    )
    return fitted, {a.slug: a for a in artifacts}


def probe(
    z: np.ndarray,
    data: Dataset,
    part: str,
    metric: str = "euclidean",
    reader: str = "linear",
    value: str = "auc",
    seed: int = 0,
) -> tuple[float, float | None, float | None]:
    """(value, low, high) of a probe fitted on train and counted on `part`; value is auc or
    accuracy.
    """
    one = LinearProbe() if reader == "linear" else KnnProbe()
    train, test = data.splits == "train", data.splits == part
    read = one.reader(z[train], data.labels[train], metric)
    said, prob = read(z[test])
    truth, classes = data.labels[test], np.unique(data.labels[train])
    score = (
        (lambda i: auc(truth[i], prob[i], classes))
        if value == "auc"
        else (lambda i: float((said[i] == truth[i]).mean()))
    )
    groups = data.groups[test] if data.groups is not None else None
    return score(np.arange(len(truth))), *interval(score, len(truth), groups, (0, 1)).bounds


def few_labels(z: np.ndarray, data: Dataset, per_class: int = 3, draws: int = 20) -> Spread:
    """Accuracy on test of the nearest of `per_class` labelled training cases a class (cosine), mean
    and 95 % range over draws.
    """
    z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    train, test, scores = data.splits == "train", data.splits == "test", []
    for s in range(draws):
        rng = np.random.default_rng(s)
        some = np.concatenate(
            [
                rng.choice(np.flatnonzero(train & (data.labels == c)), per_class, replace=False)
                for c in range(len(data.classes))
            ]
        )
        scores.append(
            (data.labels[some][(z[test] @ z[some].T).argmax(1)] == data.labels[test]).mean()
        )
    return Spread((float(np.mean(scores)), *(float(v) for v in np.percentile(scores, [2.5, 97.5]))))


class Spread(tuple[float, float, float]):
    """(mean, low, high) over seeds or draws: a range, no 95 % interval over other patients."""

    kind = "range"


class Change(tuple[float, float, float]):
    """(after, lower of before and after, higher of both): nothing about other patients."""

    kind = "change"


def change(before: float, after: float) -> Change:
    return Change((after, min(before, after), max(before, after)))


def row(name: str, value: tuple[float, float | None, float | None]) -> dict[str, Any]:
    """A line of an evidence table; what lies about the value is a "range" when it is a Spread, a
    "change" when it is a Change, else an "interval".
    """
    low, high = (None if v is None else round(v, 4) for v in value[1:])
    kind = getattr(value, "kind", "interval")
    return {
        "name": name,
        "value": round(value[0], 4),
        "low": low,
        "high": high,
        "kind": kind if low is not None else "",
    }


def over_seeds(values: list[float]) -> Spread:
    """(mean, least, largest) over seeds."""
    return Spread((float(np.mean(values)), float(min(values)), float(max(values))))


def table(
    title: str,
    data: str,
    split: str,
    n: int,
    seeds: list[int],
    measure: str,
    rows: list[dict[str, Any]],
    verdict: str,
    better: bool = True,
) -> dict[str, Any]:
    print(f"\n{title} | {measure} | {data}, {split}, n = {n}, seeds {seeds}")
    for r in rows:
        print(
            f"  {r['name']:<44} {r['value']:.4f}"
            + (f" ({r['low']:.4f} to {r['high']:.4f})" if r["low"] is not None else "")
        )
    print(f"  {verdict}", flush=True)
    return {
        "title": title,
        "data": data,
        "split": split,
        "n": n,
        "seeds": seeds,
        "measure": measure,
        "higher_is_better": better,
        "rows": rows,
        "verdict": verdict,
    }


def store_part(id: str, tables: list[dict[str, Any]]) -> None:
    """Store tables with those that are stored already, in place of those of the same title, measure
    and data. The others keep the date and the code that they were measured with.
    """
    before = load_evidence(id, evidence_folder()) or {"tables": []}
    kept = {name_of(t): t | {"made": made_of(before, t)} for t in before["tables"]}
    store_evidence(id, list((kept | {name_of(t): t for t in tables}).values()))


def name_of(table: dict[str, Any]) -> tuple[str, str, str]:
    """What makes two tables of a method's evidence the same one."""
    return table["title"], table["measure"], table["data"]


def verdict(rows: list[dict[str, Any]], better: bool = True) -> str:
    """Who won, the first row being the method."""
    own, rivals = rows[0], rows[1:]
    best = (max if better else min)(rivals, key=lambda r: r["value"])
    won = own["value"] > best["value"] if better else own["value"] < best["value"]
    close = intervals_overlap(own, best)
    kinds = {own["kind"], best["kind"]}
    what = f"{kinds.pop()}s" if len(kinds) == 1 else "bars"
    gap = f"{own['value']:.3f} against {best['value']:.3f}"
    if won:
        return f"{own['name']} is ahead of the best rival, {best['name']} ({gap})" + (
            f", but the {what} overlap." if close else "."
        )
    return f"The rival {best['name']} is as good or better ({gap})" + (
        f", the {what} overlap." if close else "."
    )


def latent(given: dict[str, Any]) -> Embedding:
    return next(a for a in given.values() if isinstance(a, Embedding))


def enlarged(data: Dataset, times: int) -> Dataset:
    """Pictures whose every pixel has become a square of `times` x `times`."""
    return replace(
        data,
        samples=np.kron(data.raw(), np.ones((1, 1, times, times), data.samples.dtype)),
        table=data.frame.reset_index(drop=True),
        at=None,
    )


def heart() -> Dataset:
    """The four heart-disease tables as one dataset, label num, domain = hospital; -9 and a
    cholesterol of 0 are missing values, as their description says.
    """
    import shutil
    import tempfile

    folder = shared_data()
    assert folder is not None
    with tempfile.TemporaryDirectory() as place:
        for file in (folder / "heart_disease_4sites").glob("*.data"):
            shutil.copy(file, place)
        data = read(Path(place), name="heart disease, four sites", label="num")
    x = np.array(data.samples, dtype=np.float32)
    x[x == -9] = np.nan
    chol = data.features.index("chol")
    x[x[:, chol] == 0, chol] = np.nan
    return replace(data, samples=x)
