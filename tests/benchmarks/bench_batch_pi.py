"""Batch predictive inference against plain conformal sets and Bonferroni, on classifiers of real
data: `python -m tests.benchmarks.bench_batch_pi`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data.dataset import Dataset
from core.data.readers import read
from core.data.samples.catalogue import make_sample
from core.evidence import shared_data, store_evidence
from core.methods.conformal import _ranks
from core.methods.conformal._calibration import Calibration, make_sets
from core.methods.conformal._figures import bound_shares
from core.stats.proportions import wilson
from core.training.run import Run
from tests.benchmarks._common import Spread, heart, row, run, table

M, SHARE, CERTAINTY, DRAWS = 20, 0.9, 0.9, 400
Z = _ranks.share_of(SHARE, M)


def ways(score: np.ndarray) -> dict[str, float]:
    """Threshold on 1 - p(true class) of each way to make sets."""
    s, n = np.sort(score), len(score)
    all_hold = _ranks.share_of(1 - (1 - CERTAINTY) / M, n + 1)
    return {
        "batch sets": _ranks.quantile_bound(score, M, Z, 1 - CERTAINTY),
        "plain conformal sets, one by one": _ranks.plain_bound(score, SHARE),
        "Bonferroni over the batch": float(s[all_hold - 1]) if all_hold <= n else float("inf"),
        "sets of the 90 % likeliest classes, uncalibrated": float("nan"),
    }


def sets(prob: np.ndarray, threshold: float) -> np.ndarray:
    if np.isnan(threshold):
        order = np.argsort(-prob, 1)
        before = np.take_along_axis(prob, order, 1).cumsum(1) - np.take_along_axis(prob, order, 1)
        made = np.zeros(prob.shape, bool)
        np.put_along_axis(made, order, before < SHARE, 1)
        return made
    made = 1 - prob <= threshold
    made[np.arange(len(prob)), prob.argmax(1)] = True
    return made


def compare(name: str, data: Dataset, epochs: int) -> list[dict[str, Any]]:
    """The model learns from train; val and test are drawn anew into calibration and batches 400
    times, since one division says little.
    """
    given = run("classifier", data, {"epochs": epochs, "width": 8})[1]["predictions"]
    held = np.flatnonzero(data.splits != "train")
    place = {c: i for i, c in enumerate(given.classes)}
    prob, y = (
        np.asarray(given.prob[held], float),
        np.array([place.get(data.classes[c], -1) for c in data.labels[held]]),
    )
    prob, y = prob[y >= 0], y[y >= 0]
    rng, kept, size = np.random.default_rng(0), {}, {}
    for _ in range(DRAWS):
        order = rng.permutation(len(y))
        calibration, new = order[:-M], order[-M:]
        for way, threshold in ways(1 - prob[calibration, y[calibration]]).items():
            own = sets(prob[new], threshold)
            kept.setdefault(way, []).append(own[np.arange(M), y[new]].sum() >= Z)
            size.setdefault(way, []).append(own.sum(1).mean())
    rows = [share_row(w, v) for w, v in kept.items()]
    words = (
        f"Promised: {CERTAINTY:.0%} of batches. Batch sets keep it in {rows[0]['value']:.0%}, plain"
        f" conformal sets in {rows[1]['value']:.0%}, uncalibrated ones in {rows[3]['value']:.0%}."
    )
    found = [
        table(
            f"Batches of {M} in which 90 % of the sets hold the truth: {name}",
            name,
            "val and test, drawn anew",
            len(y),
            [0],
            f"share of {DRAWS} batches (promised {CERTAINTY})",
            rows,
            words,
        )
    ]
    rows = [
        row(w, Spread((float(np.mean(v)), *(float(p) for p in np.percentile(v, [2.5, 97.5])))))
        for w, v in size.items()
    ]
    said = (
        f"Batch sets hold {rows[0]['value']:.2f} classes; Bonferroni's, which keep the promise as"
        f" well, {rows[2]['value']:.2f}. Plain sets hold {rows[1]['value']:.2f} and promise nothing"
        " of batches."
    )
    found.append(
        table(
            f"Classes in a set: {name}",
            name,
            "val and test, drawn anew",
            len(y),
            [0],
            "mean number of classes",
            rows,
            said,
            False,
        )
    )
    return found


def one_site(name: str, split: str, draw: Any, sites: list[str], draws: int) -> dict[str, Any]:
    """Batches of one site: how many keep the promise by the site's own calibration and by that of
    all sites. `draw(rng, site)` gives (calibration scores of all sites, of the site itself, [M] new
    ones); a score is 1 - p(true class).
    """
    rng, rows = np.random.default_rng(0), []
    for site in sites:
        kept: dict[str, list[bool]] = {"its own calibration": [], "calibration of all sites": []}
        for _ in range(draws):
            every, own, new = draw(rng, site)
            for way, scores in zip(kept, (own, every)):
                kept[way].append(
                    (new <= _ranks.quantile_bound(scores, M, Z, 1 - CERTAINTY)).sum() >= Z
                )
        rows += [share_row(f"{site}: {way}", held) for way, held in kept.items()]
    low, high = (f([r["value"] for r in rows[1::2]]) for f in (min, max))
    words = (
        f"Promised: {CERTAINTY:.0%} of batches of one site. By the site's own calibration it is"
        f" kept in {min(r['value'] for r in rows[::2]):.0%} or more, by that of all sites in"
        f" {low:.0%} to {high:.0%}."
    )
    return table(
        f"Batches of {M} cases of one site: {name}",
        name,
        split,
        draws,
        [0],
        f"share of {draws} batches (promised {CERTAINTY})",
        rows,
        words,
    )


def share_row(name: str, held: list[bool]) -> dict[str, Any]:
    """A line with the share of true values and Wilson's interval over the draws."""
    found = wilson(int(np.sum(held)), len(held))
    assert found.value is not None
    return row(name, (found.value, found.low, found.high))


def said_of_sites(draws: int = 1500) -> dict[str, Any]:
    """What the method itself says of one site, on classifiers whose probabilities are right at two
    sites and too bold at the third; 60 calibration cases each.
    """
    law, run_ = {"easy": (4, 0.6), "usual": (3, 1.0), "too bold": (1.5, 1.5)}, Run()
    rng = np.random.default_rng(5)

    def cases(site: str, n: int) -> tuple[np.ndarray, np.ndarray]:
        p = np.abs(rng.beta(*law[site], n) - (rng.random(n) < 0.5))
        true = 0.5 * p + 0.25 if site == "too bold" else p
        return np.stack([1 - p, p], 1), (rng.random(n) < true).astype(int)

    held: dict[str, list[bool]] = {}
    for _ in range(draws):
        old = {site: cases(site, 60) for site in law}
        made = Calibration(
            np.concatenate([p for p, _ in old.values()]),
            np.concatenate([y for _, y in old.values()]),
            np.repeat(np.array(list(law), dtype=object), 60),
            M,
            SHARE,
            CERTAINTY,
        )
        for site in law:
            prob, y = cases(site, M)
            own = prob[np.arange(M), y]
            inside = make_sets(prob, made.by_site[site])[np.arange(M), y]
            said = {m.name: m for m in bound_shares(site, prob, ["a", "b"], made, True, run_)}
            share, half = (
                said["share of b"],
                said["median probability given to the truth, at least"],
            )
            for words, kept in (
                ("sets that hold the truth", inside.sum() >= made.needed),
                ("share of a class", share.low <= y.mean() <= share.high),
                ("probability that half give the truth", np.sort(own)[M // 2] >= half.value),
            ):
                held.setdefault(f"{site} site: {words}", []).append(bool(kept))
    rows = [share_row(name, kept) for name, kept in sorted(held.items())]
    least = min(rows, key=lambda r: r["value"])
    words = (
        f"Each is promised in {CERTAINTY:.0%} of batches; the least is {least['value']:.0%}"
        f" ({least['name']}). Bounds of shares are wide: they hold nearly always."
    )
    return table(
        "What is said of batches of one site",
        "simulated probabilities of three sites",
        "simulated",
        draws,
        [5],
        f"share of {draws} batches in which it holds (promised {CERTAINTY})",
        rows,
        words,
    )


def simulated() -> dict[str, Any]:
    """Three sites that are easy, usual and hard for the classifier; 60 calibration cases each."""
    law = {"easy site": (0.6, 6.0), "usual site": (1.0, 3.0), "hard site": (2.0, 2.0)}

    def draw(rng: np.random.Generator, site: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own = {s: rng.beta(*ab, 60) for s, ab in law.items()}
        return np.concatenate(list(own.values())), own[site], rng.beta(*law[site], M)

    return one_site("simulated scores of three sites", "simulated", draw, list(law), 2000)


def hospitals(data: Dataset) -> dict[str, Any]:
    """The classifier learns from train; val and test cases of a hospital are drawn anew into
    calibration and a batch.
    """
    given = run("classifier", data, {"epochs": 15, "width": 8})[1]["predictions"]
    held = np.flatnonzero((data.splits != "train") & (data.labels >= 0))
    place = {c: i for i, c in enumerate(given.classes)}
    score = (
        1
        - np.asarray(given.prob[held], float)[
            np.arange(len(held)), [place[data.classes[c]] for c in data.labels[held]]
        ]
    )
    site = data.frame[data.roles["domain"]].astype(str).to_numpy()[held]

    def draw(rng: np.random.Generator, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        new = rng.choice(np.flatnonzero(site == name), M, replace=False)
        rest = np.setdiff1d(np.arange(len(score)), new)
        return score[rest], score[rest[site[rest] == name]], score[new]

    # 22 calibration cases are the fewest that can promise this
    enough = [s for s in sorted(set(site)) if (site == s).sum() >= M + 22]
    return one_site(
        "heart disease, four sites (UCI)", "val and test, drawn anew", draw, enough, 2000
    )


def tables() -> list[dict[str, Any]]:
    found = compare("digits (scikit-learn)", make_sample("digits"), 2)
    if shared_data():
        found += compare(
            "PneumoniaMNIST, balanced", read(shared_data() / "pneumoniamnist_balanced"), 2
        )
        found += compare("heart disease, four sites (UCI)", heart(), 15)
        found.append(hospitals(heart()))
    return [*found, simulated(), said_of_sites()]


if __name__ == "__main__":
    store_evidence("batch_pi", tables())
