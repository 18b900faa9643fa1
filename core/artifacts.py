"""The typed results that methods give and views take.

Every artifact carries `rows`, the stable int64 ids of the dataset rows it speaks about, and `made_by`, its provenance. Arrays are saved as
`.npy` (memory-mapped on load, never pickled), everything else as json. Scores are oriented so that higher is more abnormal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np

from core.errors import UserError
from core.store.files import write_array, write_json

Array = np.ndarray


@dataclass(frozen=True)
class MadeBy:
    """Provenance: enough to make the artifact again. `seconds` is wall time; hashes are sha256 prefixes."""

    run: str = ""
    method: str = ""
    version: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    data_hash: str = ""
    seed: int = 0
    device: str = "cpu"
    created: str = ""
    seconds: float = 0.0
    packages: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Artifact:
    """Base of all artifacts. `name` tells two of one type in a run apart ("latent", "reconstruction")."""

    rows: Array
    name: str = ""
    made_by: MadeBy = field(default_factory=MadeBy)

    per_row: ClassVar[tuple[str, ...]] = ()  # array fields whose first axis is `rows`

    def __post_init__(self) -> None:
        self.rows = np.asarray(self.rows, dtype=np.int64)
        self.validate()

    def validate(self) -> None:
        """Raise ValueError when a per-row array is misaligned or not finite."""
        if self.rows.ndim != 1:
            raise ValueError(f"{type(self).__name__}.rows must be one-dimensional, got shape {self.rows.shape}")
        for key in self.per_row:
            value = getattr(self, key)
            if value is None:
                continue
            if len(value) != len(self.rows):
                raise ValueError(f"{type(self).__name__}.{key} has {len(value)} entries for {len(self.rows)} rows")
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(f"{type(self).__name__}.{key} holds NaN or infinite values")

    @property
    def slug(self) -> str:
        """Folder name inside a run, e.g. `embedding-latent`."""
        return f"{type(self).__name__.lower()}{'-' + self.name if self.name else ''}"

    def summary(self) -> str:
        """One plain line for lists."""
        return f"{type(self).__name__} of {len(self.rows)} rows"

    def save(self, folder: Path) -> None:
        """Write arrays as `<field>.npy` and the rest to `artifact.json` in `folder` (made if needed)."""
        folder.mkdir(parents=True, exist_ok=True)
        plain: dict[str, Any] = {"type": type(self).__name__}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                write_array(folder / f"{f.name}.npy", value)
            else:
                plain[f.name] = asdict(value) if f.name == "made_by" else value
        write_json(folder / "artifact.json", plain)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what `save` wrote; arrays are memory-mapped read-only."""
        plain = json.loads((folder / "artifact.json").read_text())
        kind = TYPES[plain.pop("type")]
        plain["made_by"] = MadeBy(**plain["made_by"])
        arrays = {p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in folder.glob("*.npy")}
        made = kind.__new__(kind)  # validated when it was saved: do not read every page of a large file again
        for f in fields(kind):
            setattr(made, f.name, arrays.get(f.name, plain.get(f.name)))
        return made  # type: ignore[return-value]

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        """A small valid instance for view tests and empty galleries."""
        raise NotImplementedError

    def at(self, rows: Array) -> Array:
        """Positions of row ids `rows` in this artifact (int64); ids it does not hold are left out."""
        order = np.argsort(self.rows, kind="stable")
        found = np.searchsorted(self.rows, rows, sorter=order)
        found = np.clip(found, 0, len(self.rows) - 1)
        positions = order[found]
        return positions[self.rows[positions] == np.asarray(rows)]


@dataclass(kw_only=True)
class Embedding(Artifact):
    """Latent coordinates: `z [n,d]` float32; optional posterior `std [n,d]`; `metric` names the distance that suits `z`.

    `geometry` is "simplex" where the coordinates of a row are non-negative and sum to one (Dirichlet), else "euclidean".
    """

    z: Array
    std: Array | None = None
    layer: str = "latent"
    metric: Literal["euclidean", "cosine"] = "euclidean"
    geometry: Literal["euclidean", "simplex"] = "euclidean"
    axes: list[str] = field(default_factory=list)  # names of the coordinates; empty = numbered

    per_row = ("z", "std")

    def validate(self) -> None:
        super().validate()
        if self.z.ndim != 2:
            raise ValueError(f"Embedding.z must be [n,d], got shape {self.z.shape}")

    def summary(self) -> str:
        return f"{len(self.rows)} cases in {self.z.shape[1]} latent dimensions"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        return cls(rows=np.arange(n), name="latent", z=rng.normal(size=(n, 4)).astype("f4"))


@dataclass(kw_only=True)
class Map(Artifact):
    """A 2-D or 3-D picture of an Embedding: `xy [n,2|3]` float32, with its faithfulness per point.

    `trust [n]` (1 = no false neighbours) and `recall [n]` (share of true neighbours kept) are in [0, 1]. Statistics about clusters
    are never computed on it: they take the Embedding.
    """

    xy: Array
    how: str = "umap"
    trust: Array | None = None
    recall: Array | None = None
    scores: dict[str, float] = field(default_factory=dict)  # trustworthiness, continuity, knn_recall
    total: int = 0  # rows of the Embedding, of which `rows` are shown

    per_row = ("xy", "trust", "recall")

    def summary(self) -> str:
        return f"{self.how} of {len(self.rows)} cases, trustworthiness {self.scores.get('trustworthiness', float('nan')):.2f}"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        unit = rng.uniform(size=(2, n)).astype("f4")
        scores = {"trustworthiness": 0.97, "continuity": 0.98, "knn_recall": 0.6}
        return cls(rows=np.arange(n), xy=rng.normal(size=(n, 2)).astype("f4"), trust=unit[0], recall=unit[1], scores=scores, total=n)


@dataclass(kw_only=True)
class Clusters(Artifact):
    """Group of each row: `label [n]` int64, -1 = in none; optional `prob [n,k]`; `known[j]` tells whether group j is a class known beforehand."""

    label: Array
    prob: Array | None = None
    names: list[str] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)
    curve: dict[str, list[float]] = field(default_factory=dict)  # e.g. {"k": [...], "silhouette": [...]}: how k was chosen

    per_row = ("label", "prob")

    @property
    def k(self) -> int:
        return max(len(self.names), int(self.label.max(initial=-1)) + 1)

    def name_of(self, j: int) -> str:
        return "in no group" if j < 0 else self.names[j] if j < len(self.names) else f"group {j + 1}"

    def summary(self) -> str:
        return f"{len(np.unique(self.label[self.label >= 0]))} groups over {len(self.rows)} cases"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        return cls(rows=np.arange(n), label=np.random.default_rng(seed).integers(-1, 3, n))


@dataclass(kw_only=True)
class AnomalyMaps(Artifact):
    """`score [n]` float32 and, where the method localises, `map [n,*spatial]` float32; higher = more abnormal, `unit` names the scale.

    `threshold` was chosen on validation rows by the rule named in `rule`; NaN means none was.
    """

    score: Array
    map: Array | None = None
    threshold: float | None = None
    rule: str = ""
    unit: str = "score"
    pixel_threshold: float | None = None

    per_row = ("score", "map")

    def summary(self) -> str:
        over = "" if self.threshold is None else f", {int((self.score > self.threshold).sum())} above the threshold"
        return f"{len(self.rows)} scored cases{over}"

    def heat_range(self) -> tuple[float, float]:
        """The one scale of all heat pictures, from at most 2,000 evenly taken cases: three quarters of all pixels stay clear below it, the
        99.8th percentile is full. (0, 1) where there is no map."""
        if self.map is None:
            return 0.0, 1.0
        low, high = np.quantile(np.asarray(self.map[:: max(1, len(self.rows) // 2000)]), [0.75, 0.998])
        return float(low), float(max(high, low + 1e-9))

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        heat = np.random.default_rng(seed).gamma(1.0, 0.2, size=(n, 16, 16)).astype("f4")
        return cls(rows=np.arange(n), score=heat.max((1, 2)), map=heat, threshold=1.0, rule="example")


@dataclass(kw_only=True)
class Attributions(Artifact):
    """How much each input value moved the target: `value` is shaped as the input, [n,*shape] float32, signed.

    `residual [n]` is the completeness gap |sum(value) - (f(x) - f(baseline))|; None for methods without that axiom.
    """

    value: Array
    target: str = ""
    how: str = ""
    residual: Array | None = None
    output: Array | None = None  # f(x) [n]

    per_row = ("value", "residual", "output")

    def full_colour(self) -> float:
        """The one scale of all signed pictures: the 99th percentile of absolute values, channels summed."""
        value = np.asarray(self.value)
        return float(np.quantile(np.abs(value.sum(1) if value.ndim > 2 else value), 0.99)) or 1e-9

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        value = np.random.default_rng(seed).normal(size=(n, 1, 16, 16)).astype("f4")
        return cls(rows=np.arange(n), value=value, target="class 1", how="integrated_gradients", residual=np.zeros(n, "f4"))


@dataclass(kw_only=True)
class Rationales(Artifact):
    """Per row, reasons in words: `items[i]` is a list of {"text", "weight"} dicts (spans, concepts or generated text)."""

    items: list[list[dict[str, Any]]]
    kind: Literal["spans", "concepts", "text"] = "concepts"

    def validate(self) -> None:
        super().validate()
        if len(self.items) != len(self.rows):
            raise ValueError(f"Rationales.items has {len(self.items)} entries for {len(self.rows)} rows")

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        items = [[{"text": f"concept {j}", "weight": float(w)} for j, w in enumerate(rng.normal(size=3))] for _ in range(n)]
        return cls(rows=np.arange(n), items=items)


@dataclass(kw_only=True)
class Traversal(Artifact):
    """A path through the latent space and what the decoder shows along it. `rows` holds the start case (and the end case, if any).

    `path [steps,d]`, `frames [steps,*input]` float32, `value [steps]` the axis value at each step; `distance [steps]` is the percentile (0-100)
    of each step's distance to the nearest training case among the training cases' own such distances (100 = further than any of them).
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
        return cls(rows=np.array([0]), path=path, frames=frames, value=np.linspace(-2, 2, n), axis="axis 1", distance=np.linspace(5, 99, n))


@dataclass(kw_only=True)
class Predictions(Artifact):
    """`prob [n,k]` or `[n,k,*spatial]` float32 over `classes`; or `mean/low/high [n]`; or conformal `sets [n,k]` bool with `coverage`."""

    prob: Array | None = None
    classes: list[str] = field(default_factory=list)
    mean: Array | None = None
    low: Array | None = None
    high: Array | None = None
    sets: Array | None = None
    coverage: float | None = None

    per_row = ("prob", "mean", "low", "high", "sets")

    def summary(self) -> str:
        return f"predictions for {len(self.rows)} cases, {len(self.classes)} classes"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        prob = np.random.default_rng(seed).dirichlet(np.ones(3), n).astype("f4")
        return cls(rows=np.arange(n), prob=prob, classes=["a", "b", "c"])


@dataclass(frozen=True)
class Metric:
    """One measured number. `low`/`high` bound the 95 % interval; None in `value` = not defined, `note` says why."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    split: str = "all"
    group: str = "all"
    n: int = 0
    higher_is_better: bool | None = True
    note: str = ""


@dataclass(kw_only=True)
class Metrics(Artifact):
    """A tidy table of `Metric`s; `rows` are the evaluated rows."""

    table: list[dict[str, Any]]

    @classmethod
    def of(cls, metrics: list[Metric], rows: Array, **more: Any) -> Self:
        return cls(rows=rows, table=[asdict(m) for m in metrics], **more)

    def __iter__(self) -> Iterator[Metric]:
        return (Metric(**row) for row in self.table)

    def summary(self) -> str:
        return f"{len(self.table)} measured values"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        return cls.of([Metric("accuracy", 0.9, 0.8, 0.95, "test", n=n), Metric("auroc", None, note="one class only")], np.arange(n))


@dataclass(kw_only=True)
class Images(Artifact):
    """Pictures made by a model: `image [n,*input]` float32 in the dataset's input scale, with their role. Always marked as generated."""

    image: Array
    role: Literal["reconstruction", "sample", "translated", "perturbed", "preprocessed"] = "reconstruction"

    per_row = ("image",)

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        image = np.random.default_rng(seed).uniform(size=(n, 1, 16, 16)).astype("f4")
        return cls(rows=np.arange(n), name="reconstruction", image=image)


@dataclass(kw_only=True)
class Model(Artifact):
    """A trained method that later work can use: its state and what it can do. `rows` are the rows it learned from.

    `abilities` is a subset of {"embed", "decode", "predict", "score"}; `open` gives the fitted method, whose functions of those names take and
    give float32 tensors: embed [b,*input] -> [b,d], decode [b,d] -> [b,*input], predict [b,*input] -> [b,k], score [b,*input] -> [b].
    """

    method: str
    params: dict[str, Any]
    abilities: list[str]
    input_shape: list[int]
    classes: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)

    def validate(self) -> None:
        super().validate()
        unknown = set(self.abilities) - {"embed", "decode", "predict", "score"}
        if unknown:
            raise ValueError(f"unknown abilities {sorted(unknown)}")

    def save(self, folder: Path) -> None:
        from core.store.state import save_state

        state, self.state = self.state, {}
        try:
            super().save(folder)
        finally:
            self.state = state
        save_state(folder / "state", state)

    @classmethod
    def load(cls, folder: Path) -> Self:
        from core.store.state import load_state

        model = super().load(folder)
        model.state = load_state(folder / "state")
        return model

    def open(self, device: str = "cpu") -> Any:
        """The fitted `Method`, moved to `device`, its networks in evaluation mode. UserError when the method is not installed here."""
        from core.registry import method_class

        kind = method_class(self.method)
        if kind is None:
            raise UserError(f"The method “{self.method}” that made this model is not installed here.")
        method = kind(kind.Params(**self.params))
        method.restore(self.state)
        method.to(device)
        return method

    def summary(self) -> str:
        return f"model of {self.method}: can {', '.join(self.abilities) or 'do nothing further'}"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        return cls(rows=np.arange(n), method="pca", params={}, abilities=["embed"], input_shape=[1, 16, 16])


TYPES: dict[str, type[Artifact]] = {
    t.__name__: t
    for t in (Embedding, Map, Clusters, AnomalyMaps, Attributions, Rationales, Traversal, Predictions, Metrics, Images, Model)
}
