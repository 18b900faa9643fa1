"""Ways of attribution and their checks where the reason is known: generated pictures in which one
patch decides the class, an untrained network as control, and chest X-rays; the same figures by
Quantus on the same maps: `python -m tests.benchmarks.bench_rationales [known] [xrays] [quantus]`.

Quantus is no dependency: `pip install --no-deps quantus cachetools opencv-python-headless` into a
copy of the environment; without it the part `quantus` says so and stores nothing.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.artifacts import Metric
from core.data.dataset import Dataset
from core.data.readers import read
from core.errors import UserError
from core.evidence import shared_data
from core.explain import attribution_ways as ways
from core.explain.attribution import attribute_each, attribution_methods
from core.explain.explained_targets import predicted_targets
from core.explain.map_health import (
    check_maps,
    localisation,
    randomised,
    similarity,
    strengths,
)
from tests.benchmarks._common import row, run, store_part, table

SIDE, PATCH = 24, 6
MANY = {"train": 1200, "val": 150, "test": 60}
KNOWN, XRAYS = "generated, one patch decides", "pneumoniamnist_balanced"


def known_patches(seed: int = 0) -> Dataset:
    """Noise with two patches of equal brightness at random places: one with stripes down or across,
    which is the class, and one of plain brightness, which says nothing. Masks mark the first.
    """
    rng = np.random.default_rng(seed)
    n = sum(MANY.values())
    x = rng.normal(0.4, 0.08, (n, 1, SIDE, SIDE))
    masks, label = np.zeros((n, SIDE, SIDE), np.uint8), rng.integers(0, 2, n)
    stripes = np.tile(np.arange(PATCH) % 2, (PATCH, 1))
    cells = SIDE // PATCH
    for i in range(n):
        (a, b), (c, d) = (
            divmod(int(p), cells) for p in rng.choice(cells * cells, 2, replace=False)
        )
        place = np.s_[a * PATCH : (a + 1) * PATCH, b * PATCH : (b + 1) * PATCH]
        other = np.s_[c * PATCH : (c + 1) * PATCH, d * PATCH : (d + 1) * PATCH]
        x[i, 0][place] = 0.5 + 0.3 * ((stripes.T if label[i] else stripes) - 0.5)
        x[i, 0][other] = 0.8
        masks[i][place] = 1
    part = np.repeat(list(MANY), list(MANY.values()))
    told = pd.DataFrame({"stripes": np.array(["down", "across"])[label], "split": part})
    return Dataset(
        name="one patch decides",
        modality="image",
        table=told,
        samples=x.clip(0, 1).astype(np.float32),
        masks=masks,
        roles={"label": "stripes", "split": "split"},
    )


def fitted(data: Dataset, epochs: int) -> Any:
    method, given = run("classifier", data, {"epochs": epochs, "width": 16}, 0)
    test = data.splits != "train"
    prob = np.asarray(given["predictions"].prob)[test]
    right = float((prob.argmax(1) == data.labels[test]).mean())
    print(f"classifier: accuracy {right:.3f} on {int(test.sum())} cases not learned from")
    return method, right


def line(metric: Metric, name: str) -> dict[str, Any]:
    assert metric.value is not None
    return row(name, (metric.value, metric.low, metric.high))


def known() -> list[dict[str, Any]]:
    """Localisation and randomisation where the reason is known."""
    data = known_patches()
    model, right = fitted(data, 15)
    rows = data.part("test").rows
    hows = attribution_methods(data)
    metrics, _ = check_maps(model, data, rows, "predicted", hows)
    found = {(m.group, m.name): m for m in metrics if m.value is not None}
    print(*[f"{m.group} {m.name}: {m.note}" for m in metrics if m.note], sep="\n")
    untrained = randomised(model, 1)
    each = predicted_targets(model, data, rows)
    where = [line(m, h) for (h, c), m in found.items() if c == "localisation of findings"]
    controls = []
    for how in ("integrated_gradients", "occlusion"):
        made = attribute_each(untrained, data, rows, how, each)
        one = localisation(how, made.value, data, rows)
        controls.append(line(one, f"{how}, untrained network"))
    x = data.of(rows).inputs()
    one = localisation("picture", x - x.mean((2, 3), keepdims=True), data, rows)
    controls.append(line(one, "the picture itself (distance from its mean)"))
    best = max(where, key=lambda r: r["value"])
    worst = min(where, key=lambda r: r["value"])
    words = (
        f"Of the ways {best['name']} marks the patch best ({best['value']:.2f}), {worst['name']}"
        f" least ({worst['value']:.2f}); the untrained network"
        f" {controls[0]['value']:.2f} and {controls[1]['value']:.2f}, where 0.5 is guessing. The"
        f" network names {right:.0%} of new pictures rightly."
    )
    tables = [
        table(
            "Is the patch marked that decides the class? (95 % interval)",
            KNOWN,
            "test",
            len(rows),
            [0],
            "pixel AUROC of the map",
            where + controls,
            words,
        )
    ]
    tables.append(_random(found, KNOWN, len(rows)))
    return tables


def _random(found: dict[tuple[str, str], Metric], name: str, n: int) -> dict[str, Any]:
    same = [line(m, h) for (h, c), m in found.items() if c == "model randomisation"]
    stays = [r["name"] for r in same if r["value"] >= 0.5]
    words = (
        f"Above the cut-off of 0.5, which is ours: {', '.join(stays)}."
        if stays
        else "All ways lie below the cut-off of 0.5, which is ours."
    )
    return table(
        "Do maps stay when the weights are made random? (95 % interval)",
        name,
        "test" if name == KNOWN else "val",
        n,
        [0],
        "rank correlation of maps, trained against random",
        same,
        words,
        better=False,
    )


def xrays() -> list[dict[str, Any]]:
    """Randomisation on chest X-rays, no masks."""
    folder = shared_data()
    assert folder is not None
    data = read(folder / XRAYS, name=XRAYS)
    model, _ = fitted(data, 5)
    rows = data.part("val").rows[:60]
    metrics, _ = check_maps(model, data, rows, "predicted")
    found = {(m.group, m.name): m for m in metrics if m.value is not None}
    return [_random(found, XRAYS, len(rows))]


def against_quantus() -> list[dict[str, Any]]:
    """Our figures and those of Quantus on the same maps."""
    try:
        import quantus
    except ImportError:
        print("Quantus is not installed here; this part is left out.")
        return []
    data = known_patches()
    model, _ = fitted(data, 15)
    rows = data.part("test").rows
    each = predicted_targets(model, data, rows)
    x, masks = data.of(rows).inputs(), data.of(rows).mask()[:, None]
    y = np.array([model.classes.index(t.removeprefix("class ")) for t in each])
    differ, random = [], randomised(model, 0)
    for how in attribution_methods(data):
        try:
            maps = attribute_each(model, data, rows, how, each).value
            others = strengths(attribute_each(random, data, rows, how, each).value)
        except UserError as e:
            print(how, e)
            continue
        given = {"model": model.net_, "x_batch": x, "y_batch": y, "s_batch": masks}
        plain = {"abs": True, "normalise": False, "disable_warnings": True}
        theirs = np.array(quantus.AUC(**plain)(a_batch=np.abs(maps), **given), float)
        own = [_auroc(a, m) for a, m in zip(strengths(maps), masks.reshape(len(rows), -1))]
        spearman = [
            quantus.similarity_func.correlation_spearman(a=a, b=b)
            for a, b in zip(strengths(maps), others)
        ]
        ours = similarity(strengths(maps), others)
        there = np.isfinite(ours)
        differ.append(
            [
                float(np.nanmax(np.abs(theirs - np.array(own)))),
                float(np.abs(np.array(spearman)[there] - ours[there]).max()),
            ]
        )
        print(f"{how}: AUC {np.nanmean(theirs):.4f} (ours {np.nanmean(own):.4f})", flush=True)
    most = np.array(differ).max(0)
    rows_ = [
        row("localisation, AUC of the map against the mask", (float(most[0]), None, None)),
        row("similarity of maps, Spearman", (float(most[1]), None, None)),
    ]
    return [
        table(
            "Do our figures equal those of Quantus on the same maps?",
            KNOWN,
            "test",
            len(rows),
            [0],
            "largest absolute difference over ways and cases",
            rows_,
            f"Quantus {quantus.__version__} with torch {torch.__version__.split('+')[0]}, over"
            f" {len(differ)} ways: the figures differ by at most {most.max():.1g}.",
            better=False,
        )
    ]


def _auroc(heat: np.ndarray, mask: np.ndarray) -> float:
    from scipy.stats import rankdata

    if np.ptp(heat) == 0:
        return float("nan")
    many = int(mask.sum())
    rank = rankdata(heat)[mask].sum() - many * (many + 1) / 2
    return float(rank / (many * (len(mask) - many)))


PARTS = {"known": known, "xrays": xrays, "quantus": against_quantus}

if __name__ == "__main__":
    torch.set_num_threads(1)
    assert ways.STEPS == 64, "stored figures are of 64 steps"
    for part in sys.argv[1:] or PARTS:
        if made := PARTS[part]():
            store_part("rationales", made)
