"""Dinomaly with the small encoder against plain rivals and its own broken copies, on chest X-rays,
nuclei with foreign parts and real lesions: `python -m tests.benchmarks.bench_dinomaly [chest]
[nuclei] [lesions]`, stored part by part, about 20 minutes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from core.data.dataset import Dataset
from core.evidence import shared_data
from core.methods.anomaly._residuals import case_score
from core.nets.dinomaly import blur, distance_maps
from tests.benchmarks._anomaly import (
    MEASURES,
    heat_of,
    lesion_slices,
    pasted_nuclei,
    rivals,
    untrained,
)
from tests.benchmarks._common import over_seeds, read, row, run, store_part, table, verdict

SEEDS = [0, 1, 2]
CHEST = {"epochs": 10, "side": 64}
NUCLEI = {"epochs": 16}
LESIONS = {"epochs": 100, "side": 128, "batch_size": 8}
PASTED, SCANS = "dsb2018_nuclei, fluorescence, pasted parts", "ms_lesion_mri, patient 19 held out"


def chest(folder: Path) -> list[dict[str, Any]]:
    """Normal X-rays train; AUROC of pneumonia on the validation part, by the mean of the highest
    hundredth of each map.
    """
    data = read(folder / "pneumoniamnist_balanced")
    train, val = (data.splits == "train") & (data.labels == 0), data.splits == "val"
    sick, x = data.labels[val] != 0, data.inputs()

    def value(heat: np.ndarray) -> float:
        return float(roc_auc_score(sick, case_score(heat)))

    own = [value(heat_of(run("dinomaly", data, CHEST, s)[1])[val]) for s in SEEDS]
    blank = [value(untrained("dinomaly", data, s, CHEST)[val]) for s in SEEDS]
    rows = [row("Dinomaly", over_seeds(own)), row("untrained copy", over_seeds(blank))]
    rows += [row(k, (value(v), None, None)) for k, v in rivals(x, train, val).items()]
    title, name = "Which X-rays show pneumonia? (range over three seeds)", "pneumoniamnist_balanced"
    n = int(val.sum())
    return [table(title, name, "val", n, SEEDS, "case AUROC", rows, verdict(rows))]


def compare(
    data: Dataset, params: dict[str, Any], name: str, title: str, more: dict[str, dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Tables of Dinomaly, its copies with `more` parameters and the plain rivals on the test part,
    and the fitted ones by seed.
    """
    train, test = data.splits == "train", data.splits == "test"
    x, truth = data.inputs(), data.mask()[test]
    fits, own = zip(
        *((f, heat_of(g)[test]) for f, g in (run("dinomaly", data, params, s) for s in SEEDS))
    )
    by_seed = {
        "Dinomaly": list(own),
        "untrained copy": [untrained("dinomaly", data, s, params)[test] for s in SEEDS],
    }
    for called, other in more.items():
        made = [heat_of(run("dinomaly", data, params | other, s)[1])[test] for s in SEEDS]
        by_seed[called] = made
    cheap, found = rivals(x, train, test), []
    for measure, value in MEASURES.items():
        rows = [row(k, over_seeds([value(h, truth) for h in v])) for k, v in by_seed.items()]
        rows += [row(k, (value(v, truth), None, None)) for k, v in cheap.items()]
        n = int(test.sum())
        found.append(table(title, name, "test", n, SEEDS, measure, rows, verdict(rows)))
    return found, list(fits)


def nuclei(folder: Path) -> list[dict[str, Any]]:
    data = pasted_nuclei(folder)
    title = "Where is a part of another stain? (range over three seeds)"
    found, fits = compare(data, NUCLEI, PASTED, title, {"without dropout": {"dropout": 0.0}})
    test = np.flatnonzero(data.splits == "test")
    x, truth = torch.from_numpy(data.inputs(test)), data.mask()[test]
    return [*found, _copied(fits, x, truth), _speed(fits[0], x)]


def _copied(fits: list[Any], x: torch.Tensor, truth: np.ndarray) -> dict[str, Any]:
    """Pixel AUROC when the decoder gives what the encoder saw."""
    value, found = MEASURES["pixel AUROC"], []
    for fit in fits:
        with torch.no_grad():
            seen = fit.net_.see(fit.resized(x))
            pairs = fit.net_.compare(seen, seen, fit.net_.encoder.side(int(fit.params.side)))
        heat = distance_maps(pairs, x.shape[-1]).mean(1).numpy().round(5)
        found.append(value(heat, truth))
    rows = [row("decoder that copies", over_seeds(found))]
    words = "The map comes from what the decoder cannot make anew: a copy finds nothing."
    title = "Does the map come from the decoder's failure? (range over three seeds)"
    return table(title, PASTED, "test", len(x), SEEDS, "pixel AUROC", rows, words)


def _speed(fit: Any, x: torch.Tensor) -> dict[str, Any]:
    """Heat maps a second by processor time, against bare calls of torch with the same network."""
    net, size = fit.net_, int(fit.params.side)

    def bare(some: torch.Tensor) -> torch.Tensor:
        pairs = net(some)
        far = [1 - torch.cosine_similarity(a, b, dim=1)[:, None] for a, b in pairs]
        wide = [
            torch.nn.functional.interpolate(m, (size, size), mode="bilinear", align_corners=True)
            for m in far
        ]
        return blur(torch.cat(wide, 1).mean(1))

    ways = {"Dinomaly": fit.heat, "bare torch": bare}
    least: dict[str, float] = {}
    with torch.no_grad():
        for _ in range(5):
            for name, fn in ways.items():
                start = time.process_time()
                for some in x.split(32):
                    fn(some)
                seconds = time.process_time() - start
                least[name] = min(least.get(name, np.inf), seconds)
    rows = [row(name, (len(x) / seconds, None, None)) for name, seconds in least.items()]
    words = f"{rows[0]['value'] / rows[1]['value']:.2f} of bare torch."
    measure = "heat maps a second of processor time"
    return table("How fast?", PASTED, "test", len(x), [0], measure, rows, words)


def lesions(folder: Path) -> list[dict[str, Any]]:
    data = lesion_slices(folder, "patient19")
    title = "Real MS lesions, trained on 22 lesion-free slices of another patient (range, 3 seeds)"
    return compare(data, LESIONS, SCANS, title, {})[0]


if __name__ == "__main__":
    folder = shared_data()
    assert folder is not None, "needs the folder of real open data"
    parts = {"chest": chest, "nuclei": nuclei, "lesions": lesions}
    for part in sys.argv[1:] or parts:
        store_part("dinomaly", parts[part](folder))
