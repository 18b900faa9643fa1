"""What counts as abnormal, in words, and what a model says of each frame under these words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from core.artifacts.base import Array, Artifact


@dataclass(kw_only=True)
class Definitions(Artifact):
    """`texts` are definitions, the first of what is normal; `score [n]` float32 in [0, 1] how sure
    it is that a frame of a film is abnormal by any of the others, `likeness [n,k]` float32 in [-1,
    1] how well each text suits it.

    `learned` lists texts the model has learned from. The run's Model opens to a method whose
    `judge(data, texts)` gives (score, likeness) of frames under other definitions, without
    learning again, and whose `strangeness(texts)` says of each text how far it is from all it has
    learned from and which of its words it never read.
    """

    texts: list[str]
    score: Array
    likeness: Array
    learned: list[str] = field(default_factory=list)

    per_row = ("score", "likeness")

    def validate(self) -> None:
        super().validate()
        if self.likeness.shape[1:] != (len(self.texts),):
            raise ValueError(
                f"Definitions.likeness must be [n,{len(self.texts)}], got shape"
                f" {self.likeness.shape}"
            )

    def summary(self) -> str:
        return f"{len(self.rows)} frames judged by {len(self.texts) - 1} definitions of abnormal"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        return cls(
            rows=np.arange(n),
            texts=["normal", "a three or a nine", "anything but ones"],
            score=rng.uniform(size=n).astype("f4"),
            likeness=rng.uniform(-1, 1, (n, 3)).astype("f4"),
            learned=["three", "nine"],
        )
