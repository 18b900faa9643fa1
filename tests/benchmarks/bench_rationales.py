"""Ways of attribution and their checks where the reason is known: generated pictures in which one
patch decides the class, an untrained network as control, and chest X-rays; the same figures by
Quantus on the same maps: `python -m tests.benchmarks.bench_rationales [known] [xrays] [quantus]`.

Quantus is no dependency: `pip install --no-deps quantus cachetools opencv-python-headless` into a
copy of the environment; without it the part `quantus` says so and stores nothing.
"""

from __future__ import annotations

import copy
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
from core.explain.attribution import Question, attribute_each, attribution_methods
from core.explain.explained_targets import predicted_targets
from core.explain.map_health import (
    LONG,
    check_maps,
    count_layers,
    inside_auroc,
    localisation,
    pointing,
    randomised,
    similarity,
    strengths,
)
from core.stats.bootstrap import mean_interval
from tests.benchmarks._common import over_seeds, row, run, store_part, table

SIDE, PATCH = 24, 6
MANY = {"train": 1200, "val": 150, "test": 60}
SEEDS = [0, 1, 2]
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


def fitted(data: Dataset, epochs: int, seed: int = 0) -> Any:
    method, given = run("classifier", data, {"epochs": epochs, "width": 16}, seed)
    test = data.splits != "train"
    prob = np.asarray(given["predictions"].prob)[test]
    right = float((prob.argmax(1) == data.labels[test]).mean())
    print(f"classifier: accuracy {right:.3f} on {int(test.sum())} cases not learned from")
    return method, right


def over(lines: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Rows of figures by seed: mean, least and largest."""
    return [row(name, over_seeds(values)) for name, values in lines.items()]


def add(lines: dict[str, list[float]], metric: Metric, name: str) -> None:
    if metric.value is not None:
        lines.setdefault(name, []).append(metric.value)


def known() -> list[dict[str, Any]]:
    """Localisation, its gain, and randomisation where the reason is known, over seeds of pictures,
    weights and random weights.
    """
    where: dict[str, list[float]] = {}
    controls: dict[str, list[float]] = {}
    gains: dict[str, list[float]] = {}
    same: dict[str, list[float]] = {}
    deeper: dict[str, list[float]] = {}
    above: dict[str, int] = {}
    rights = []
    for seed in SEEDS:
        data = known_patches(seed)
        model, right = fitted(data, 15, seed)
        rights.append(right)
        rows = data.part("test").rows
        each = predicted_targets(model, data, rows)
        found, _ = check_maps(
            model, data, rows, "predicted", attribution_methods(data), Question(seed=seed)
        )
        for m in found:
            how = str(m.group)
            if m.name == "localisation of findings":
                add(where, m, how)
            elif m.name == "localisation gain":
                add(gains, m, how)
                above[how] = above.get(how, 0) + (m.low is not None and m.low > 0)
            elif m.name == "model randomisation":
                add(same, m, how)
        untrained = randomised(model, seed + 100)
        for how in ("integrated_gradients", "occlusion"):
            made = attribute_each(untrained, data, rows, how, each)
            add(controls, localisation(how, made.value, data, rows), f"{how}, untrained network")
        x = data.of(rows).inputs()
        bare = localisation("picture", x - x.mean((2, 3), keepdims=True), data, rows)
        add(controls, bare, "the picture itself (distance from its mean)")
        for name, value in cascade(model, data, rows, each, seed).items():
            deeper.setdefault(name, []).append(value)
        print(f"known, seed {seed} done", flush=True)
    n = MANY["test"]
    lines, rest = over(where), over(controls)
    best, worst = (f(lines, key=lambda r: r["value"]) for f in (max, min))
    words = (
        f"Of the ways {best['name']} marks the patch best ({best['value']:.2f}), {worst['name']}"
        f" least ({worst['value']:.2f}); the untrained network {rest[0]['value']:.2f} and"
        f" {rest[1]['value']:.2f}, where 0.5 is guessing. Each network names"
        f" {min(rights):.0%} of new pictures rightly{', or more' if min(rights) < 1 else ''}."
    )
    tables = [
        table(
            "Is the patch marked that decides the class?",
            KNOWN,
            "test",
            n,
            SEEDS,
            "pixel AUROC of the map",
            lines + rest,
            words,
        )
    ]
    ahead = [how for how, many in above.items() if many == len(SEEDS)]
    tables.append(
        table(
            "Does the map mark the patch better than the bare picture and random weights do?",
            KNOWN,
            "test",
            n,
            SEEDS,
            "gain in pixel AUROC over the better of the two",
            over(gains),
            f"With every seed the 95 % interval over cases lies above 0 for"
            f" {', '.join(ahead) or 'no way'}.",
        )
    )
    tables.append(_random(same, KNOWN, n))
    tables.append(_cascading(deeper, n))
    return tables


def cascade(
    model: Any, data: Dataset, rows: np.ndarray, each: list[str], seed: int
) -> dict[str, float]:
    """Mean rank correlation of the maps with those of models whose last layer, last half, and all
    layers are random.
    """
    layers = count_layers(model)
    found = {}
    for how in [h for h in attribution_methods(data) if h not in LONG]:
        own = strengths(attribute_each(model, data, rows, how, each).value)
        for words, last in (("the last layer", 1), ("half", layers // 2), ("all", layers)):
            other = randomised(model, seed, last)
            try:
                maps = strengths(attribute_each(other, data, rows, how, each).value)
            except UserError as e:
                print(how, words, e)
                continue
            flat = np.ptp(maps, 1) == 0  # a map that vanishes has changed
            value = np.where(flat, 0.0, similarity(own, maps))
            found[f"{how}, {words} random"] = float(np.nanmean(value))
    return found


def _cascading(deeper: dict[str, list[float]], n: int) -> dict[str, Any]:
    rows = over(deeper)
    first = [r for r in rows if r["name"].endswith("the last layer random")]
    deaf = [r["name"].split(",")[0] for r in first if r["value"] >= 0.5]
    words = (
        "With the last layer alone made random the maps of"
        f" {', '.join(deaf) if deaf else 'no way'} stay alike (0.5 or more): such a map shows"
        " where something is, and hardly for which class."
    )
    return table(
        "Do maps stay when layers are made random one after another, from the output?",
        KNOWN,
        "test",
        n,
        SEEDS,
        "rank correlation of maps, trained against random",
        rows,
        words,
        better=False,
    )


def _random(same: dict[str, list[float]], name: str, n: int) -> dict[str, Any]:
    rows = over(same)
    stays = [r["name"] for r in rows if r["value"] >= 0.5]
    words = (
        f"Above the cut-off of 0.5, which is ours: {', '.join(stays)}."
        if stays
        else "All ways lie below the cut-off of 0.5, which is ours."
    )
    return table(
        "Do maps stay when the weights are made random?",
        name,
        "test" if name == KNOWN else "val",
        n,
        SEEDS,
        "rank correlation of maps, trained against random",
        rows,
        words,
        better=False,
    )


def xrays() -> list[dict[str, Any]]:
    """Randomisation on chest X-rays, no masks."""
    folder = shared_data()
    assert folder is not None
    data = read(folder / XRAYS, name=XRAYS)
    rows = data.part("val").rows[:60]
    same: dict[str, list[float]] = {}
    for seed in SEEDS:
        model, _ = fitted(data, 5, seed)
        found, _ = check_maps(model, data, rows, "predicted", None, Question(seed=seed))
        for m in found:
            if m.name == "model randomisation":
                add(same, m, str(m.group))
        print(f"xrays, seed {seed} done", flush=True)
    return [_random(same, XRAYS, len(rows))]


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
    differ, hits = [], []
    for how in attribution_methods(data):
        maps = attribute_each(model, data, rows, how, each).value
        given = {"model": model.net_, "x_batch": x, "y_batch": y, "s_batch": masks}
        plain = {"abs": True, "normalise": False, "disable_warnings": True}
        heat = np.abs(maps)
        theirs = np.array(quantus.AUC(**plain)(a_batch=heat, **given), float)
        own = inside_auroc(strengths(maps), data, rows)
        point = np.array(quantus.PointingGame(**plain)(a_batch=heat, **given), float)
        ours = pointing(maps, data, rows)
        differ.append([_largest(theirs, own), _largest(point, ours), np.nan])
        hits.append(row(how, _share(ours)))
        print(f"{how}: AUC {np.nanmean(theirs):.4f}, points inside {np.nanmean(point):.4f}")
        if how in LONG:
            continue
        kept: list[np.ndarray] = []
        explain = _explainer(model, data, rows, how, each, kept)
        metric = quantus.MPRT(
            similarity_func=quantus.similarity_func.correlation_spearman, seed=0, **plain
        )
        try:
            scores = metric(a_batch=heat, explain_func=explain, batch_size=len(rows), **given)
        except UserError as e:
            print(how, e)
            continue
        layers = [np.array(v, float) for k, v in scores.items() if k != "original"]
        gaps = [
            _largest(v, similarity(strengths(maps), strengths(other)))
            for v, other in zip(layers, kept[-len(layers) :])
        ]
        differ[-1][2] = max(gaps)
        print(f"{how}: cascading randomisation over {len(layers)} layers", flush=True)
    most = np.nanmax(np.array(differ), 0)
    rows_ = [
        row("localisation, AUC of the map against the mask", (float(most[0]), None, None)),
        row("pointing game, strongest place inside the mask", (float(most[1]), None, None)),
        row("cascading randomisation, Spearman, every layer", (float(most[2]), None, None)),
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
            f" {len(differ)} ways: the figures differ by at most {most.max():.1g}. The pointing"
            " game differs where several places tie for the strongest, as Shapley values of whole"
            " patches do: Quantus counts any of them, ours the first.",
            better=False,
        ),
        table(
            "Pointing game: does the strongest place of the map lie on the patch?",
            KNOWN,
            "test",
            len(rows),
            [0],
            "share of cases, 95 % interval",
            hits,
            f"By chance it would in {float(data.of(rows).mask().mean()):.0%} of cases.",
        ),
    ]


def _explainer(
    model: Any, data: Dataset, rows: np.ndarray, how: str, each: list[str], kept: list[np.ndarray]
) -> Any:
    """What Quantus asks for the maps of a network in place of the model's; each is `kept`."""

    def explain(model: Any, inputs: Any, targets: Any, **more: Any) -> np.ndarray:
        other = copy.copy(fitted)
        other.net_ = model.eval()
        kept.append(attribute_each(other, data, rows, how, each).value)
        return np.abs(kept[-1])

    fitted = model
    return explain


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference where both are known."""
    there = np.isfinite(a) & np.isfinite(b)
    return float(np.abs(a[there] - b[there]).max()) if there.any() else float("nan")


def _share(hit: np.ndarray) -> tuple[float, float | None, float | None]:
    found = mean_interval(hit.astype(bool))
    return float(hit.mean()), found.low, found.high


PARTS = {"known": known, "xrays": xrays, "quantus": against_quantus}

if __name__ == "__main__":
    torch.set_num_threads(1)
    assert ways.STEPS == 64, "stored figures are of 64 steps"
    for part in sys.argv[1:] or PARTS:
        if made := PARTS[part]():
            store_part("rationales", made)
