"""Dinomaly with the small encoder against plain rivals and its own broken copies, on chest X-rays,
nuclei with foreign parts, three kinds of pictures at once and real lesions:
`python -m tests.benchmarks.bench_dinomaly [chest] [nuclei] [kinds] [lesions]`, stored part by part,
about half an hour of a processor.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from core.data.dataset import Dataset
from core.evidence import shared_data
from core.methods.anomaly import dinomaly
from core.methods.anomaly._residuals import case_score
from core.nets.dinomaly import LinearAttention, blur, distance_maps
from core.nets.vit import Attention
from tests.benchmarks._anomaly import (
    MEASURES,
    bounds,
    heat_of,
    lesion_slices,
    of_cases,
    pasted_kinds,
    pasted_nuclei,
    rivals,
    strega,
    untrained,
    within,
)
from tests.benchmarks._common import over_seeds, read, row, run, store_part, table, verdict

SEEDS = [0, 1, 2]
CHEST = {"epochs": 10, "side": 64}
NUCLEI = {"epochs": 16}
LESIONS = {"epochs": 100, "side": 128, "batch_size": 8}
KINDS = {"epochs": 12}
PASTED, SCANS = "dsb2018_nuclei, fluorescence, pasted parts", "ms_lesion_mri, patient 19 held out"
MIXED = "dsb2018_nuclei, three kinds, pasted parts"
KIND = {
    "all together": "All together",
    "bright_gray": "Bright field",
    "fluo": "Fluorescence",
    "stained": "Stained",
}
TURNED_OFF = ("without the loose loss", "softmax attention in the decoder")


def chest(folder: Path) -> Iterator[list[dict[str, Any]]]:
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
    rows += [row(k, of_cases(sick, case_score(v))) for k, v in rivals(x, train, val).items()]
    title = f"Which X-rays show pneumonia? {bounds(np.flatnonzero(val), 'X-rays')}"
    name = "pneumoniamnist_balanced"
    n = int(val.sum())
    yield [table(title, name, "val", n, SEEDS, "case AUROC", rows, verdict(rows))]


def compare(
    data: Dataset,
    params: dict[str, Any],
    name: str,
    title: str,
    more: dict[str, dict[str, Any]],
    others: dict[str, list[np.ndarray]] | None = None,
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Tables of Dinomaly, its copies with `more` parameters and the plain rivals on the test part,
    and the fitted ones by seed; `others`: heat by seed of other methods.
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
    by_seed |= others or {}
    cheap, found, groups = rivals(x, train, test), list[dict[str, Any]](), data.groups[test]
    for measure, value in MEASURES.items():
        rows = [row(k, over_seeds([value(h, truth) for h in v])) for k, v in by_seed.items()]
        rows += [row(k, within(measure, v, truth, groups)) for k, v in cheap.items()]
        n = int(test.sum())
        found.append(table(title, name, "test", n, SEEDS, measure, rows, verdict(rows)))
    return found, list(fits)


def nuclei(folder: Path) -> Iterator[list[dict[str, Any]]]:
    data = pasted_nuclei(folder)
    title = f"Where is a part of another stain? {bounds(data.groups[data.splits == 'test'])}"
    found, fits = compare(data, NUCLEI, PASTED, title, {"without dropout": {"dropout": 0.0}})
    test = np.flatnonzero(data.splits == "test")
    x, truth = torch.from_numpy(data.inputs(test)), data.mask()[test]
    yield [*found, _copied(fits, x, truth), _speed(fits[0], x)]


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


# -- several kinds of pictures in one model --------------------------------------------------------
def contrast(heat: np.ndarray, truth: np.ndarray) -> float:
    """Mean heat [n,S,S] where something is marked over that where nothing is."""
    return float(heat[truth].mean() / heat[~truth].mean())


def without(part: str) -> ExitStack:
    """Within it, networks are made and trained without a part of the method."""
    stack = ExitStack()
    if part == TURNED_OFF[0]:
        stack.enter_context(patch.object(dinomaly, "EASY", 0.0))
    elif part == TURNED_OFF[1]:
        stack.enter_context(patch.object(LinearAttention, "attend", Attention.attend))
    return stack


def kinds(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """One model of three kinds of pictures against one of each kind with as many steps, and copies
    of the one without a part of the method.
    """
    data = pasted_kinds(folder)
    train, test = data.splits == "train", data.splits == "test"
    kind, truth = data.frame["kind"].to_numpy(), data.mask()[test]

    def heats(name: str, **more: Any) -> list[np.ndarray]:
        with without(name):
            return [heat_of(run("dinomaly", data, KINDS | more, s)[1])[test] for s in SEEDS]

    own = {"Dinomaly": heats("Dinomaly")}
    by_seed = own | {
        "one model a kind, as many steps each": [_one_a_kind(data, kind, s)[test] for s in SEEDS],
        "untrained copy": [untrained("dinomaly", data, s, KINDS)[test] for s in SEEDS],
    }
    cheap, found = rivals(data.inputs(), train, test), []
    for part in ("all together", *np.unique(kind)):
        at = kind[test] == part if part in kind else np.ones(len(truth), bool)
        for measure in ("pixel average precision", "pixel AUROC"):
            value = MEASURES[measure]
            rows = [
                row(k, over_seeds([value(h[at], truth[at]) for h in v])) for k, v in by_seed.items()
            ]
            groups = data.groups[test][at]
            rows += [row(k, within(measure, v[at], truth[at], groups)) for k, v in cheap.items()]
            title = f"Does one model do for three kinds? {KIND[part]} {bounds(groups)}"
            n = int(at.sum())
            found.append(table(title, MIXED, "test", n, SEEDS, measure, rows, verdict(rows)))
    yield [*found, _attention_speed()]
    copies = own | {"without dropout": heats("", dropout=0.0)}
    copies |= {name: heats(name) for name in TURNED_OFF}
    found = []
    for measure, value in (*MEASURES.items(), ("heat in foreign parts over heat beside", contrast)):
        rows = [row(k, over_seeds([value(h, truth) for h in v])) for k, v in copies.items()]
        title, n = "What do its parts give? (range over three seeds)", len(truth)
        found.append(table(title, MIXED, "test", n, SEEDS, measure, rows, verdict(rows)))
    yield found


def _one_a_kind(data: Dataset, kind: np.ndarray, seed: int) -> np.ndarray:
    """Heat [n,S,S] of all rows, each by a model that learned from its kind alone, in about as many
    steps as the model of all kinds.
    """
    heat = np.zeros(data.mask().shape, np.float32)
    train = data.splits == "train"
    for one in np.unique(kind):
        at = np.flatnonzero(kind == one)
        epochs = round(KINDS["epochs"] * train.sum() / train[at].sum())
        given = run("dinomaly", data.take(at), {"epochs": epochs}, seed)[1]
        heat[at] = heat_of(given)
    return heat


def _attention_speed() -> dict[str, Any]:
    """Tokens a second of both kinds of attention, by processor time, at the tokens of a picture of
    64 pixels with patches of 8 and of one of 392 with patches of 14.
    """
    rows = []
    for side in (8, 28):
        x = torch.rand(8, side * side, 64)
        for name, layer in (("linear", LinearAttention(64, 4)), ("softmax", Attention(64, 4))):
            least = np.inf
            with torch.no_grad():
                for _ in range(20):
                    start = time.perf_counter()
                    layer(x)
                    least = min(least, time.perf_counter() - start)
            speed = (8 * side * side / least / 1000, None, None)
            rows.append(row(f"{name}, {side * side} tokens a picture", speed))
    few, many = (rows[i]["value"] / rows[i + 1]["value"] for i in (0, 2))
    said = f"Linear attention is {few:.2f} times as fast with 64 tokens, {many:.2f} with 784."
    title, measure = "Is linear attention faster?", "thousand tokens a second"
    return table(title, "random tokens of 64 values", "none", 8, [0], measure, rows, said)


def lesions(folder: Path) -> Iterator[list[dict[str, Any]]]:
    data = lesion_slices(folder, "patient19")
    title = "Real MS lesions, trained on 22 lesion-free slices of another patient (range, 3 seeds)"
    yield compare(data, LESIONS, SCANS, title, {}, {"StRegA (FLAIR)": strega(data, SEEDS)})[0]


if __name__ == "__main__":
    folder = shared_data()
    assert folder is not None, "needs the folder of real open data"
    parts = {"chest": chest, "nuclei": nuclei, "kinds": kinds, "lesions": lesions}
    for part in sys.argv[1:] or parts:
        for tables in parts[part](folder):
            store_part("dinomaly", tables)
