"""The contract of a measure: a number, with its interval, about what a run gave."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from core.artifacts import Artifact, Metric

if TYPE_CHECKING:
    from core.data.dataset import Dataset


class Measure(ABC):
    """One measure (or a small family computed together). Holds no state.

    `takes` names the artifact types it needs, in the order `compute` gets them; `cheap` ones run at
    the end of every training run.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    seed_number: ClassVar[int | None] = None
    takes: ClassVar[tuple[type[Artifact], ...]]
    labels: ClassVar[bool] = False  # needs a label column
    masks: ClassVar[bool] = False
    cheap: ClassVar[bool] = True
    # also computed on a few hundred training rows while a method trains; takes one Embedding then
    along_training: ClassVar[bool] = False
    # names of its metrics that a summary of a run shows: the first page, the report
    headline: ClassVar[tuple[str, ...]] = ()
    help: ClassVar[str] = ""  # one plain sentence: what it says and which way is better

    def declines(self, data: Dataset, *artifacts: Artifact) -> str | None:
        """Why it is not defined here, in words; None when it is."""
        return None

    @abstractmethod
    def compute(
        self, data: Dataset, *artifacts: Artifact, rng: np.random.Generator
    ) -> list[Metric]:
        """Return the metrics; `data` has the rows of the artifacts and more. An undefined number is
        Metric(value=None, note=why).
        """
