"""Does a model use a concept? Testing with concept activation vectors.

A concept is a set of cases: some that were selected, or those with a value of a column. In a layer
of the model (the latent space, where there is one) a linear discriminant, fitted on training cases
only and with Ledoit and Wolf's shrinkage, tells them from the others; where it does not do so above
chance on cases it has not seen, nothing is concluded. The concept activation vector is the pattern
that belongs to that discriminant (Haufe et al., NeuroImage 2014), the difference of the two means,
not its normal: the normal also points at what merely helps to read the concept (Pahde et al.,
Navigating neural space, 2022), and on pictures where a second patch decides nothing it found that
patch significant (`tests/test_concepts.py`).

The sensitivity of an output is its directional derivative along the vector on held-out cases, of a
class on cases of that class. The TCAV score is the share of cases where it is positive (Kim et al.,
Interpretability beyond feature attribution, ICML 2018). Behind a linear head every case has the
same sign, so what is tested is the mean derivative ("effect"), against random concepts: as many
training cases, drawn at random, with a vector of their own. Two-sided, Student's t of one more draw
from them; q-values are Benjamini and Hochberg's over all outputs and concepts tested together. On
generated pictures the original test of scores called what says nothing significant in 7 of 10 data
sets, this one in none, and both found what decides in all (evidence `concepts`).

A significant concept is one the output changes with, alone or with what goes with it in the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import ConceptTest
from core.data.stored import class_word
from core.errors import UserError
from core.explain.layers import Layer, list_layers, list_outputs, read_layer
from core.sampling import evenly_spaced
from core.stats.bootstrap import interval, mean_interval
from core.stats.folds import FOLDS, draw_folds

if TYPE_CHECKING:
    from core.data.dataset import Dataset

RANDOM = 200  # random concepts
FEWEST = 8  # training cases with a concept, and without it
HELD = 5  # held-out cases of either side below which training cases are folded instead
OWN = 10  # held-out cases of a class below which all held-out cases stand for it
MOST = 4_000  # training cases, and held-out cases, that are looked at
LEVEL = 0.05
SMALL = 0.1  # log-odds; below it a change of a class is too small to matter, however sure it is


@dataclass(frozen=True)
class Concept:
    """A named set of cases: `inside` are their row ids, `outside` those of the others; what is
    neither (a missing value) is left out.
    """

    name: str
    inside: np.ndarray
    outside: np.ndarray


def concept_of_rows(data: Dataset, rows: np.ndarray, name: str) -> Concept:
    """Return the concept of selected cases; all others are outside."""
    chosen = np.isin(data.rows, rows)
    return Concept(name, data.rows[chosen], data.rows[~chosen])


def concept_of_column(data: Dataset, column: str, value: str = "") -> Concept:
    """Return the concept of the cases with `value` in a column, or of a column of numbers of those
    in its upper third (of the training cases). UserError where the data has no such column or
    value.
    """
    from core.columns import table_columns

    known = {c.name: c for c in table_columns(data)}
    if column not in known:
        raise UserError(
            f"There is no column “{column}” to make a concept of (there are:"
            f" {', '.join(list(known)[:12])})."
        )
    found = known[column]
    if found.kind == "amount" and not value:
        there = np.isfinite(found.values)
        train = there & (data.splits == "train")
        if not train.any():
            raise UserError(f"Column “{column}” has no value in any training case.")
        bound = float(np.quantile(found.values[train], 2 / 3))
        chosen, name = there & (found.values > bound), f"{column} above {bound:.3g}"
    else:
        words = np.array([None if v is None else class_word(v) for v in found.values], dtype=object)
        there = np.array([v is not None and v == v for v in found.values], bool)
        chosen, name = there & (words == value), f"{column} = {value}"
        if not chosen.any():
            raise UserError(
                f"No case has “{value}” in column “{column}” (there are:"
                f" {', '.join(sorted({str(w) for w in words[there]})[:12])})."
            )
    return Concept(name, data.rows[chosen], data.rows[there & ~chosen])


def why_no_concepts(model: Any, data: Dataset) -> str | None:
    """Why no concept can be tested on this model, in one sentence; None when one can."""
    if not list_outputs(model):
        return (
            "This model gives neither classes nor a score with a gradient, so there is nothing a"
            " concept could change; train a classifier."
        )
    if data.modality == "volume" and model.slicewise:
        return "This model takes volumes slice by slice; concepts are tested on whole cases only."
    if data.modality in ("text", "sequence"):
        return "Concepts are tested on pictures, volumes, tables and series, not on text."
    if not (data.splits == "train").any() or (data.splits == "train").all():
        return "Testing a concept takes training cases and held-out cases; this data has no parts."
    if not list_layers(model, data):
        return "This model has no layer whose values its output depends on."
    return None


def measure_concepts(
    model: Any,
    data: Dataset,
    concepts: Sequence[Concept],
    layer: str = "",
    random: int = RANDOM,
    seed: int = 0,
    report: Callable[[float], None] = lambda share: None,
) -> list[ConceptTest]:
    """Test each concept on each output of `model`, see above; `layer` is a key of `list_layers`, ""
    = its first, the latent space. Cost: one pass over training cases, one with a gradient an output
    over held-out ones, at most 4,000 each.

    Raises UserError for a concept with fewer than 8 training cases inside or outside, an unknown
    layer, fewer than 20 random concepts, or a model that cannot be asked.
    """
    if (why := why_no_concepts(model, data)) is not None:
        raise UserError(why)
    if random < 20:
        raise UserError(f"A concept is compared with at least 20 random ones, not {random}.")
    layers = list_layers(model, data)
    chosen = next((one for one in layers if layer in ("", one.key)), None)
    if chosen is None:
        raise UserError(
            f"This model has no layer “{layer}” (it has: {', '.join(one.key for one in layers)})."
        )
    train = _some(data.part("train"), concepts)
    held = _some(data.take(np.flatnonzero(data.splits != "train")), concepts)
    for c in concepts:
        _check(c, train)
    outputs = [key for key, _ in list_outputs(model)]
    before = read_layer(model, train, chosen.key, report=lambda share: report(0.3 * share))
    after = read_layer(
        model, held, chosen.key, outputs, report=lambda share: report(0.3 + 0.5 * share)
    )
    if after.slope is None or not np.isfinite(after.slope).all():
        raise UserError("The model's output has no finite gradient in that layer.")
    mean, sd = before.held.mean(0), before.held.std(0)
    sd = np.where(sd > 1e-9 * max(float(sd.max()), 1e-12), sd, np.inf)  # constant channels: 0
    space = _Space(
        (before.held - mean) / sd,
        (after.held - mean) / sd,
        after.slope * np.where(np.isfinite(sd), sd, 0.0),
        train,
        held,
    )
    made = []
    for k, c in enumerate(concepts):
        made.append(_test(space, c, outputs, chosen, random, seed))
        report(0.8 + 0.2 * (k + 1) / len(concepts))
    _control(made)
    for one in made:
        one.says = describe(one)
    return made


@dataclass(frozen=True)
class _Space:
    """Standardised contents of a layer: `train` [m,c], `held` [n,c], `slope` [n,t,c], and whose."""

    train: np.ndarray
    held: np.ndarray
    slope: np.ndarray
    train_of: Dataset
    held_of: Dataset


def _some(data: Dataset, concepts: Sequence[Concept]) -> Dataset:
    """At most 4,000 cases: all that are in a concept first, the others evenly taken."""
    if len(data) <= MOST:
        return data
    inside = np.isin(data.rows, np.concatenate([c.inside for c in concepts]))
    first, others = np.flatnonzero(inside), np.flatnonzero(~inside)
    first = first[evenly_spaced(len(first), MOST // 2)]
    rest = others[evenly_spaced(len(others), MOST - len(first))]
    return data.take(np.sort(np.concatenate([first, rest])))


def _check(c: Concept, train: Dataset) -> None:
    inside, outside = (int(np.isin(train.rows, rows).sum()) for rows in (c.inside, c.outside))
    if min(inside, outside) < FEWEST:
        few, of = (inside, "with it") if inside < FEWEST else (outside, "without it")
        raise UserError(
            f"The concept “{c.name}” has {few} training cases {of}; a concept takes at least"
            f" {FEWEST}, since it is learned on training cases only."
        )


def _test(
    space: _Space, c: Concept, outputs: list[str], layer: Layer, random: int, seed: int
) -> ConceptTest:
    member = _membership(space.train_of, c)
    use, inside = member >= 0, member[member >= 0] == 1
    x = space.train[use]
    vector = x[inside].mean(0) - x[~inside].mean(0)
    slope = space.slope @ vector
    rng, null = np.random.default_rng(seed), []
    for _ in range(random):
        drawn = np.zeros(len(x), bool)
        drawn[rng.permutation(len(x))[: int(inside.sum())]] = True
        null.append(x[drawn].mean(0) - x[~drawn].mean(0))
    slopes = np.einsum("ntc,rc->rnt", space.slope, np.stack(null))
    length = float(np.linalg.norm(vector)) or 1.0
    along = x @ (vector / length)
    amount = (space.held @ (vector / length) - along.mean()) / max(float(along.std()), 1e-12)
    of = space.held_of
    results = []
    for t, output in enumerate(outputs):
        own = _cases_of(of, output)
        results.append({"output": output} | _result(slope[own, t], slopes[:, own, t], of.take(own)))
    return ConceptTest(
        rows=of.rows,
        concept=c.name,
        amount=amount.astype(np.float32),
        slope=slope.astype(np.float32),
        vector=vector.astype(np.float32),
        outputs=outputs,
        layer=layer.title,
        inside=int(inside.sum()),
        random=random,
        readable=_readable(space, c, x, inside, use),
        results=results,
    )


def _membership(data: Dataset, c: Concept) -> np.ndarray:
    """Per row 1 inside, 0 outside, -1 neither."""
    return np.where(np.isin(data.rows, c.inside), 1, np.where(np.isin(data.rows, c.outside), 0, -1))


def _cases_of(held: Dataset, output: str) -> np.ndarray:
    """Positions of the held-out cases an output is judged on: those of its class, or all where
    these are too few.
    """
    name = output.removeprefix("class ")
    if output != "score" and name in held.classes:
        own = np.flatnonzero(held.labels == held.classes.index(name))
        if len(own) >= OWN:
            return own
    return np.arange(len(held))


def _result(slope: np.ndarray, null: np.ndarray, of: Dataset) -> dict[str, Any]:
    """One output: `slope` [n] along the concept, `null` [r,n] along random ones."""
    from scipy.stats import t as student

    bounds = mean_interval(slope > 0, of.groups)
    shares, effects = (null > 0).mean(1), null.mean(1)
    effect, spread = float(slope.mean()), float(effects.std(ddof=1))
    away = (effect - float(effects.mean())) / max(spread * np.sqrt(1 + 1 / len(effects)), 1e-300)
    p = 1.0 if spread == 0 else float(2 * student.sf(abs(away), len(effects) - 1))
    low, high = np.quantile(shares, [0.025, 0.975])
    return {
        "n": len(slope),
        "share": float((slope > 0).mean()),
        "low": bounds.low,
        "high": bounds.high,
        "random_low": float(low),
        "random_high": float(high),
        "effect": effect,
        "random_effect": spread,
        "p": p,
    }


def _readable(
    space: _Space, c: Concept, x: np.ndarray, inside: np.ndarray, use: np.ndarray
) -> dict[str, Any]:
    """How well the linear discriminant reads the concept on cases it has not seen: AUROC with its
    interval over patients; above chance where the interval lies above 0.5.
    """
    from sklearn.metrics import roc_auc_score

    member = _membership(space.held_of, c)
    held = member >= 0
    truth = member[held] == 1
    if min(truth.sum(), (~truth).sum()) >= HELD:
        score, by = space.held[held] @ _discriminant(x, inside), "held-out cases"
        of = space.held_of.take(np.flatnonzero(held))
    else:
        of, truth = space.train_of.take(np.flatnonzero(use)), inside
        score, by = _folded(x, inside, of), "training cases left out in turn"

    def auroc(i: np.ndarray) -> float:
        two = truth[i].any() and not truth[i].all()
        return float(roc_auc_score(truth[i], score[i])) if two else float("nan")

    found = interval(auroc, len(truth), of.groups, (0, 1), truth)
    ok = found.low is not None and found.low > 0.5
    return {
        "auroc": auroc(np.arange(len(truth))),
        "low": found.low,
        "high": found.high,
        "n": len(truth),
        "inside": int(truth.sum()),
        "by": by,
        "ok": bool(ok),
    }


def _discriminant(x: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the normal [c] of the linear discriminant, from cases within their two groups."""
    from sklearn.covariance import ledoit_wolf

    a, b = x[inside].mean(0), x[~inside].mean(0)
    within = x - np.where(inside[:, None], a, b)
    cov = ledoit_wolf(within)[0]
    cov[np.diag_indices(len(cov))] += 1e-6 * max(float(np.trace(cov)) / len(cov), 1e-12)
    return np.asarray(np.linalg.solve(cov, a - b))


def _folded(x: np.ndarray, inside: np.ndarray, of: Dataset) -> np.ndarray:
    """Scores [n] of training cases by discriminants fitted without their patients, in five
    folds.
    """
    fold = draw_folds(len(x), of.groups)
    score = np.zeros(len(x))
    for k in range(FOLDS):
        rest = fold != k
        if inside[rest].any() and not inside[rest].all():
            w = _discriminant(x[rest], inside[rest])
            score[~rest] = x[~rest] @ w / max(float((x[rest] @ w).std()), 1e-12)
    return score


def _control(made: list[ConceptTest]) -> None:
    """q-values over all outputs of the concepts that can be read; the others conclude nothing."""
    from scipy.stats import false_discovery_control

    asked = [r for m in made for r in m.results if m.readable["ok"]]
    q = false_discovery_control([r["p"] for r in asked]) if asked else []
    for m in made:
        for r in m.results:
            r |= {"q": None, "significant": False}
    for r, one in zip(asked, q):
        r |= {"q": float(one), "significant": bool(one < LEVEL)}
    for r in (r for m in made for r in m.results):
        r["small"] = r["output"] != "score" and abs(r["effect"]) < SMALL


def describe(made: ConceptTest) -> str:
    """Return what a test says, in one sentence."""
    read = made.readable
    if not read["ok"]:
        return (
            "nothing can be concluded: the model's layer does not hold it in a way that can be read"
            f" above chance (AUROC {read['auroc']:.2f} on {read['by']})."
        )
    known = [r for r in made.results if r["significant"]]
    found = sorted((r for r in known if not r["small"]), key=lambda r: -abs(float(r["effect"])))
    if known and not found:
        return (
            f"it changes an output more than {made.random} random concepts do, but by less than"
            f" {SMALL} log-odds, which is too little to matter."
        )
    if not found:
        return (
            "the layer holds it, but no output changes with it more than with"
            f" {made.random} random concepts."
        )
    words = [
        f"{'for' if r['effect'] > 0 else 'against'} “{r['output'].removeprefix('class ')}”"
        if r["output"] != "score"
        else f"for a {'higher' if r['effect'] > 0 else 'lower'} anomaly score"
        for r in found
    ]
    some = ", ".join(words[:6]) + (f" and {len(words) - 6} more" if len(words) > 6 else "")
    return f"it speaks {some}, more than {made.random} random concepts do."
