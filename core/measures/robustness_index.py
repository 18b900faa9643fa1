"""Does an embedding keep the biology or the hospital? Among each case's nearest cases of other
patients: same class from elsewhere, against another class from the same site.

RI_k = SO / (SO + OS) over the k nearest of all cases, SO = same class, other site; OS = other
class, same site. In [0, 1]; what chance gives depends on the balance of classes and sites and is
printed beside it. k is the one with the best balanced accuracy of the neighbours' vote for the
class. The ratio of the first paper, same class over same site, stands beside it. Cost: O(n²)
distances, on at most 4,000 rows.

Reference: de Jong, Marcus, Teuwen, Current pathology foundation models are unrobust to medical
center differences, 2025; Koemen et al., PathoROB, 2025.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import Artifact, Embedding, Metric
from core.measure import Measure
from core.stats.bootstrap import interval, units
from core.stats.metrics import mean_metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset

ROWS, MOST = 4000, 50
SHOWN = (1, 3, 5, 10, 20, 30, 50)


def neighbours(z: np.ndarray, k: int, groups: np.ndarray | None) -> np.ndarray:
    """int64 [n,k]: the nearest other points of each point, those of its own group (patient) left
    out; -1 where there are fewer.
    """
    square = np.square(z).sum(1)
    found = np.full((len(z), k), -1)
    code = units(len(z), groups)
    for start in range(0, len(z), 512):
        part = slice(start, start + 512)
        distance = square[part, None] + square[None] - 2 * z[part] @ z.T
        distance[code[part, None] == code[None]] = np.inf
        order = np.argsort(distance, axis=1, kind="stable")[:, :k]
        found[part, : order.shape[1]] = np.where(
            np.isfinite(np.take_along_axis(distance, order, 1)), order, -1
        )
    return found


def counts(near: np.ndarray, y: np.ndarray, c: np.ndarray) -> dict[str, np.ndarray]:
    """int64 [n,k] each: among the first 1..k neighbours, how many are SS, SO, OS, OO (class, then
    site: same or other).
    """
    there, same_y, same_c = near >= 0, y[near] == y[:, None], c[near] == c[:, None]
    kinds = {
        "SS": same_y & same_c,
        "SO": same_y & ~same_c,
        "OS": ~same_y & same_c,
        "OO": ~same_y & ~same_c,
    }
    return {name: np.cumsum(kind & there, 1) for name, kind in kinds.items()}


def index(so: np.ndarray, os: np.ndarray) -> float:
    """SO / (SO + OS) summed over cases; NaN when there are neither."""
    total = so.sum() + os.sum()
    return float(so.sum() / total) if total else float("nan")


def kept_counts(
    near: np.ndarray, y: np.ndarray, c: np.ndarray, k: int, kept: np.ndarray
) -> dict[str, int]:
    """How many SS, SO, OS and OO there are among the `k` nearest of the cases `kept` (positions),
    when those are all the cases there are: who is left out is nobody's neighbour either.
    """
    there = np.zeros(len(near), bool)
    there[kept] = True
    near = near[kept]
    seen = (near >= 0) & there[near]
    seen &= np.cumsum(seen, 1) <= k
    same_y, same_c = y[near] == y[kept, None], c[near] == c[kept, None]
    return {
        "SS": int((seen & same_y & same_c).sum()),
        "SO": int((seen & same_y & ~same_c).sum()),
        "OS": int((seen & ~same_y & same_c).sum()),
        "OO": int((seen & ~same_y & ~same_c).sum()),
    }


def kept_index(near: np.ndarray, y: np.ndarray, c: np.ndarray, k: int, kept: np.ndarray) -> float:
    """SO / (SO + OS) among the `k` nearest of the cases `kept`; NaN when there are neither."""
    found = kept_counts(near, y, c, k, kept)
    total = found["SO"] + found["OS"]
    return found["SO"] / total if total else float("nan")


def kept_ratio(near: np.ndarray, y: np.ndarray, c: np.ndarray, k: int, kept: np.ndarray) -> float:
    """Neighbours of the same class over neighbours of the same site, among the `k` nearest of the
    cases `kept`.
    """
    found = kept_counts(near, y, c, k, kept)
    return (found["SS"] + found["SO"]) / max(found["SS"] + found["OS"], 1)


def chance(y: np.ndarray, c: np.ndarray) -> float:
    """RI of neighbours drawn at random: the share of SO among all pairs that are SO or OS."""
    same_y, same_c = (sum(k * k for k in np.unique(v, return_counts=True)[1]) for v in (y, c))
    both = sum(k * k for k in np.unique(np.stack([y, c]), axis=1, return_counts=True)[1])
    so, os = same_y - both, same_c - both
    return float(so / (so + os)) if so + os else float("nan")


def best_k(near: np.ndarray, y: np.ndarray) -> int:
    """Return the k at which the vote of the nearest neighbours names the class best (balanced
    accuracy, the case itself left out).
    """
    votes, best, at = np.zeros((len(y), y.max() + 1)), -1.0, 1
    for k in range(near.shape[1]):
        there = near[:, k] >= 0
        votes[np.flatnonzero(there), y[near[there, k]]] += 1
        if k % 2 == 0:
            said = votes.argmax(1)
            value = float(np.mean([(said[y == j] == j).mean() for j in np.unique(y)]))
            if value > best + 1e-12:
                best, at = value, k + 1
    return at


class RobustnessIndex(Measure):
    id = "robustness_index"
    title = "Biology or hospital (robustness index)"
    seed_number = 58
    takes = (Embedding,)
    labels = True
    help = (
        "Of a case's nearest cases that share either its class or its site, how many share the"
        " class and come from elsewhere. 1: the model sees the biology; 0: it sees the hospital;"
        " the value chance gives stands beside it. Higher is better."
    )

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        whole = data.of(artifacts[0].rows)
        if whole.domains is None:
            return "there is no column that says which hospital or scanner a case is from"
        y, c = _known(whole)
        if len(np.unique(c)) < 2:
            return "all cases with a label are from one site"
        return "all cases with a site are of one class" if len(np.unique(y)) < 2 else None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        from core.neighbours import prepared

        (embedding,) = artifacts
        assert isinstance(embedding, Embedding)
        whole = data.of(embedding.rows)
        sites = whole.domains
        assert sites is not None
        at = np.flatnonzero((whole.labels >= 0) & np.array([d is not None for d in sites]))
        drawn = "" if len(at) <= ROWS else f"; {ROWS:,} of {len(at):,} cases drawn"
        at = at if len(at) <= ROWS else np.sort(rng.choice(at, ROWS, replace=False))
        y, c = whole.labels[at], np.unique(sites[at].astype(str), return_inverse=True)[1]
        groups = whole.groups[at] if whole.groups is not None else None
        z = prepared(np.asarray(embedding.z)[at], embedding.metric).astype(np.float64)
        near = neighbours(z, min(MOST, len(at) - 1), groups)
        k, found, kinds, n = best_k(near, y), [], counts(near, y, c), len(at)
        so, os = kinds["SO"], kinds["OS"]
        # tight groups of one class and site have neither kind near by: look further out
        defined = np.flatnonzero((so + os).sum(0))
        k = max(k, int(defined[0]) + 1) if len(defined) else k
        value, by_chance = index(so[:, k - 1], os[:, k - 1]), chance(y, c)
        if value != value:
            return [
                Metric(
                    "robustness index",
                    None,
                    n=n,
                    note=(
                        "no neighbour shares only the class or only the site: classes and sites are"
                        " the same blocks"
                    ),
                )
            ]
        own = Metric(
            "robustness index", value, n=n, note=f"k = {k}; chance gives {by_chance:.2f}{drawn}"
        )
        found.append(own.within(interval(partial(kept_index, near, y, c, k), n, groups, (0, 1))))
        ratio = partial(kept_ratio, near, y, c, k)
        first = Metric(
            "same class over same site among neighbours",
            ratio(np.arange(n)),
            n=n,
            note="the first paper's form; above 1: biology prevails",
        )
        found.append(first.within(interval(ratio, n, groups, (0, np.inf))))
        for step in SHOWN:
            if step <= near.shape[1] and (v := index(so[:, step - 1], os[:, step - 1])) == v:
                at_k = partial(kept_index, near, y, c, step)
                found.append(
                    Metric("robustness index by k", v, group=f"k = {step}", n=n).within(
                        interval(at_k, n, groups, (0, 1))
                    )
                )
        found += self._paired(z, y, c, groups, k, rng)
        return found + self._site_probe(whole, np.asarray(embedding.z), rng)

    def _paired(
        self,
        z: np.ndarray,
        y: np.ndarray,
        c: np.ndarray,
        groups: np.ndarray | None,
        k: int,
        rng: np.random.Generator,
    ) -> list[Metric]:
        """Return the mean over balanced 2 x 2 designs (two classes, two sites, equally many cases
        each), which takes imbalance away; at most 20 of them.
        """
        cells = {
            (a, b): np.flatnonzero((y == a) & (c == b)) for a in np.unique(y) for b in np.unique(c)
        }
        designs = [
            (a, b)
            for a in combinations(np.unique(y), 2)
            for b in combinations(np.unique(c), 2)
            if min(len(cells[i, j]) for i in a for j in b) >= 10
        ][:20]
        values = []
        for classes, sites in designs:
            size = min(min(len(cells[i, j]) for i in classes for j in sites), 300)
            at = np.concatenate(
                [rng.choice(cells[i, j], size, replace=False) for i in classes for j in sites]
            )
            near = neighbours(z[at], min(k, len(at) - 1), None if groups is None else groups[at])
            kinds = counts(near, y[at], c[at])
            values.append(index(kinds["SO"][:, -1], kinds["OS"][:, -1]))
        good = [v for v in values if v == v]
        if not good:
            return []
        note = (
            f"two classes and two sites, equally many of each: mean and range of {len(good)} such"
            " pairs; chance gives 0.50"
        )
        least, most = (float(min(good)), float(max(good))) if len(good) > 1 else (None, None)
        return [
            Metric(
                "robustness index, balanced pairs",
                float(np.mean(good)),
                least,
                most,
                n=len(good),
                note=note,
                kind="range",
            )
        ]

    def _site_probe(self, whole: Dataset, z: np.ndarray, rng: np.random.Generator) -> list[Metric]:
        """How well a linear probe names the site, fitted on train and counted on val and
        test (patients stay together in the split).
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        site = (
            np.array(["" if d is None else str(d) for d in whole.domains])
            if whole.domains is not None
            else np.zeros(0)
        )
        fit, test = (
            np.flatnonzero(s & (site != ""))
            for s in (whole.splits == "train", whole.splits != "train")
        )
        if len(np.unique(site[fit])) < 2 or len(test) < 10:
            return []
        reader = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(
            z[fit], site[fit]
        )
        right = reader.predict(z[test]) == site[test]
        most = float(np.unique(site[test], return_counts=True)[1].max() / len(test))
        note = f"always naming the largest site gives {most:.2f}"
        return [
            mean_metric(
                "site named by a linear probe: accuracy",
                np.asarray(right, bool),
                whole.take(test),
                split="val and test",
                higher_is_better=False,
                note=note,
            )
        ]


def _known(whole: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Classes and sites of the rows that have both."""
    sites = whole.domains
    assert sites is not None
    at = (whole.labels >= 0) & np.array([d is not None for d in sites])
    return whole.labels[at], sites[at].astype(str)
