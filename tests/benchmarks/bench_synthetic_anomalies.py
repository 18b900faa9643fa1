"""The pixel classifier of synthetic spots against brightness and other plain rivals: real lesions,
nuclei with foreign parts and a CT: `python -m tests.benchmarks.bench_synthetic_anomalies [lesions]
[nuclei] [ct]`, about ten minutes; without a part named, all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from core.data.dataset import Dataset
from core.evidence import shared_data
from core.methods.anomaly import _synthetic
from core.training.run import Run
from tests.benchmarks._anomaly import (
    DEVELOPED_ON,
    MEASURES,
    heat_of,
    held_patients,
    pasted_nuclei,
    patient_slices,
    rivals,
)
from tests.benchmarks._common import over_seeds, row, run, store_part, table, verdict
from tests.benchmarks.bench_auto_paint import CT_NAME, pasted_ct

SEEDS = [0, 1, 2]
OWN = "synthetic_anomalies"
SHUFFLED = "trees grown on shuffled marks"
NUCLEI_NAME = "dsb2018_nuclei, fluorescence, pasted parts"
Tables = list[dict[str, Any]]


def lesion_title(held: str, learned: list[str]) -> str:
    """Title of the tables of one held-out patient, which says whether choices were made on it."""
    seen = "choices were made on this patient" if held in DEVELOPED_ON else "seen once, at the end"
    of = " and ".join(learned)
    return f"Real MS lesions, {held} held out, normal slices of {of} (range over seeds; {seen})"


def heats(data: Dataset, params: dict[str, Any], seed: int) -> dict[str, np.ndarray]:
    """Heat [m,H,W] of the test pictures: the method, its classifier alone, and `brightness`."""
    test = np.flatnonzero(data.splits == "test")
    fitted, given = run(OWN, data, params, seed)
    found = {OWN: heat_of(given)[test]}
    fitted.params = fitted.params.model_copy(update={"brightness": 0.0})
    found["its classifier alone"] = fitted.maps(data.take(test), Run(seed=seed))[0]
    return found


def shuffled_heat(data: Dataset, params: dict[str, Any], seed: int) -> np.ndarray:
    """Heat [m,H,W] of the test pictures by trees grown on pixels whose marks were shuffled: what
    an untrained copy is to a network.
    """
    real = _synthetic.some_pixels

    def mixed(features: Any, where: Any, body: Any, many: int, rng: Any) -> Any:
        x, y = real(features, where, body, many, rng)
        return x, rng.permutation(y)

    with patch.object(_synthetic, "some_pixels", mixed):
        return heat_of(run(OWN, data, params, seed)[1])[data.splits == "test"]


def compare(
    data: Dataset,
    params: dict[str, Any],
    name: str,
    title: str,
    also: dict[str, dict[str, Any]],
    seeds: list[int] = SEEDS,
) -> Tables:
    """Tables of the method against `brightness`, with settings `also` by name, and plain rivals."""
    train, test = data.splits == "train", data.splits == "test"
    x, truth = data.inputs(), data.mask()[test]
    normal = train & ~data.mask().any((1, 2))
    by_seed: dict[str, list[np.ndarray]] = {}
    for seed in seeds:
        for key, heat in heats(data, params, seed).items():
            by_seed.setdefault(key, []).append(heat)
        by_seed.setdefault(SHUFFLED, []).append(shuffled_heat(data, params, seed))
    once = {k: heat_of(run("brightness", data, v)[1])[test] for k, v in also.items()}
    once |= rivals(x, normal, test)
    return [
        _table(title, name, truth, measure, value, by_seed, once, seeds)
        for measure, value in MEASURES.items()
    ]


def _table(
    title: str,
    name: str,
    truth: np.ndarray,
    measure: str,
    value: Callable[[np.ndarray, np.ndarray], float],
    by_seed: dict[str, list[np.ndarray]],
    once: dict[str, np.ndarray],
    seeds: list[int],
) -> dict[str, Any]:
    rows = [row(k, over_seeds([value(h, truth) for h in v])) for k, v in by_seed.items()]
    rows += [row(k, (value(v, truth), None, None)) for k, v in once.items()]
    return table(title, name, "test", len(truth), seeds, measure, rows, verdict(rows))


def lesions(folder: Path) -> Iterator[Tables]:
    """Tables about lesions, patient by patient: too few for an interval over patients."""
    for held, learned in held_patients(folder):
        data = patient_slices(folder, held, learned)
        title = lesion_title(held, learned)
        also = {"brightness (method)": {}}
        yield compare(data, {}, f"ms_lesion_mri, {held} held out", title, also)


def nuclei(folder: Path) -> Iterator[Tables]:
    data = pasted_nuclei(folder)
    title = "Where is a part of another stain? (range over seeds)"
    also = {"brightness (method)": {}, "brightness, either": {"look_for": "either"}}
    yield compare(data, {"side": 64}, NUCLEI_NAME, title, also)


def ct(folder: Path) -> Iterator[Tables]:
    data = pasted_ct(folder)
    title = "Where is tissue of another place? (range over seeds)"
    also = {"brightness (method)": {}, "brightness, either": {"look_for": "either"}}
    yield compare(data, {"look_for": "either"}, CT_NAME, title, also)


PARTS = {"lesions": lesions, "nuclei": nuclei, "ct": ct}

if __name__ == "__main__":
    folder = shared_data()
    assert folder is not None, "needs the folder of real open data"
    for part in sys.argv[1:] or PARTS:
        for tables in PARTS[part](folder):
            store_part(OWN, tables)
