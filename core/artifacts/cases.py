"""Artifacts about single cases: how unusual, why, what is predicted, what was made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from core.artifacts.base import Array, Artifact


def log_odds(score: Array) -> Array:
    """float64 [n,k] log(p / (1 - p)) of the softmax p of `score` [n,k] (logits, or
    log-probabilities up to a constant a row).

    Equal values are equal scores: where p has become 1.0, its complement is summed from the other
    classes.
    """
    score = np.asarray(score, dtype=np.float64)
    if score.shape[1] < 2:
        return score
    rows, top = np.arange(len(score)), score.argmax(1)
    largest = score[rows, top]
    others = np.exp(score - largest[:, None])
    whole = others.sum(1, keepdims=True)
    share = others / whole
    rest = score.copy()
    rest[rows, top] = -np.inf
    second = rest.max(1)
    left = second + np.log(np.exp(rest - second[:, None]).sum(1))
    with np.errstate(divide="ignore"):
        found = score - largest[:, None] - np.log(whole) - np.log1p(-np.minimum(share, 0.5))
    found[rows, top] = largest - left
    return found


@dataclass(kw_only=True)
class AnomalyMaps(Artifact):
    """`score [n]` float32 and, where the method localises, `map [n,*spatial]` float32; higher =
    more abnormal, `unit` names the scale.

    `threshold` was chosen on validation rows by the rule named in `rule`; None = none was. `shows`
    "doubt": high where a model is of two minds about its own answer, which says nothing about
    whether the case is abnormal, so no measure of abnormality takes it. `pixel_threshold` belongs
    to `map`; above it, connected spots of fewer than `smallest` pixels of a picture or slice are
    not marked.
    """

    score: Array
    map: Array | None = None
    threshold: float | None = None
    rule: str = ""
    unit: str = "score"
    pixel_threshold: float | None = None
    smallest: int = 1
    shows: Literal["abnormality", "doubt"] = "abnormality"

    per_row = ("score", "map")

    def summary(self) -> str:
        over = (
            ""
            if self.threshold is None
            else f", {int((self.score > self.threshold).sum())} above the threshold"
        )
        return (
            f"{len(self.rows)} scored"
            f" {'cases' if self.place is None else 'slices'}{over}{self.how_folded}"
        )

    def marked(self, heat: np.ndarray) -> np.ndarray:
        """Return what these maps mark in `heat`.

        Parameters: `heat [n, *spatial]` float, rows of `map`; the last two axes are a picture or a
        slice. Returns: bool of the same shape, above `pixel_threshold`, without connected spots (8
        neighbours) of fewer than `smallest` pixels. Raises ValueError where there is no pixel
        threshold.
        """
        from scipy.ndimage import label

        if self.pixel_threshold is None:
            raise ValueError("These maps have no pixel threshold.")
        above = np.asarray(heat) > self.pixel_threshold
        if self.smallest <= 1:
            return above
        within = np.zeros((3, 3, 3), bool)
        within[1] = True  # neighbours within a picture, none in the next one
        spots, _ = label(above.reshape(-1, *above.shape[-2:]), within)
        large = np.bincount(spots.ravel()) >= self.smallest
        large[0] = False
        return large[spots].reshape(above.shape)

    def heat_range(self) -> tuple[float, float]:
        """Return the one scale of all heat pictures, from at most 2,000 evenly taken cases: three
        quarters of all pixels stay clear below it, the 99.8th percentile is full. (0, 1) where
        there is no map.
        """
        if self.map is None:
            return 0.0, 1.0
        low, high = np.quantile(
            np.asarray(self.map[:: max(1, len(self.rows) // 2000)]), [0.75, 0.998]
        )
        return float(low), float(max(high, low + 1e-9))

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        heat = np.random.default_rng(seed).gamma(1.0, 0.2, size=(n, 16, 16)).astype("f4")
        return cls(
            rows=np.arange(n), score=heat.max((1, 2)), map=heat, threshold=1.0, rule="example"
        )


@dataclass(kw_only=True)
class Attributions(Artifact):
    """How much each input value moved the target: `value` is shaped as the input, [n,*shape]
    float32, signed.

    `residual [n]` is the completeness gap |sum(value) - (f(x) - f(baseline))|; None for methods
    without that axiom. `baseline` names what cases were compared with (see
    `core.explain.baselines`), "" where nothing was: with "mean" it is `usual`, shaped as one input;
    with other cases `against [n]` int64 holds their row ids.
    """

    value: Array
    target: str = ""
    how: str = ""
    residual: Array | None = None
    output: Array | None = None  # f(x) [n]
    baseline: str = ""
    usual: Array | None = None
    against: Array | None = None

    per_row = ("value", "residual", "output", "against")

    def full_colour(self) -> float:
        """Return the one scale of all signed pictures: the 99th percentile of absolute values,
        channels summed.
        """
        value = np.asarray(self.value)
        return float(np.quantile(np.abs(value.sum(1) if value.ndim > 2 else value), 0.99)) or 1e-9

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        value = np.random.default_rng(seed).normal(size=(n, 1, 16, 16)).astype("f4")
        return cls(
            rows=np.arange(n),
            value=value,
            target="class 1",
            how="integrated_gradients",
            residual=np.zeros(n, "f4"),
        )


@dataclass(kw_only=True)
class Rationales(Artifact):
    """Per row, reasons in words: `items[i]` is a list of {"text", "weight"} dicts (spans, concepts
    or generated text); `about[i]`, where given, says what a positive weight speaks for ("taken for
    Asia").
    """

    items: list[list[dict[str, Any]]]
    kind: Literal["spans", "concepts", "text"] = "concepts"
    about: list[str] | None = None

    lists = ("items", "about")

    def validate(self) -> None:
        super().validate()
        if len(self.items) != len(self.rows):
            raise ValueError(
                f"Rationales.items has {len(self.items)} entries for {len(self.rows)} rows"
            )
        if self.about is not None and len(self.about) != len(self.rows):
            raise ValueError(
                f"Rationales.about has {len(self.about)} entries for {len(self.rows)} rows"
            )

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        items = [
            [{"text": f"concept {j}", "weight": float(w)} for j, w in enumerate(rng.normal(size=3))]
            for _ in range(n)
        ]
        return cls(rows=np.arange(n), items=items)


@dataclass(kw_only=True)
class Predictions(Artifact):
    """`prob [n,k]` or `[n,k,*spatial]` float32 over `classes`; or `mean/low/high [n]`; or `sets
    [n,k]` bool of classes, of which the share `coverage` holds the truth as `promise` says in
    words.
    """

    prob: Array | None = None
    classes: list[str] = field(default_factory=list)
    mean: Array | None = None
    low: Array | None = None
    high: Array | None = None
    sets: Array | None = None
    coverage: float | None = None
    promise: str = ""

    per_row = ("prob", "mean", "low", "high", "sets")

    def marked(self, rows: Array) -> Array:
        """`bool [len(rows),*spatial]` of predictions about pixels: where the likeliest class is not
        the first, the background; nothing for row ids it does not hold.
        """
        assert self.prob is not None
        there, out = np.isin(rows, self.rows), np.zeros((len(rows), *self.prob.shape[2:]), bool)
        out[there] = np.asarray(self.prob[self.at(rows[there])]).argmax(1) > 0
        return out

    def log_odds(self, rows: Array) -> Array:
        """float64 [len(rows),k] log(p / (1 - p)) of the class probabilities `prob [n,k]`, by which
        cases are ranked: p of a sure case is stored as 1.0, while what is left to the other classes
        keeps its digits (down to 1e-38).
        """
        assert self.prob is not None
        with np.errstate(divide="ignore"):
            score = np.log(np.asarray(self.prob[self.at(rows)], dtype=np.float64))
        return log_odds(np.maximum(score, -110.0))  # the least float32 above zero is exp(-104)

    def summary(self) -> str:
        return (
            f"predictions for {len(self.rows)} {'cases' if self.place is None else 'slices'},"
            f" {len(self.classes)} classes{self.how_folded}"
        )

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        prob = np.random.default_rng(seed).dirichlet(np.ones(3), n).astype("f4")
        return cls(rows=np.arange(n), prob=prob, classes=["a", "b", "c"])


@dataclass(kw_only=True)
class Images(Artifact):
    """Pictures made by a model: `image [n,*input]` float32 in the dataset's input scale, with their
    role. Always marked as generated, but for "preprocessed" and "attention" (how much each place
    counts for the model, 0 to 1).
    """

    image: Array
    role: Literal[
        "reconstruction", "sample", "translated", "perturbed", "preprocessed", "attention"
    ] = "reconstruction"

    per_row = ("image",)

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        image = np.random.default_rng(seed).uniform(size=(n, 1, 16, 16)).astype("f4")
        return cls(rows=np.arange(n), name="reconstruction", image=image)
