"""Made-up pictures with masks, the prompts they were made by, and what real ones they are like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from core.artifacts.base import Array, Artifact


@dataclass(kw_only=True)
class Pairs(Artifact):
    """Pictures with masks that a model generated; `rows` are the cases it was applied to, which the
    m pairs are none of.

    `image [m,C,S,S]` float32 in [0, 1], a model's input scale; `prob [m,S,S]` float32 in [0, 1] of
    a pixel being abnormal, masked above `threshold`. `mix [m,k]` float32 is how much of each of
    `kinds` the prompt asked for, all 0 = a normal picture. `attention [m,t,s,s]` float16 is how
    much each place attended to each of `tokens`. `nearest [m]` int64 is the row id of the training
    picture most like it, `closest [m]` that of the abnormal one, at `distance [m]` float32, in
    units of the usual distance of abnormal training pictures from the next of them (0 = a copy).
    They are no patient's, and nothing learns from them unless a person approved them.
    """

    image: Array
    prob: Array
    mix: Array
    kinds: list[str]
    attention: Array
    tokens: list[str]
    nearest: Array
    closest: Array
    distance: Array
    threshold: float = 0.5

    def validate(self) -> None:
        super().validate()
        many = len(self.image)
        for key in ("prob", "mix", "attention", "nearest", "closest", "distance"):
            if len(getattr(self, key)) != many:
                raise ValueError(f"Pairs.{key} has {len(getattr(self, key))} entries for {many}")
        if self.mix.shape[1] != len(self.kinds) or self.attention.shape[1] != len(self.tokens):
            raise ValueError("Pairs.mix has a column a kind, Pairs.attention one a token")

    @property
    def mask(self) -> Array:
        """`bool [m,S,S]`: what is marked as abnormal."""
        return np.greater(self.prob, self.threshold)

    @property
    def prompts(self) -> list[str]:
        """In words, what each pair was asked to show: [m]."""
        return [_words(mix, self.kinds) for mix in np.asarray(self.mix)]

    def summary(self) -> str:
        return f"{len(self.image)} generated pictures with masks, of no patient"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        rng, many = np.random.default_rng(seed), 6
        prob = np.zeros((many, 16, 16), np.float32)
        prob[:5, 4:8, 5:9] = 0.9
        mix = np.zeros((many, 2), np.float32)
        mix[:5, 0] = 1
        return cls(
            rows=np.arange(n),
            image=rng.uniform(size=(many, 1, 16, 16)).astype(np.float32),
            prob=prob,
            mix=mix,
            kinds=["bright", "dark"],
            attention=rng.uniform(size=(many, 2, 8, 8)).astype(np.float16),
            tokens=["normal", "bright 1"],
            nearest=np.arange(many) % n,
            closest=np.arange(many) % n,
            distance=np.ones(many, np.float32),
        )


def _words(mix: Array, kinds: list[str]) -> str:
    """Return what a prompt asks for: “bright”, “50 % bright, 50 % dark”, “normal”."""
    if not mix.any():
        return "normal"
    if mix.max() == mix.sum():
        return kinds[int(mix.argmax())]
    return ", ".join(f"{100 * m:.0f} % {kind}" for m, kind in zip(mix, kinds) if m > 0)
