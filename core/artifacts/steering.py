"""The artifact of a sparse feature added to cases, with what changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from core.artifacts.base import Array, Artifact


@dataclass(kw_only=True)
class Steering(Artifact):
    """A sparse feature, number `feature` (from 0) called `title`, added to held-out cases (`rows`)
    with `strength`, in multiples of the 95th percentile of its codes where it is on in training;
    with `off` it is taken out of the cases instead.

    `before` and `after [n,k]` float32: probabilities of the `classes` by `reader`, of which `reads`
    tells accuracy, low, high, n and usual (the share of the most frequent class); without a reader
    k is 0. `length`: of the step in latent space; `sd`: the same in standard deviations of the
    training cases along it. `results` one dict a class: class, before, after, shift with low and
    high over patients, feature_low, feature_high, direction_low, direction_high (the middle 95 % of
    shifts along other features and along random directions, steps of equal length), above_features
    and above_directions (how many of them the shift exceeds in size), stands_out. `features` and
    `directions`: how many there are. `curve`: {"strength": [m], "share": [m,k]} mean probabilities.
    `distance [n,2]` float32: percentile 0-100 as in `Traversal`, before and after. `near [n,2,5]`
    int64: row ids of the nearest training cases; `kept [n]` float32: share of the ten nearest that
    stay. `around`: mean shares [k] of the data's classes among these, before and after. `shown [s]`
    row ids with `frames [s,2,*input]` decoded before and after, None where nothing decodes.
    """

    feature: int
    title: str
    strength: float
    before: Array
    after: Array
    distance: Array
    near: Array
    kept: Array
    shown: Array
    frames: Array | None = None
    off: bool = False
    length: float = 0.0
    sd: float = 0.0
    reader: str = ""
    reads: dict[str, Any] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    features: int = 0
    directions: int = 0
    curve: dict[str, Any] = field(default_factory=dict)
    around: list[dict[str, Any]] = field(default_factory=list)
    says: str = ""
    generated: bool = True

    per_row = ("before", "after", "distance", "near", "kept")

    def validate(self) -> None:
        super().validate()
        shape = (len(self.rows), len(self.classes))
        if self.before.shape != shape or self.after.shape != shape:
            raise ValueError(f"Steering.before and after must be [n,k], got {self.before.shape}")

    def summary(self) -> str:
        return f"{self.title}: {self.says}"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        before = rng.uniform(0.2, 0.6, n).astype("f4")
        after = before + np.float32(0.3)
        frames = rng.uniform(size=(2, 2, 1, 16, 16)).astype("f4")
        result = {"class": "1", "before": 0.4, "after": 0.7, "shift": 0.3, "low": 0.28}
        result |= {"high": 0.32, "feature_low": -0.05, "feature_high": 0.06, "stands_out": True}
        result |= {"direction_low": -0.02, "direction_high": 0.02}
        result |= {"above_features": 40, "above_directions": 40}
        share = np.linspace(0.1, 0.7, 5)
        return cls(
            rows=np.arange(n),
            feature=3,
            title="feature 4 (+ 1)",
            strength=1.0,
            before=np.stack([1 - before, before], 1),
            after=np.stack([1 - after, after], 1),
            distance=np.tile(np.array([[50.0, 70.0]], "f4"), (n, 1)),
            near=rng.integers(0, n, (n, 2, 5)),
            kept=rng.uniform(size=n).astype("f4"),
            shown=np.array([0, 1]),
            frames=frames,
            length=1.4,
            sd=2.1,
            reader="the classes of the earlier model",
            reads={"accuracy": 0.9, "low": 0.8, "high": 0.95, "n": n, "usual": 0.5},
            classes=["0", "1"],
            results=[
                result | {"class": "0", "shift": -0.3, "low": -0.32, "high": -0.28},
                result,
            ],
            features=40,
            directions=40,
            curve={
                "strength": [-1.0, -0.5, 0.0, 0.5, 1.0],
                "share": np.stack([1 - share, share], 1).tolist(),
            },
            around=[{"class": "1", "before": 0.4, "after": 0.8}],
            says="raises “1” by 0.30.",
        )
