"""Whether each axis of a latent space stands for one known factor, and each factor in one axis.

Of n cases with codes z [n,d] and known factors v [n,K]:

- MIG (Chen et al. 2018): mean over factors of (I(z_a; v_k) - I(z_b; v_k)) / H(v_k), a and b the two
  axes that tell most of it. Information is counted in 20 equal parts of each axis and 10 parts of a
  factor with equally many cases (its own values where there are no more).
- SAP (Kumar, Sattigeri, Balakrishnan 2018): the same gap between the shares of a factor's variance
  that a straight line on one axis explains.
- DCI (Eastwood, Williams 2018): importances R [d,K] are the coefficients, without sign, of a lasso
  of each factor on all axes, standardised. Disentanglement is one less the entropy (base K) of an
  axis's importances, axes weighted by their share of all; completeness one less the entropy (base
  d) of a factor's; informativeness the R2 of that lasso, here on cases it was not fitted on.
- FactorVAE score (Kim, Mnih 2018): of 32 cases that share a part of one factor, the axis that
  varies least for its spread over all cases; how often the majority of such votes of an axis names
  the factor that was shared, counted on other cases than those that formed the majorities. [design]
  A factor's part stands for its one value, since real values hardly repeat.

All are 1 for axes that are the factors; 0 for codes that know nothing of them, but for the
FactorVAE score, where chance is 1/K.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.artifacts import Artifact, Embedding, Interval, Metric
from core.measure import Measure
from core.stats.bootstrap import interval, resample, units

if TYPE_CHECKING:
    from core.data.dataset import Dataset

PARTS, CUTS = 10, 20  # of a factor, of an axis
PENALTY = 0.01  # of the lasso, on standardised values
UNUSED = 1e-3  # share of the whole variance below which an axis casts no vote
ROWS, FEWEST = 4000, 50
VOTES, TOGETHER, DRAWS = 400, 32, 100
FACTORS = "factors"  # entry of a dataset's card


def find_factors(data: Dataset) -> list[str]:
    """Return the columns that hold known factors: those the dataset's card names, else, of data
    that was generated, all its columns of numbers that play no role.
    """
    named = data.card.get(FACTORS)
    if named:
        return [c for c in named if c in data.table and _is_factor(data, c)]
    if not data.card.get("synthetic"):
        return []
    from core.data.dataset import TECHNICAL

    left_out = {*data.roles.values(), *TECHNICAL}
    return [c for c in data.table.columns if c not in left_out and _is_factor(data, c)]


def _is_factor(data: Dataset, column: str) -> bool:
    values = data.table[column]
    return pd.api.types.is_numeric_dtype(values) and values.nunique() > 1


def part_factor(v: np.ndarray) -> np.ndarray:
    """Return the part each value [n] lies in, int64 [n]: its own values where there are at most
    10, else 10 parts of equally many cases.
    """
    values = np.unique(v)
    if len(values) > PARTS:
        inner = np.quantile(v, np.linspace(0, 1, PARTS + 1)[1:-1])
        return np.searchsorted(inner, v, side="right")
    return np.searchsorted(values, v)


def cut_axis(z: np.ndarray) -> np.ndarray:
    """Return the part each value [n] lies in, int64 [n]: 20 of equal width."""
    low, high = z.min(), z.max()
    return np.clip(((z - low) / max(high - low, 1e-12) * CUTS).astype(np.int64), 0, CUTS - 1)


def information(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information of two codes int64 [n], in nats, as their counts have it."""
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1)
    p = joint / len(a)
    both = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    there = p > 0
    return float((p[there] * np.log(p[there] / both[there])).sum())


def mutual_information_gap(z: np.ndarray, v: np.ndarray) -> float:
    """MIG of codes z [n,d] and factors v [n,K]; NaN where a factor does not vary."""
    cuts = [cut_axis(axis) for axis in z.T]
    gaps = []
    for factor in v.T:
        parts = part_factor(factor)
        entropy = information(parts, parts)
        told = sorted((information(cut, parts) for cut in cuts), reverse=True)
        gaps.append(
            (told[0] - (told[1] if len(told) > 1 else 0.0)) / entropy if entropy else np.nan
        )
    return float(np.mean(gaps))


def separated_predictability(z: np.ndarray, v: np.ndarray) -> float:
    """SAP of codes z [n,d] and factors v [n,K]."""
    x, y = _standardise(z), _standardise(v)
    share = np.sort(np.square(x.T @ y / len(x)), axis=0)
    return float((share[-1] - (share[-2] if len(share) > 1 else 0.0)).mean())


def importances(z: np.ndarray, v: np.ndarray, fit: np.ndarray) -> tuple[np.ndarray, float]:
    """Return R [d,K] of DCI, fitted on the rows `fit` bool [n], and the mean R2 on the others (on
    the same where there are none).
    """
    from sklearn.linear_model import Lasso
    from sklearn.metrics import r2_score

    mean, sd = z[fit].mean(0), np.maximum(z[fit].std(0), 1e-12)
    x, held = (z - mean) / sd, ~fit if (~fit).sum() >= 10 else fit
    found, told = [], []
    for factor in v.T:
        centre, spread = factor[fit].mean(), max(factor[fit].std(), 1e-12)
        y = (factor - centre) / spread
        lasso = Lasso(PENALTY, max_iter=5000).fit(x[fit], y[fit])
        found.append(np.abs(lasso.coef_))
        told.append(max(0.0, r2_score(y[held], lasso.predict(x[held]))))
    return np.array(found).T, float(np.mean(told))


def disentanglement(r: np.ndarray) -> float:
    """DCI's disentanglement of importances [d,K]; 0 where nothing is important."""
    return _ordered(r)


def completeness(r: np.ndarray) -> float:
    """DCI's completeness of importances [d,K]: the mean over factors."""
    d = r.shape[0]
    if d < 2:
        return 1.0
    total = r.sum(0)
    p = r / np.maximum(total, 1e-12)
    return float(np.where(total > 1e-9, 1 - _entropy(p.T, d), 0.0).mean())


def _ordered(r: np.ndarray) -> float:
    total = r.sum(1)
    if total.sum() < 1e-9:
        return 0.0
    p = r / np.maximum(total, 1e-12)[:, None]
    return float((total / total.sum() * (1 - _entropy(p, r.shape[1]))).sum())


def _entropy(p: np.ndarray, base: int) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.nan_to_num(p * np.log(p)).sum(1) / np.log(base)


def factor_vae_score(
    z: np.ndarray, v: np.ndarray, forms: np.ndarray, rng: np.random.Generator
) -> float:
    """FactorVAE score of codes z [n,d] and factors v [n,K]; the rows `forms` bool [n] form the
    majorities, the others are asked. 400 votes each.
    """
    variance = z.var(0)
    used = variance > UNUSED * variance.sum()
    x = z[:, used] / np.sqrt(variance[used])
    parts = np.stack([part_factor(factor) for factor in v.T], 1)
    (axes, shared), (asked, truth) = (_vote(x[h], parts[h], rng) for h in (forms, ~forms))
    votes = np.zeros((x.shape[1], v.shape[1]))
    np.add.at(votes, (axes, shared), 1)
    return float((votes.argmax(1)[asked] == truth).mean())


def _vote(
    x: np.ndarray, parts: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each vote the axis that varied least, and the factor that was shared, int64."""
    shared = rng.integers(0, parts.shape[1], VOTES)
    axes = np.empty(VOTES, np.int64)
    for vote, k in enumerate(shared):
        one = parts[rng.integers(len(x)), k]
        there = np.flatnonzero(parts[:, k] == one)
        axes[vote] = x[rng.choice(there, TOGETHER)].var(0).argmin()
    return axes, shared


def _standardise(x: np.ndarray) -> np.ndarray:
    sd = x.std(0)
    return np.where(sd > 1e-9, (x - x.mean(0)) / np.maximum(sd, 1e-12), 0.0)


class Disentanglement(Measure):
    id = "disentanglement"
    title = "Axes against known factors (disentanglement)"
    takes = (Embedding,)
    cheap = False
    help = (
        "Whether each axis of the latent space stands for one known factor, such as the size of a"
        " part of the body, and each factor in one axis. 1: axes are the factors; 0: they know"
        " nothing of them (FactorVAE score: 1 / number of factors). Higher is better."
    )

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        factors = find_factors(data)
        if len(factors) < 2:
            return (
                "no two columns are named as known factors; name them, as in `lightbox measure RUN"
                ' disentanglement --factors "age,tilt"`'
            )
        if len(_known(data.of(artifacts[0].rows), factors)) < FEWEST:
            return f"fewer than {FEWEST} cases have all of the factors"
        return None

    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        (embedding,) = artifacts
        assert isinstance(embedding, Embedding)
        whole, factors = data.of(embedding.rows), find_factors(data)
        at = _known(whole, factors)
        drawn = "" if len(at) <= ROWS else f"; {ROWS:,} of {len(at):,} cases drawn"
        at = at if len(at) <= ROWS else np.sort(rng.choice(at, ROWS, replace=False))
        z = np.asarray(embedding.z)[at].astype(np.float64)
        v = whole.frame[factors].to_numpy(np.float64)[at]
        fit = whole.splits[at] == "train"
        fit = np.ones(len(at), bool) if fit.sum() < FEWEST else fit
        groups = None if whole.groups is None else whole.groups[at]
        note = f"factors: {', '.join(factors)}{drawn}"

        def dci(i: np.ndarray) -> tuple[float, float, float]:
            r, told = importances(z[i], v[i], fit[i])
            return disentanglement(r), completeness(r), told

        kept: dict[bytes, tuple[float, float, float]] = {}

        def one_of(k: int, i: np.ndarray) -> float:
            key = i.tobytes()
            if key not in kept:
                kept[key] = dci(i)
            return kept[key][k]

        chance = f"chance gives {1 / len(factors):.2f}"
        rows = [
            ("mutual information gap (MIG)", lambda i: mutual_information_gap(z[i], v[i]), note),
            ("separated predictability (SAP)", lambda i: separated_predictability(z[i], v[i]), ""),
            ("disentanglement (DCI)", lambda i: one_of(0, i), ""),
            ("completeness (DCI)", lambda i: one_of(1, i), ""),
            ("informativeness (DCI)", lambda i: one_of(2, i), "R² of a lasso, held-out cases"),
        ]
        return [
            Metric(name, value(np.arange(len(at))), n=len(at), note=words).within(
                _cut(interval(value, len(at), groups))
            )
            for name, value, words in rows
        ] + [_votes(z, v, units(len(at), groups), chance, rng)]


def _cut(found: Interval) -> Interval:
    """Return an interval without what lies beyond 0 and 1. It is laid on the plain scale: on that
    of log-odds a gap of two shares next to 0 would have one that reaches over half the scale.
    """
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def _votes(
    z: np.ndarray, v: np.ndarray, unit: np.ndarray, note: str, rng: np.random.Generator
) -> Metric:
    """Return the FactorVAE score with the middle 95 % of draws of patients: its votes are drawn, so
    leaving out patients one by one would show the votes' noise.
    """
    forms = rng.permutation(unit.max() + 1)[unit] % 2 == 0

    def one(i: np.ndarray) -> float:
        return factor_vae_score(z[i], v[i], forms[i], rng)

    every = np.arange(len(z))
    value = float(np.mean([one(every) for _ in range(5)]))
    low, high = np.percentile([one(resample(unit, rng)) for _ in range(DRAWS)], [2.5, 97.5])
    return Metric(
        "FactorVAE score",
        value,
        min(float(low), value),
        max(float(high), value),
        n=len(z),
        note=f"{note}; range: the middle 95 % of {DRAWS} draws of patients or cases",
        kind="range",
        units=int(unit.max()) + 1,
    )


def _known(whole: Dataset, factors: list[str]) -> np.ndarray:
    """Positions of the rows that have all factors."""
    return np.flatnonzero(whole.frame[factors].notna().all(axis=1).to_numpy())
