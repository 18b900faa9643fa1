"""The contract of a measure: a number, with its interval, about what a run gave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from core.artifacts import Artifact, Metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset


class Measure(ABC):
    """One measure (or a small family computed together). Holds no state.

    `takes` names the artifact types it needs, in the order `compute` gets them; `cheap` ones run at the end of every training run.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    seed_number: ClassVar[int | None] = None
    takes: ClassVar[tuple[type[Artifact], ...]]
    labels: ClassVar[bool] = False  # needs a label column
    masks: ClassVar[bool] = False
    cheap: ClassVar[bool] = True
    along_training: ClassVar[bool] = False  # also computed on a few hundred training rows while a method trains; takes one Embedding then
    help: ClassVar[str] = ""  # one plain sentence: what it says and which way is better

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        """Why it is not defined here, in words; None when it is."""
        return None

    @abstractmethod
    def compute(self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator) -> list[Metric]:
        """The metrics; `data` has the rows of the artifacts and more. An undefined number is Metric(value=None, note=why)."""


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], float]:
    """positions -> mean of `values` there; for `bootstrap`."""
    return lambda i: float(values[i].mean())


def bootstrap(
    value: Callable[[np.ndarray], float], n: int, rng: np.random.Generator, groups: np.ndarray | None = None, draws: int = 1000,
) -> tuple[float, float]:  # fmt: skip
    """95 % percentile interval of `value(positions)` over rows 0..n-1 drawn with replacement; whole `groups` (patients) are drawn where given.

    Draws on which `value` is NaN are left out; (nan, nan) when fewer than half remain. Cost: `draws` calls of `value`.
    """
    if groups is None:
        draw = lambda: rng.integers(0, n, n)  # noqa: E731
    else:
        _, code = np.unique(groups, return_inverse=True)
        members = [np.flatnonzero(code == g) for g in range(code.max() + 1)]
        draw = lambda: np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])  # noqa: E731
    got = np.array([value(draw()) for _ in range(draws)], dtype=float)
    got = got[np.isfinite(got)]
    if len(got) < draws / 2:
        return float("nan"), float("nan")
    low, high = np.percentile(got, [2.5, 97.5])
    return float(low), float(high)
