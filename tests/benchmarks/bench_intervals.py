"""How often do the intervals hold the truth? `python -m tests.benchmarks.bench_intervals
[PATIENTS...] [new]`; new: only the numbers that the stored figures lack.

Made-up patients of one to nine cases each, alike within a patient; what the number would be over
endlessly many patients is known, or counted once over very many; what depends on how many cases
there are (neighbours) is counted over many studies of the same size. Each simulation draws
new patients and asks whether the interval holds that. Beside it, percentiles of the bootstrap over
patients.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import norm

from core.artifacts import Interval
from core.evidence import evidence_folder, load_evidence, store_evidence
from core.measures.clustering_internal import silhouette_of
from core.measures.pixel_anomaly import _aupro_fast, _binned, case_dice, pooled
from core.measures.probes import auc
from core.measures.robustness_index import kept_index, kept_ratio, neighbours
from core.stats.bootstrap import EVERYWHERE, interval, mean_interval, resample, units
from core.stats.cluster_agreement import accuracy, purity
from core.stats.proportions import wilson
from tests.benchmarks._common import table

PATIENTS = (10, 20, 50)


@dataclass
class Drawn:
    """One simulated study: the number over `n` cases of the patients `who`, and its interval."""

    value: Callable[[np.ndarray], float]
    n: int
    who: np.ndarray
    laid: Callable[[], Interval]


def patients(k: int, rng: np.random.Generator, most: int = 9) -> np.ndarray:
    """int64: the patient of each case, one to `most` cases a patient."""
    return np.repeat(np.arange(k), rng.integers(1, most + 1, k))


def of_mean(values: np.ndarray, who: np.ndarray, within: tuple[float, float]) -> Drawn:
    return Drawn(
        lambda i: float(values[i].mean()),
        len(who),
        who,
        lambda: mean_interval(values, who.astype(object), within),
    )


def of_any(
    value: Callable[[np.ndarray], float], who: np.ndarray, within: tuple[float, float], **more: Any
) -> Drawn:
    return Drawn(
        value, len(who), who, lambda: interval(value, len(who), who.astype(object), within, **more)
    )


def right(share: float, k: int, rng: np.random.Generator) -> Drawn:
    who = patients(k, rng)
    return of_mean(rng.random(len(who)) < rng.beta(4 * share, 4 * (1 - share), k)[who], who, (0, 1))


def single(share: float, k: int, rng: np.random.Generator) -> Drawn:
    return of_mean(rng.random(k) < share, np.arange(k), (0, 1))


def ranked(gap: float, by_patient: bool, k: int, rng: np.random.Generator) -> Drawn:
    who = patients(k, rng)
    own = rng.permutation(np.arange(k) % 2)
    ill = own[who] if by_patient else (rng.random(len(who)) < 0.4).astype(int)
    score = gap * ill + 0.7 * rng.normal(size=k)[who] + 0.7 * rng.normal(size=len(who))
    both = np.stack([-score, score], 1)
    return of_any(lambda i: auc(ill[i], both[i], np.arange(2)), who, (0, 1), classes=ill)


def listed(k: int, rng: np.random.Generator) -> Drawn:
    who = patients(k, rng)
    ill = (rng.random(k) < 0.4)[who]
    score = 1.2 * ill + 0.7 * rng.normal(size=k)[who] + 0.7 * rng.normal(size=len(who))

    def value(i: np.ndarray) -> float:
        """Average precision of untied scores."""
        hit = ill[i][np.argsort(-score[i])]
        return (
            float((np.cumsum(hit) / np.arange(1, len(hit) + 1))[hit].mean())
            if hit.any()
            else float("nan")
        )

    return of_any(value, who, (0, 1), classes=ill)


def brier(k: int, rng: np.random.Generator) -> Drawn:
    who = patients(k, rng)
    sure = 1 / (1 + np.exp(-rng.normal(2, 1, k)[who] - rng.normal(size=len(who))))
    hit = rng.random(len(who)) < 0.95 * sure
    return of_mean(2 * np.square(1 - np.where(hit, sure, 1 - sure)), who, (0, 2))


def dice(k: int, rng: np.random.Generator) -> Drawn:
    who = patients(k, rng)
    one = 1 / (1 + np.exp(-rng.normal(1, 0.7, k)[who] - 0.8 * rng.normal(size=len(who))))
    return of_mean(np.where(rng.random(len(who)) < 0.1, 0, one), who, (0, 1))


def redrawn(k: int, rng: np.random.Generator) -> Drawn:
    who = patients(k, rng)
    base = np.exp(rng.normal(0, 0.4, k)[who] + rng.normal(0, 0.3, len(who)))
    error = base * np.exp(rng.normal(-1.5, 0.4, k)[who] + rng.normal(0, 0.3, len(who)))
    return of_any(lambda i: float(error[i].mean() / base[i].mean()), who, (0, np.inf))


def groups(
    score: Callable[[np.ndarray, np.ndarray], float],
    within: tuple[float, float],
    flatters: bool,
    k: int,
    rng: np.random.Generator,
) -> Drawn:
    who = patients(k, rng)
    truth = rng.integers(0, 3, len(who))
    found = np.where(
        rng.random(len(who)) < rng.beta(1, 3, k)[who], rng.integers(0, 4, len(who)), truth
    )
    return of_any(lambda i: float(score(truth[i], found[i])), who, within, flatters=flatters)


def silhouette(by_patient: bool, k: int, rng: np.random.Generator) -> Drawn:
    who = patients(min(k, 600), rng)
    k = who.max() + 1
    kind = (np.arange(k) % 3)[who] if by_patient else rng.integers(0, 3, len(who))
    z = (
        1.5 * np.eye(3)[kind]
        + 0.5 * rng.normal(size=(k, 3))[who]
        + 0.5 * rng.normal(size=(len(who), 3))
    )
    return of_any(silhouette_of(z, z.argmax(1)), who, (-1, 1), flatters=True)


def pixels(what: str, k: int, rng: np.random.Generator) -> Drawn:
    who = patients(min(k, 400), rng, 5)
    n, k = len(who), who.max() + 1
    truth = np.zeros((n, 10, 10), bool)
    first = np.r_[True, np.diff(who) > 0]  # every patient has one marked case
    for i in np.flatnonzero((rng.random(n) < 0.4) | first):
        y, x = rng.integers(0, 7, 2)
        truth[i, y : y + rng.integers(2, 5), x : x + rng.integers(2, 5)] = True
    heat = (
        rng.normal(size=truth.shape)
        + truth * rng.normal(1.5, 0.7, k)[who][:, None, None]
        + 0.4 * rng.normal(size=k)[who][:, None, None]
    )
    counts = _binned(heat, truth)
    if what == "AUPRO":
        return of_any(partial(_aupro_fast, heat, truth), who, (0, 1), blocks=20)
    if what == "cases":
        marked = truth.any((1, 2))
        each = case_dice((counts[0][marked], counts[1][marked]))
        return of_any(lambda i: float(each[i].mean(0).max()), who[marked], (0, 1))
    j = ("AUROC", "AP", "Dice").index(what)
    return of_any(lambda i: pooled((counts[0][i].sum(0), counts[1][i].sum(0)))[j], who, (0, 1))


def named(score: Callable[..., float], classes: bool, k: int, rng: np.random.Generator) -> Drawn:
    """Answers among three classes, the last of them rare, right in two of three cases or so."""
    who = patients(k, rng)
    truth = rng.choice(3, len(who), p=[0.5, 0.35, 0.15])
    skill = rng.beta(4, 2, k)[who]
    said = np.where(rng.random(len(who)) < skill, truth, rng.integers(0, 3, len(who)))
    more = {"classes": truth} if classes else {}
    return of_any(lambda i: float(score(truth[i], said[i])), who, (0, 1), **more)


def distance(k: int, rng: np.random.Generator) -> Drawn:
    who = patients(k, rng)
    off = np.exp(rng.normal(0.7, 0.5, k)[who] + rng.normal(0, 0.4, len(who)))
    return of_mean(off, who, (0, np.inf))


def fall(k: int, rng: np.random.Generator) -> Drawn:
    who = patients(k, rng)
    return of_mean(
        np.tanh(rng.normal(0.2, 0.3, k)[who] + rng.normal(0, 0.3, len(who))), who, (-1, 1)
    )


def gained(k: int, rng: np.random.Generator) -> Drawn:
    return of_mean(rng.normal(0.03, 0.08, k), np.arange(k), EVERYWHERE)


def explained(k: int, rng: np.random.Generator) -> Drawn:
    who = patients(k, rng)
    z = rng.normal(size=(k, 4))[who] + rng.normal(size=(len(who), 4))
    left = np.square(z - z.mean(0)).sum(1) * rng.beta(2, 8, k)[who]
    whole = np.square(z - z.mean(0)).sum(1)
    return of_any(lambda i: float(left[i].sum() / whole[i].sum()), who, (0, np.inf))


def by_site(what: str, k: int, rng: np.random.Generator) -> Drawn:
    """The robustness index of 5 neighbours, or the first paper's ratio: two classes, two sites."""
    who = patients(k, rng)
    site, kind = (np.arange(k) % 2)[who], rng.integers(0, 2, len(who))
    z = np.stack([1.5 * kind, 1.0 * site, 0 * kind], 1) + 0.4 * rng.normal(size=(k, 3))[who]
    z = z + 0.6 * rng.normal(size=z.shape)
    near = neighbours(z, min(50, len(who) - 1), who.astype(object))
    if what == "index":
        return of_any(partial(kept_index, near, kind, site, 5), who, (0, 1))
    return of_any(partial(kept_ratio, near, kind, site, 5), who, (0, np.inf))


ALIKE = "as large"  # the truth is that of many studies of the same size


def kinds() -> dict[
    str, tuple[Callable[[int, np.random.Generator], Drawn], float | str | None, int]
]:
    """Name -> (simulation, the truth, None to count it over very many patients or ALIKE, how many
    simulations).
    """
    from sklearn.metrics import (
        adjusted_rand_score,
        balanced_accuracy_score,
        f1_score,
        normalized_mutual_info_score,
    )

    macro = partial(f1_score, average="macro", labels=np.arange(3), zero_division=0)

    swapped = {
        name: lambda t, f, one=one: one(f, t)
        for name, one in (("accuracy", accuracy), ("purity", purity))
    }
    area = {gap: float(norm.cdf(gap / np.sqrt(2 * 0.98))) for gap in (1.2, 2.0)}
    return {
        "accuracy 0.8": (partial(right, 0.8), 0.8, 2000),
        "accuracy 0.95": (partial(right, 0.95), 0.95, 2000),
        "accuracy 0.8, one case a patient": (partial(single, 0.8), 0.8, 2000),
        "AUC 0.80, class by patient": (partial(ranked, 1.2, True), area[1.2], 500),
        "AUC 0.92, class by patient": (partial(ranked, 2.0, True), area[2.0], 500),
        "AUC 0.80, both classes in a patient": (partial(ranked, 1.2, False), area[1.2], 500),
        "average precision": (listed, None, 600),
        "Brier score": (brier, None, 2000),
        "Dice, mean of cases": (dice, None, 2000),
        "reconstruction error, a ratio": (redrawn, None, 600),
        "group accuracy": (partial(groups, swapped["accuracy"], (0, 1), False), None, 600),
        "purity": (partial(groups, swapped["purity"], (0, 1), False), None, 600),
        "NMI": (partial(groups, normalized_mutual_info_score, (0, 1), True), None, 600),
        "ARI": (partial(groups, adjusted_rand_score, (-1, 1), False), None, 600),
        "silhouette, groups of patients": (partial(silhouette, True), None, 600),
        "silhouette, groups of cases": (partial(silhouette, False), None, 600),
        "pixel AUROC": (partial(pixels, "AUROC"), None, 600),
        "pixel average precision": (partial(pixels, "AP"), None, 600),
        "Dice, pooled (oracle)": (partial(pixels, "Dice"), None, 600),
        "Dice, mean of marked cases (oracle)": (partial(pixels, "cases"), None, 600),
        "AUPRO (0.3)": (partial(pixels, "AUPRO"), None, 600),
        "macro-F1": (partial(named, macro, False), None, 600),
        "balanced accuracy": (partial(named, balanced_accuracy_score, True), None, 600),
        "distance, mean of clips": (distance, None, 2000),
        "fall of a probability": (fall, None, 2000),
        "gain, one case a patient": (gained, 0.03, 2000),
        "variance not explained": (explained, None, 600),
        "robustness index": (partial(by_site, "index"), ALIKE, 600),
        "same class over same site": (partial(by_site, "ratio"), ALIKE, 600),
    }


def truth_of(
    draw: Callable[[int, np.random.Generator], Drawn],
    rng: np.random.Generator,
    k: int = 2000,
    times: int = 20,
) -> float:
    """The number over very many patients: a mean of `times` studies of `k`."""
    many = [draw(k, rng) for _ in range(times)]
    return float(np.mean([one.value(np.arange(one.n)) for one in many]))


def covered(
    draw: Callable[[int, np.random.Generator], Drawn],
    k: int,
    truth: float,
    times: int,
    rng: np.random.Generator,
    usual: bool = False,
) -> tuple[int, int]:
    """(how many intervals hold the `truth`, how many there were); `usual`: percentiles of 200
    bootstrap draws instead.
    """
    held = there = 0
    for _ in range(times):
        one = draw(k, rng)
        found = percentiles(one, rng) if usual else one.laid()
        if found.low is not None and found.high is not None:
            there += 1
            held += found.low <= truth <= found.high
    return held, there


def percentiles(one: Drawn, rng: np.random.Generator) -> Interval:
    unit = units(one.n, one.who.astype(object))
    got = np.array([one.value(resample(unit, rng)) for _ in range(200)])
    low, high = np.nanpercentile(got, [2.5, 97.5])
    return Interval(float(low), float(high), "interval")


def row(name: str, held: int, there: int) -> dict[str, Any]:
    share = wilson(held, there)
    assert share.value is not None
    assert share.low is not None
    assert share.high is not None
    return {
        "name": name,
        "value": round(share.value, 4),
        "low": round(share.low, 4),
        "high": round(share.high, 4),
        "kind": "interval",
    }


USUAL = (
    "accuracy 0.8",
    "accuracy 0.95",
    "AUC 0.92, class by patient",
    "Brier score",
    "Dice, mean of cases",
)


def simulated(job: tuple[str, int, bool]) -> dict[str, Any]:
    """One line: the number `name` over `k` patients, its intervals or the `usual` ones."""
    name, k, usual = job
    draw, truth, times = kinds()[name]
    if truth is None:
        truth = truth_of(draw, np.random.default_rng(1))
    elif isinstance(truth, str):
        truth = truth_of(draw, np.random.default_rng(1), k, 1000)
    if times < 1000:  # each patient is left out in turn, which takes k times as long
        times = times * 10 // k
    held, there = covered(
        draw, k, truth, 4000 // k if usual else times, np.random.default_rng(k), usual
    )
    return row(f"{name}, percentiles" if usual else name, held, there)


def tables(k: int, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What intervals over `k` patients hold, and the usual ones. `before`: tables whose rows are
    kept; what they lack is simulated.
    """
    kept = {row["name"]: row for table in before for row in table["rows"]}
    with ProcessPoolExecutor(2) as pool:
        asked = [(name, k, False) for name in kinds() if name not in kept]
        kept |= {row["name"]: row for row in pool.map(simulated, asked)}
        asked = [(name, k, True) for name in USUAL if f"{name}, percentiles" not in kept]
        kept |= {row["name"]: row for row in pool.map(simulated, asked)}
    rows = [kept[name] for name in kinds()]
    usual = [kept[f"{name}, percentiles"] for name in USUAL]
    least, most = (f(rows, key=lambda r: r["value"]) for f in (min, max))
    words = (
        f"The intervals hold the truth in {least['value']:.1%} ({least['name']}) to"
        f" {most['value']:.1%} ({most['name']}) of the simulations; 95 % is aimed at."
    )
    told_usual = (
        f"Percentiles of the bootstrap over {k} patients hold it in"
        f" {min(r['value'] for r in usual):.1%} to {max(r['value'] for r in usual):.1%}."
    )
    title = f"The usual way: percentiles of the bootstrap over {k} patients"
    return [told(f"Intervals over {k} patients", k, rows, words), told(title, k, usual, told_usual)]


def told(title: str, k: int, rows: list[dict[str, Any]], words: str) -> dict[str, Any]:
    return table(
        title,
        "made up: patients of one to nine cases",
        "simulated",
        k,
        [k],
        "share of 95 % intervals that hold the truth",
        rows,
        words,
    )


if __name__ == "__main__":
    only_new = "new" in sys.argv[1:]
    patients_asked = [int(k) for k in sys.argv[1:] if k != "new"] or list(PATIENTS)
    found: dict[int, list[dict[str, Any]]] = {}
    for t in (load_evidence("intervals", evidence_folder()) or {"tables": []})["tables"]:
        found.setdefault(t["n"], []).append(t)
    for k in patients_asked:  # one after another, each kept when it is done
        found[k] = tables(k, found.get(k, []) if only_new else [])
        store_evidence("intervals", [t for n in sorted(found) for t in found[n]])
