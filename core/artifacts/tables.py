"""Artifacts about the whole: measured values, comparisons, networks, grids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np

from core.artifacts.base import Array, Artifact

# of what lies about a number
KINDS = {
    "interval": "95 % interval",
    "range": "range",
    "bound": "guaranteed bounds",
    "change": "before to after",
    "": "kind not recorded",
}


@dataclass(frozen=True)
class Interval:
    """What a number may be off by: `low` to `high` of `kind`, over `units` independent patients or
    cases; without bounds, `note` says why.

    Kinds: "interval", 95 % over other patients; "range", the least and largest, or
    where the words beside it say so the middle 95 %, of repeated draws, sub-samples or seeds;
    "bound", what a method guarantees at a confidence its note names; "change", from what it was
    before to what it is after; "" where none is given, and in tables of versions that did not tell
    them apart.
    """

    low: float | None
    high: float | None
    kind: str
    units: int = 0
    note: str = ""

    def turned(self, whole: float) -> Interval:
        """Return the interval of `whole` minus the number: of what is explained, from what is
        left.
        """
        if self.low is None or self.high is None:
            return self
        return replace(self, low=whole - self.high, high=whole - self.low)

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        return self.low, self.high


@dataclass(frozen=True)
class Metric:
    """One measured number of `n` cases. `low` and `high` bound it, in the sense of `kind` (see
    `Interval`), over `units` patients (0 = not counted); None in `value` = not defined, `note` says
    why.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    split: str = "all"
    group: str = "all"
    n: int = 0
    higher_is_better: bool | None = True
    note: str = ""
    kind: str = "interval"
    units: int = 0

    def __post_init__(self) -> None:
        if self.low is None or self.high is None:
            object.__setattr__(self, "kind", "")

    def within(self, found: Interval) -> Metric:
        """Return the number with the bounds `found`; what the interval says joins the note."""
        note = "; ".join(w for w in (self.note, found.note) if w)
        return replace(
            self, low=found.low, high=found.high, kind=found.kind, units=found.units, note=note
        )

    @property
    def varied(self) -> tuple[str, float] | None:
        """(what, value) where the group is a value of something that was varied, such as "k =
        10".
        """
        found = re.match(r"^(.+) = ([-+.\d]+)$", self.group)
        return (found[1], float(found[2])) if found else None


@dataclass(kw_only=True)
class Metrics(Artifact):
    """A tidy table of `Metric`s; `rows` are the evaluated rows."""

    table: list[dict[str, Any]]

    @classmethod
    def of(cls, metrics: list[Metric], rows: Array, **more: Any) -> Self:
        return cls(rows=rows, table=[asdict(m) for m in metrics], **more)

    def __iter__(self) -> Iterator[Metric]:
        # tables of earlier versions do not tell kinds
        return (Metric(**({"kind": ""} | row)) for row in self.table)

    def summary(self) -> str:
        return f"{len(self.table)} measured values"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        return cls.of(
            [
                Metric("accuracy", 0.9, 0.8, 0.95, "test", n=n),
                Metric("auroc", None, note="one class only"),
            ],
            np.arange(n),
        )


@dataclass(kw_only=True)
class Benchmark(Artifact):
    """A comparison: `score [m,t]` float32 of contestant i on task j (NaN = not run), `error [m,t]`
    its standard error, `seconds [m,t]` its time.

    `choices` tells which contestant each label-free scorer picked on a task: dicts of scorer, task,
    chosen, score, oracle, oracle_score. `marks` names contestants that do not compete: {"source
    only": "rival", "target labels": "upper bound"}.
    """

    contestants: list[str]
    tasks: list[str]
    score: Array
    error: Array | None = None
    measure: str = "accuracy"
    higher_is_better: bool = True
    choices: list[dict[str, Any]] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)
    seconds: Array | None = None

    def validate(self) -> None:
        super().validate()
        if self.score.shape != (len(self.contestants), len(self.tasks)):
            raise ValueError(
                f"Benchmark.score must be [{len(self.contestants)},{len(self.tasks)}], got shape"
                f" {self.score.shape}"
            )

    def summary(self) -> str:
        return f"{len(self.contestants)} contestants on {len(self.tasks)} tasks, {self.measure}"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        score = np.clip(
            0.6 + 0.05 * np.arange(5)[:, None] + 0.06 * rng.normal(size=(5, 8)), 0, 1
        ).astype("f4")
        names, tasks = (
            [f"contestant {i + 1}" for i in range(5)],
            [f"site {j + 1}" for j in range(8)],
        )
        choices = [
            {
                "scorer": "entropy",
                "task": t,
                "chosen": names[2],
                "score": float(score[2, j]),
                "oracle": names[4],
                "oracle_score": float(score[4, j]),
            }
            for j, t in enumerate(tasks)
        ]
        return cls(
            rows=np.arange(n),
            contestants=names,
            tasks=tasks,
            score=score,
            error=np.full((5, 8), 0.02, "f4"),
            choices=choices,
            marks={names[0]: "rival"},
            seconds=rng.gamma(2, size=(5, 8)).astype("f4"),
        )


@dataclass(kw_only=True)
class Network(Artifact):
    """Nodes joined by cases: case i leads from node `source[i]` to node `target[i]` (int64 codes
    into `names`, -1 = nowhere), e.g. from its true class to the one it was taken for. `xy [k,2]`
    float32 places the nodes, `community` names the set of nodes each belongs to by number;
    `held_out [n]` bool marks the cases the model had not seen; `notes` are a line about each node,
    `pair_notes` about pairs ("2-5" = node 2 to 5).
    """

    names: list[str]
    source: Array
    target: Array
    held_out: Array | None = None
    xy: Array | None = None
    link: str = "taken for"  # the verb of an edge: source LINK target
    notes: list[str] = field(default_factory=list)
    community: list[int] = field(default_factory=list)
    pair_notes: dict[str, str] = field(default_factory=dict)

    per_row = ("source", "target", "held_out")

    @property
    def counts(self) -> Array:
        """int64 [k,k]: how many (held-out) cases lead from each node to each."""
        table = np.zeros((len(self.names), len(self.names)), np.int64)
        keep = (self.source >= 0) & (self.target >= 0)
        if self.held_out is not None:
            keep &= np.asarray(self.held_out, bool)
        np.add.at(table, (self.source[keep], self.target[keep]), 1)
        return table

    def cases(self, source: int, target: int) -> Array:
        """Row ids of the (held-out) cases that lead from `source` to `target`."""
        keep = (self.source == source) & (self.target == target)
        return self.rows[keep if self.held_out is None else keep & np.asarray(self.held_out, bool)]

    def summary(self) -> str:
        counts = self.counts
        return (
            f"{len(self.names)} nodes, {int(counts.sum() - np.trace(counts))} cases that lead from"
            " one to another"
        )

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        return cls(
            rows=np.arange(n),
            names=["north", "south", "east", "west"],
            source=rng.integers(0, 4, n),
            target=rng.integers(0, 4, n),
        )


@dataclass(kw_only=True)
class Grid(Artifact):
    """Values over two named axes, e.g. layer by step or class by domain: `value [len(y),len(x)]`
    float32 (NaN = not measured).

    `paths` may hold curves that belong to it (the drift of features over steps): dicts of name, x,
    y (lists of equal length) and optional group.
    """

    value: Array
    x: list[str]
    y: list[str]
    x_title: str = ""
    y_title: str = ""
    unit: str = ""
    low: float | None = None  # of the colour scale; None = of the values
    high: float | None = None
    paths: list[dict[str, Any]] = field(default_factory=list)

    def validate(self) -> None:
        super().validate()
        if self.value.shape != (len(self.y), len(self.x)):
            raise ValueError(
                f"Grid.value must be [{len(self.y)},{len(self.x)}], got shape {self.value.shape}"
            )

    def summary(self) -> str:
        return (
            f"{self.unit or 'values'} over {len(self.y)} × {len(self.x)} ({self.y_title} ×"
            f" {self.x_title})"
        )

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        value = np.random.default_rng(seed).uniform(size=(4, 6)).astype("f4")
        return cls(
            rows=np.arange(n),
            name="probing",
            value=value,
            x=[str(10 * i) for i in range(6)],
            y=[f"layer {i}" for i in range(4)],
            x_title="step",
            y_title="layer",
            unit="accuracy",
        )
