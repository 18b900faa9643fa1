"""Brightness alone, as a method, where it is strong (lesions of FLAIR) and where it is useless
(nuclei with foreign parts, a CT): `python -m tests.benchmarks.bench_brightness`, under a minute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.evidence import shared_data, store_evidence
from tests.benchmarks._anomaly import (
    MEASURES,
    heat_of,
    held_patients,
    pasted_nuclei,
    patient_slices,
    rivals,
)
from tests.benchmarks._common import row, run, table, verdict
from tests.benchmarks.bench_auto_paint import CT_NAME, pasted_ct
from tests.benchmarks.bench_synthetic_anomalies import NUCLEI_NAME, lesion_title

OWN = "brightness"


def compare(data: Dataset, name: str, title: str, also: dict[str, dict[str, Any]]) -> list[Any]:
    """Tables of the method, and of it with the settings `also` by name, against plain rivals."""
    test = data.splits == "test"
    normal = (data.splits == "train") & ~data.mask().any((1, 2))
    x, truth = data.inputs(), data.mask()[test]
    ways: dict[str, dict[str, Any]] = {OWN: {}, **also}
    heats = {k: heat_of(run(OWN, data, v)[1])[test] for k, v in ways.items()}
    cheap = rivals(x, normal, test)
    cheap["values as they are"] = cheap.pop("brightness")
    found = []
    for measure, value in MEASURES.items():
        rows = [row(k, (value(h, truth), None, None)) for k, h in (heats | cheap).items()]
        n = int(np.sum(test))
        found.append(table(title, name, "test", n, [0], measure, rows, verdict(rows)))
    return found


def every(folder: Path) -> list[Any]:
    found = []
    for held, learned in held_patients(folder):
        data = patient_slices(folder, held, learned)
        title = lesion_title(held, learned).replace("(range over seeds; ", "(")
        also = {"without the blur": {"smooth": 0.0}, "each slice on its own scale": {
            "scale": "picture"}}  # fmt: skip
        found += compare(data, f"ms_lesion_mri, {held} held out", title, also)
    either = {"either": {"look_for": "either"}}
    title = "Where is a part of another stain?"
    found += compare(pasted_nuclei(folder), NUCLEI_NAME, title, either)
    found += compare(pasted_ct(folder), CT_NAME, "Where is tissue of another place?", either)
    return found


if __name__ == "__main__":
    folder = shared_data()
    assert folder is not None, "needs the folder of real open data"
    store_evidence(OWN, every(folder))
