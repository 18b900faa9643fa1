"""What a concept does to the outputs of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from core.artifacts.base import Array, Artifact


@dataclass(kw_only=True)
class ConceptTest(Artifact):
    """One concept, tested on a model. `rows` are the held-out cases; `amount [n]` float32 how much
    of the concept the layer holds of each, in standard deviations of the training cases; `slope
    [n,t]` float32 by how much each of the t `outputs` ("class sick", "score") would change there if
    the case got the concept, in log-odds of a class and units of the score.

    `vector [c]` is the concept activation vector in the layer `layer`. `readable` holds auroc, low,
    high, n, inside, by and ok; `results` one dict an output: output, n, share with low and high,
    random_low and random_high of random concepts, effect with its random_effect (sd), p, q,
    significant, and small: an effect too small to matter. `says` is the sentence for people.
    """

    concept: str
    amount: Array
    slope: Array
    vector: Array
    outputs: list[str]
    layer: str = ""
    inside: int = 0  # training cases with the concept
    random: int = 0  # random concepts it was compared with
    readable: dict[str, Any] = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)
    says: str = ""

    per_row = ("amount", "slope")

    def validate(self) -> None:
        super().validate()
        if self.slope.shape != (len(self.rows), len(self.outputs)):
            raise ValueError(f"ConceptTest.slope must be [n,t], got shape {self.slope.shape}")

    def summary(self) -> str:
        return f"Concept “{self.concept}”: {self.says}"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng = np.random.default_rng(seed)
        result = {"output": "class 1", "n": n, "share": 0.9, "low": 0.7, "high": 0.97}
        result |= {"random_low": 0.1, "random_high": 0.9, "effect": 1.2, "random_effect": 0.2}
        return cls(
            rows=np.arange(n),
            concept="tubes",
            amount=rng.normal(size=n).astype("f4"),
            slope=rng.normal(1, 1, size=(n, 1)).astype("f4"),
            vector=rng.normal(size=8).astype("f4"),
            outputs=["class 1"],
            layer="latent space (8 numbers)",
            inside=20,
            random=200,
            readable={
                "auroc": 0.9,
                "low": 0.8,
                "high": 0.95,
                "n": n,
                "inside": 9,
                "by": "held-out cases",
                "ok": True,
            },
            results=[result | {"p": 0.001, "q": 0.002, "significant": True, "small": False}],
            says="it speaks for “1” (share 0.90).",
        )
