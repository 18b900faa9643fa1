"""Artifacts about the latent space: coordinates, maps, groups, walks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np

from core.artifacts.base import Array, Artifact


@dataclass(kw_only=True)
class Embedding(Artifact):
    """Latent coordinates: `z [n,d]` float32; optional posterior `std [n,d]`; `metric` names the
    distance that suits `z`.

    `geometry` is "simplex" where the coordinates of a row are non-negative and sum to one
    (Dirichlet), "sparse" where most coordinates of a row are 0 (codes of a sparse autoencoder; each
    coordinate is a feature), else "euclidean". `effect [d]` float, where the model decodes: by how
    much each coordinate changes what is decoded (`core.explain.traversal.measure_axis_effects`),
    and `follows` [d], what each of them follows, None where nothing (fields of
    `core.explain.axis_names.AxisName`).
    """

    z: Array
    std: Array | None = None
    layer: str = "latent"
    metric: Literal["euclidean", "cosine"] = "euclidean"
    geometry: Literal["euclidean", "simplex", "sparse"] = "euclidean"
    axes: list[str] = field(default_factory=list)  # names of the coordinates; empty = numbered
    effect: Array | None = None
    follows: list[dict[str, Any] | None] | None = None

    per_row = ("z", "std")

    def validate(self) -> None:
        super().validate()
        if self.z.ndim != 2:
            raise ValueError(f"Embedding.z must be [n,d], got shape {self.z.shape}")
        if self.effect is not None and self.effect.shape != self.z.shape[1:]:
            raise ValueError(f"Embedding.effect must be [d], got shape {self.effect.shape}")

    def summary(self) -> str:
        return (
            f"{len(self.rows)} {'cases' if self.place is None else 'slices'} in {self.z.shape[1]}"
            f" latent dimensions{self.how_folded}"
        )

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        return cls(rows=np.arange(n), name="latent", z=rng.normal(size=(n, 4)).astype("f4"))


@dataclass(kw_only=True)
class Map(Artifact):
    """A 2-D or 3-D picture of an Embedding: `xy [n,2|3]` float32, with its faithfulness per point.

    `trust [n]` (1 = no false neighbours) and `recall [n]` (share of true neighbours kept) are in
    [0, 1]. Statistics about clusters are never computed on it: they take the Embedding. `how` is
    how it was drawn; `reason` says why that is not how it was asked for, "" where it is. Where
    `landmarks` is not 0, so many rows were laid out and the others placed by the nearest of them;
    `added [n]` bool marks rows that were given places after it was drawn, among those that stayed.
    `beside [m,2|3]` float32: places of the cases a model learned from, among which the rows, of
    other data, were placed. `compared` holds, where projections were compared on a sample before
    one was taken, the scores of each.
    """

    xy: Array
    how: str = "umap"
    trust: Array | None = None
    recall: Array | None = None
    # trustworthiness, continuity, knn_recall
    scores: dict[str, float] = field(default_factory=dict)
    total: int = 0  # rows of the Embedding, of which `rows` are shown
    landmarks: int = 0
    reason: str = ""
    added: Array | None = None
    beside: Array | None = None
    compared: dict[str, dict[str, float]] = field(default_factory=dict)

    per_row = ("xy", "trust", "recall", "added")

    @property
    def how_placed(self) -> str:
        """For the end of a line: whether some rows were placed by others; "" where all were laid
        out together.
        """
        many = 0 if self.added is None else int(np.asarray(self.added).sum())
        landmarks = f"; placed by {self.landmarks:,} landmarks" if self.landmarks else ""
        return (
            landmarks
            + (f"; {many:,} added later" if many else "")
            + (f"; {self.reason}" if self.reason else "")
        )

    def summary(self) -> str:
        return (
            f"{self.how} of {len(self.rows)} {'cases' if self.place is None else 'slices'},"
            " trustworthiness"
            f" {self.scores.get('trustworthiness', float('nan')):.2f}{self.how_placed}"
        )

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        unit = rng.uniform(size=(2, n)).astype("f4")
        scores = {"trustworthiness": 0.97, "continuity": 0.98, "knn_recall": 0.6}
        return cls(
            rows=np.arange(n),
            xy=rng.normal(size=(n, 2)).astype("f4"),
            trust=unit[0],
            recall=unit[1],
            scores=scores,
            total=n,
        )


@dataclass(kw_only=True)
class Clusters(Artifact):
    """Group of each row: `label [n]` int64, -1 = in none; optional `prob [n,k]`; `known[j]` tells
    whether group j is a class known beforehand.
    """

    label: Array
    prob: Array | None = None
    names: list[str] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)
    # e.g. {"k": [...], "silhouette": [...]}: how k was chosen
    curve: dict[str, list[float]] = field(default_factory=dict)

    per_row = ("label", "prob")

    @classmethod
    def likeliest(cls, rows: Array, name: str, prob: Array, names: list[str]) -> Clusters:
        """Each row in the group it most probably is in, by `prob` [n,k]."""
        label = prob.argmax(1).astype(np.int64)
        return cls(rows=rows, name=name, label=label, prob=prob.astype(np.float32), names=names)

    @property
    def k(self) -> int:
        return max(len(self.names), int(self.label.max(initial=-1)) + 1)

    def name_of(self, j: int) -> str:
        return (
            "in no cluster"
            if j < 0
            else self.names[j]
            if j < len(self.names)
            else f"cluster {j + 1}"
        )

    def summary(self) -> str:
        return (
            f"{len(np.unique(self.label[self.label >= 0]))} clusters over {len(self.rows)}"
            f" {'cases' if self.place is None else 'slices'}{self.how_folded}"
        )

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        return cls(rows=np.arange(n), label=np.random.default_rng(seed).integers(-1, 3, n))


@dataclass(kw_only=True)
class Traversal(Artifact):
    """A path through the latent space and what the decoder shows along it. `rows` holds the start
    case (and the end case, if any).

    `path [steps,d]`, `frames [steps,*input]` float32, `value [steps]` the axis value at each step;
    `distance [steps]` is the percentile (0-100) of each step's distance to the nearest training
    case among the training cases' own such distances (100 = further than any of them).
    """

    path: Array
    frames: Array
    value: Array
    axis: str = ""
    distance: Array | None = None
    near: Array | None = None  # [steps,3] int64 row ids of the nearest real cases
    output: Array | None = None  # [steps,k] class probabilities where the model predicts

    @classmethod
    def example(cls, n: int = 9, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        frames = rng.uniform(size=(n, 1, 16, 16)).astype("f4")
        path = rng.normal(size=(n, 4)).astype("f4")
        return cls(
            rows=np.array([0]),
            path=path,
            frames=frames,
            value=np.linspace(-2, 2, n),
            axis="axis 1",
            distance=np.linspace(5, 99, n),
        )


@dataclass(kw_only=True)
class Scope(Artifact):
    """How far each case lies from those a model learned from.

    `distance [n]` float32 in units of the usual distance (1 = its edge, see `rule`), `outside`
    the largest distance any of the `known` cases had that stand for what is usual.
    """

    distance: Array
    outside: float = 1.0
    known: int = 0
    rule: str = ""

    per_row = ("distance",)

    LEVELS: ClassVar[tuple[str, ...]] = (
        "like the training data",
        "at its edge",
        "unlike the training data",
    )

    @property
    def levels(self) -> Array:
        """int64 [n]: 0 within the usual distance, 1 at its edge, 2 further than any known case."""
        distance = np.asarray(self.distance)
        return (distance > 1).astype(np.int64) + (distance > self.outside)

    def summary(self) -> str:
        counts = np.bincount(self.levels, minlength=3)
        parts = (f"{k:,} {word}" for k, word in zip(counts, self.LEVELS))
        return f"{len(self.rows):,} cases: {', '.join(parts)}"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        distance = np.random.default_rng(seed).gamma(4.0, 0.2, n).astype("f4")
        rule = "1 = the distance within which 95 of 100 of 40 cases lie"
        return cls(
            rows=np.arange(n), name="distance", distance=distance, outside=1.4, known=40, rule=rule
        )
