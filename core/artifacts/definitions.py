"""What counts as abnormal, in words, and what a model says of each frame under these words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from core.artifacts.base import Array, Artifact

MOST = 12  # definitions of what is abnormal
LETTERS = 200  # letters of one


def split_definitions(words: str) -> list[str]:
    """Return the definitions in `words`, one a line or parted by semicolons, the first of what is
    normal; [] where there are none. ValueError, in a sentence, when they cannot be used.
    """
    found = [" ".join(line.split()) for line in re.split(r"[\n;]", words)]
    found = [line for line in found if line]
    if not found:
        return []
    if len(found) < 2:
        raise ValueError(
            "only what is normal is said; add at least one definition of what is abnormal on a line"
            " of its own"
        )
    if len(found) > MOST + 1:
        raise ValueError(
            f"{len(found) - 1} definitions of what is abnormal; at most {MOST} can be given at once"
        )
    long = [line for line in found if len(line) > LETTERS]
    if long:
        raise ValueError(
            f"the definition “{long[0][:40]}…” has {len(long[0])} letters; at most {LETTERS} are"
            " read"
        )
    empty = [line for line in found if not re.search(r"\w", line)]
    if empty:
        raise ValueError(f"the definition “{empty[0]}” has no word in it")
    twice = [line for i, line in enumerate(found) if line.lower() in map(str.lower, found[:i])]
    if twice:
        raise ValueError(f"“{twice[0]}” is given twice")
    return found


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
