"""Trainings of a method that breaks where it is told to, killed at a step of choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.artifacts import Embedding
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.training.fit import fit_and_apply
from core.training.run import Run
from tests.survive.methods.fragile import Fragile


def some_digits() -> Dataset:
    """60 digits to train with, 10 to validate and 10 to test."""
    digits = make_sample("digits")
    return digits.take(
        np.sort(
            np.concatenate(
                [
                    np.flatnonzero(digits.splits == s)[:n]
                    for s, n in (("train", 60), ("val", 10), ("test", 10))
                ]
            )
        )
    )


class Killed(Exception):
    pass


def trained(data: Dataset, run: Run, **params: Any) -> np.ndarray:
    _, found = fit_and_apply(Fragile, Fragile.Params(**params), data, run)
    assert isinstance(found[0], Embedding)
    return np.asarray(found[0].z)


def run_in(folder: Any, kill: int = 0, **more: Any) -> Run:
    """A run with a checkpoint after each step that is killed at its `kill`-th report."""
    told: list[int] = []

    def report(step: int, total: int, scalars: dict[str, float]) -> None:
        told.append(step)
        if len(told) == kill:
            raise Killed

    return Run(device="cpu", folder=folder, checkpoint_every=-1.0, report_to=report, **more)


def stopped(data: Dataset, run: Run, **params: Any) -> None:
    with pytest.raises(Killed):
        trained(data, run, **params)
