"""A trained method as an artifact."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from core.artifacts.base import Artifact


@dataclass(kw_only=True)
class Model(Artifact):
    """A trained method that later work can use: its state and what it can do. `rows` are the rows
    it learned from.

    `abilities` is a subset of {"embed", "decode", "predict", "score"}; `open` gives the fitted
    method, whose functions of those names take and give float32 tensors: embed [b,*input] -> [b,d],
    decode [b,d] -> [b,*input], predict [b,*input] -> [b,k] or [b,k,*spatial], score [b,*input] ->
    [b].
    """

    method: str
    params: dict[str, Any]
    abilities: list[str]
    input_shape: list[int]
    classes: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    # what was done to it, for those who asked: plain json values
    receipt: dict[str, Any] = field(default_factory=dict)
    diagram: dict[str, Any] = field(default_factory=dict)
    """How it is built, where it can be cut back: `nodes` [name, x, y, stage], `edges` [from, to,
    stage] by position, `stage` what the stages are called (the word its figures are grouped by),
    `used` the stage in use, and `about`, a sentence. A cut at s keeps what has a stage up to s.
    """

    def validate(self) -> None:
        super().validate()
        unknown = set(self.abilities) - {"embed", "decode", "predict", "score"}
        if unknown:
            raise ValueError(f"unknown abilities {sorted(unknown)}")

    def save(self, folder: Path, without: np.ndarray | None = None) -> None:
        from core.io.tensors import save_state

        state, self.state = self.state, {}
        try:
            super().save(folder, without)
        finally:
            self.state = state
        save_state(folder / "state", state)

    @classmethod
    def load(cls, folder: Path) -> Self:
        from core.io.tensors import load_state

        model = super().load(folder)
        model.state = load_state(folder / "state")
        return model

    def summary(self) -> str:
        return f"model of {self.method}: can {', '.join(self.abilities) or 'do nothing further'}"

    @classmethod
    def example(cls, n: int = 24, seed: int = 0) -> Self:
        return cls(
            rows=np.arange(n),
            method="example",
            params={},
            abilities=["embed"],
            input_shape=[1, 16, 16],
        )
