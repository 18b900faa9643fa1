"""The artifact of one case changed until a model's answer flips."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np

from core.artifacts.base import Array, Artifact


@dataclass(kw_only=True)
class Counterfactual(Artifact):
    """The smallest change found that flips what a model says of one case, in `rows`.

    `target`: "class NAME", or "score" for an anomaly score at or below `boundary`. `way`: "latent"
    (the model's own picture of the case, moved in latent space), "residual" (the case moved towards
    the model's picture of it), "columns" (values of a table), "nearest case" (a real case as a
    stand-in). `before` and `after [*input]` float32 in the dataset's input scale, equal where
    nothing was `found`, which `said` then explains. `answer`: what the model says of before and
    after: probability of the class, or score; `others`: its likeliest class of both. `moved`:
    length of the change in latent space, in training standard deviations; `changed_mean` and
    `changed_share`: mean absolute change of the input, and the share of its places that change by
    more than 5 % of the scale (columns that change, of a table). `distance`: percentile 0-100 as in
    `Traversal`, of before and after. `near`: row id of the nearest real case that has the wanted
    answer, -1 = none. `generated`: `after` is nobody's record. `fields`: of a table, {"field",
    "before", "after"} of what changes.
    """

    before: Array
    after: Array
    target: str = ""
    way: Literal["latent", "residual", "columns", "nearest case"] = "latent"
    found: bool = True
    said: str = ""
    answer: list[float] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    boundary: float | None = None
    moved: float | None = None
    changed_mean: float = 0.0
    changed_share: float = 0.0
    distance: list[float] = field(default_factory=list)
    near: int = -1
    generated: bool = True
    fields: list[dict[str, Any]] = field(default_factory=list)

    @property
    def wanted(self) -> str:
        """What was wanted of the model, in words."""
        name = self.target.removeprefix("class ")
        return f"“{name}”" if name != self.target else "not unusual"

    def summary(self) -> str:
        return f"counterfactual of row {int(self.rows[0])}: {self.said}"

    @classmethod
    def example(cls, n: int = 1, seed: int = 0) -> Self:
        before = np.random.default_rng(seed).uniform(size=(1, 16, 16)).astype("f4")
        after = before.copy()
        after[:, 4:9, 4:9] = 0.2
        return cls(
            rows=np.array([0]),
            before=before,
            after=after,
            target="class b",
            said="A small change makes the model say “b”.",
            answer=[0.2, 0.51],
            others=["a", "b"],
            moved=1.4,
            changed_mean=float(np.abs(after - before).mean()),
            changed_share=25 / 256,
            distance=[40.0, 63.0],
            near=1,
        )
