"""Rows of rivals added to stored tables, the method's own being left as it was measured: `python -m
tests.benchmarks.add_rivals [plain] [untrained] [strega] [METHOD...]`; all by default, about ten
minutes of a processor, `plain` one.

Plain rivals learn nothing, so their rows belong to any state of the method's code. Those a table
has already are measured again, and have to come out as stored: so data and measure are the same.
Untrained copies are of the method's code, and are added only where the table's own is of that code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from core.data.dataset import Dataset
from core.evidence import (
    code_of,
    evidence_folder,
    load_evidence,
    made_of,
    shared_data,
    store_evidence,
)
from core.methods.anomaly._residuals import case_score
from tests.benchmarks import bench_dinomaly, bench_fader, bench_lagovad, bench_mem_mc_mae
from tests.benchmarks import bench_synthetic_anomalies as bench_synthetic
from tests.benchmarks._anomaly import (
    MEASURES,
    held_patients,
    lesion_slices,
    pasted_kinds,
    pasted_nuclei,
    patient_slices,
    rivals,
    strega,
)
from tests.benchmarks._common import over_seeds, read, row, verdict
from tests.benchmarks.bench_auto_paint import CT_NAME, pasted_ct

SEEDS = [0, 1, 2]
SAME = 2e-4  # rows are stored to four digits
Value = Callable[[np.ndarray], float]


class Part(NamedTuple):
    """Rivals of the tables of one dataset, by the heat [m,H,W] of each, or by that of each seed;
    `own`: whether the method's code made it.
    """

    data: str
    title: str  # words that the titles hold
    heats: dict[str, np.ndarray] | dict[str, list[np.ndarray]]
    values: dict[str, Value]
    own: bool = False


class OtherDataError(Exception):
    """A row comes out otherwise than it is stored."""


def add_rows(
    id: str, data: str, title: str, rows: dict[str, list[dict[str, Any]]], own: bool
) -> int:
    """Add rows, by measure, to the stored tables of a method with rivals, of this data and with
    these words in the title, and say again who won; how many tables they were added to. `own`: rows
    of the method's code, which replace what is stored. OtherDataError where a row differs from the
    stored one, or the method's code has changed since.
    """
    found = load_evidence(id, evidence_folder())
    if found is None:
        return 0
    tables, many = [], 0
    for t in found["tables"]:
        made = made_of(found, t)
        if t["data"] == data and title in t["title"] and t["measure"] in rows and _has_rivals(t):
            if own and made.get("code") != code_of(id):
                raise OtherDataError(f"{id}, “{t['title']}” is of other code; measure it again.")
            t = t | _with_rows(id, t, rows[t["measure"]], own)
            many += 1
        tables.append(t | {"made": made})
    if many:
        store_evidence(id, tables)
    return many


def _has_rivals(table: dict[str, Any]) -> bool:
    """Whether a table is one of the method against rivals, and not of a part of it."""
    return any(r["name"] in ("constant map", bench_lagovad.GREY) for r in table["rows"])


def _with_rows(
    id: str, table: dict[str, Any], rows: list[dict[str, Any]], own: bool
) -> dict[str, Any]:
    """Rows and verdict of a table with more rows; what a bench says behind the verdict is kept."""
    stored = {r["name"]: r for r in table["rows"]}
    for r in rows:
        if r["name"] not in stored or own:
            stored[r["name"]] = r
        elif abs(r["value"] - stored[r["name"]]["value"]) > SAME:
            was = stored[r["name"]]["value"]
            raise OtherDataError(
                f"{id}, “{table['title']}”, {table['measure']}: {r['name']} is {r['value']}, but"
                f" {was} is stored."
            )
    better, said = table["higher_is_better"], verdict(table["rows"], table["higher_is_better"])
    if not table["verdict"].startswith(said):
        raise OtherDataError(f"{id}, “{table['title']}”: its verdict says something else.")
    lines = list(stored.values())
    return {"rows": lines, "verdict": verdict(lines, better) + table["verdict"][len(said) :]}


def add_part(id: str, part: Part) -> None:
    rows: dict[str, list[dict[str, Any]]] = {}
    for measure, value in part.values.items():
        for name, heat in part.heats.items():
            one = (
                over_seeds([value(h) for h in heat])
                if isinstance(heat, list)
                else (value(heat), None, None)
            )
            rows.setdefault(measure, []).append(row(name, one))
            print(f"  {id} | {part.data} | {measure} | {name} {one[0]:.4f}", flush=True)
    many = add_rows(id, part.data, part.title, rows, part.own)
    print(f"{id}, {part.data}: added to {many} tables", flush=True)
    if not many:
        raise OtherDataError(f"{id} has no table of {part.data} with “{part.title}”.")


# -- data ------------------------------------------------------------------------------------------
@cache
def nuclei(folder: Path) -> Dataset:
    return pasted_nuclei(folder)


@cache
def scans(folder: Path) -> Dataset:
    return lesion_slices(folder, "patient19")


def of_pixels(truth: np.ndarray) -> dict[str, Value]:
    """The measures of heat against the truth, bool [m,H,W]."""
    return {k: lambda h, f=f: f(h, truth) for k, f in MEASURES.items()}  # type: ignore[misc]


def cheap(data: Dataset, train: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The plain rivals' heat of the test part."""
    train = data.splits == "train" if train is None else train
    return rivals(data.inputs(), train, data.splits == "test")


def of_test(data: Dataset) -> dict[str, Value]:
    return of_pixels(data.mask()[data.splits == "test"])


def x_rays(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The plain rivals' heat of the validation X-rays, normal ones of train learned from, and which
    are of the ill.
    """
    data = read(folder / "pneumoniamnist_balanced")
    train, val = (data.splits == "train") & (data.labels == 0), data.splits == "val"
    return rivals(data.inputs(), train, val), data.labels[val] != 0


# -- rivals that learn nothing ---------------------------------------------------------------------
def plain_ear(folder: Path) -> Iterator[Part]:
    name = bench_dinomaly.PASTED
    yield Part(name, "Where is a part", cheap(nuclei(folder)), of_test(nuclei(folder)))
    yield Part(bench_dinomaly.SCANS, "Real MS", cheap(scans(folder)), of_test(scans(folder)))


def plain_dinomaly(folder: Path) -> Iterator[Part]:
    yield from plain_ear(folder)
    heats, sick = x_rays(folder)
    value = {"case AUROC": lambda h: float(roc_auc_score(sick, case_score(h)))}
    yield Part("pneumoniamnist_balanced", "Which X-rays", heats, value)
    data = pasted_kinds(folder)
    test, heats = data.splits == "test", cheap(data)
    kind, truth = data.frame["kind"].to_numpy()[test], data.mask()[test]
    for part, words in bench_dinomaly.KIND.items():
        at = kind == part if part in kind else np.ones(len(kind), bool)
        some = {k: v[at] for k, v in heats.items()}
        yield Part(bench_dinomaly.MIXED, f"three kinds? {words}", some, of_pixels(truth[at]))


def plain_fader(folder: Path) -> Iterator[Part]:
    data = bench_fader.a_third(nuclei(folder))
    yield Part(bench_fader.NAME, "where is a part", cheap(data), of_test(data))


def plain_mem_mc_mae(folder: Path) -> Iterator[Part]:
    heats, sick = x_rays(folder)
    values: dict[str, Value] = {
        "case AUROC (mean of the map)": lambda h: float(roc_auc_score(sick, h.mean((1, 2)))),
        "case AUROC (mean of the highest hundredth)": lambda h: float(
            roc_auc_score(sick, case_score(h))
        ),
    }
    yield Part(bench_mem_mc_mae.XRAYS, "Which X-rays", heats, values)
    yield Part(bench_mem_mc_mae.SCANS, "Real MS", cheap(scans(folder)), of_test(scans(folder)))


def synthetic_data(folder: Path) -> Iterator[tuple[str, str, Dataset, dict[str, Any]]]:
    """Name, title, data and settings of the tables of synthetic anomalies."""
    for held, learned in held_patients(folder):
        data, title = patient_slices(folder, held, learned), f"{held} held out, normal"
        yield f"ms_lesion_mri, {held} held out", title, data, {}
    title = "Where is a part"
    yield bench_synthetic.NUCLEI_NAME, title, nuclei(folder), {"side": 64}
    yield CT_NAME, "Where is tissue", pasted_ct(folder), {"look_for": "either"}


def plain_synthetic_anomalies(folder: Path) -> Iterator[Part]:
    for name, title, data, _ in synthetic_data(folder):
        normal = (data.splits == "train") & ~data.mask().any((1, 2))
        yield Part(name, title, cheap(data, normal), of_test(data))


# -- untrained copies, of the method's code --------------------------------------------------------
def untrained_fader(folder: Path) -> Iterator[Part]:
    data = bench_fader.a_third(nuclei(folder))
    for mask, words in bench_fader.BASES.items():
        heats = [bench_fader.untrained_heat(data, mask, s) for s in SEEDS]
        title, named = f"Base with {words}: where", {"untrained copy": heats}
        yield Part(bench_fader.NAME, title, named, of_test(data), own=True)


def untrained_synthetic_anomalies(folder: Path) -> Iterator[Part]:
    for name, title, data, params in synthetic_data(folder):
        heats = [bench_synthetic.shuffled_heat(data, params, s) for s in SEEDS]
        named = {bench_synthetic.SHUFFLED: heats}
        yield Part(name, title, named, of_test(data), own=True)


def untrained_lagovad(folder: Path) -> None:
    """Rows of LaGoVAD's tables, which are of frames and have no heat."""
    spans, method = "AUROC of contested spans", bench_lagovad.METHOD
    of_digits = (
        ("decide, read in training?", spans, "read"),
        ("decide, never read?", spans, "unread"),
        ("Which frames", "frame AUROC", "span"),
    )
    of_hearts = (("does the definition decide?", spans, method),)
    for data, copy, tables in (
        (bench_lagovad.DIGITS, "untrained", of_digits),
        (bench_lagovad.HEARTS, "untrained hearts", of_hearts),
    ):
        found = [bench_lagovad.kept(None, copy, s) for s in SEEDS]
        for title, measure, key in tables:
            one = bench_lagovad.spread(found, key, bench_lagovad.UNTRAINED)
            print(f"  lagovad | {title} {one}", flush=True)
            if not add_rows("lagovad", data, title, {measure: [one]}, own=True):
                raise OtherDataError(f"lagovad has no table “{title}”.")


# -- another method --------------------------------------------------------------------------------
def strega_dinomaly(folder: Path) -> Iterator[Part]:
    data = scans(folder)
    named = {"StRegA (FLAIR)": strega(data, SEEDS)}
    yield Part(bench_dinomaly.SCANS, "Real MS", named, of_test(data))


KINDS: dict[str, dict[str, Callable[[Path], Iterator[Part] | None]]] = {
    "plain": {
        "ear": plain_ear,
        "dinomaly": plain_dinomaly,
        "fader": plain_fader,
        "mem_mc_mae": plain_mem_mc_mae,
        "synthetic_anomalies": plain_synthetic_anomalies,
    },
    "untrained": {
        "fader": untrained_fader,
        "synthetic_anomalies": untrained_synthetic_anomalies,
        "lagovad": untrained_lagovad,
    },
    "strega": {"dinomaly": strega_dinomaly},
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = shared_data()
    assert folder is not None, "needs the folder of real open data"
    ids = [name for name in sys.argv[1:] if name not in KINDS]
    for kind in [name for name in sys.argv[1:] if name in KINDS] or KINDS:
        for id, parts in KINDS[kind].items():
            if not ids or id in ids:
                for part in parts(folder) or ():
                    add_part(id, part)
