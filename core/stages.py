"""What a fitted method does to one picture, step by step, and what of that can be set without
training again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

# how a stage is drawn: an input the model gets, grey values, a picture it made, heat on the
# scale of the run's anomaly maps, or the places (0 or 1) that were hidden
Drawn = Literal["input", "grey", "generated", "heat", "places"]


@dataclass(frozen=True)
class Control:
    """A setting of `Method.stages`: its keyword `name`, what it is called and does, the value that
    the run was calibrated with, and the values it can have, in order, each with its words.
    """

    name: str
    label: str
    help: str
    value: float
    choices: tuple[tuple[float, str], ...]

    def words(self, value: float) -> str:
        """Return what a value of `choices` is called."""
        return dict(self.choices)[value]


@dataclass(frozen=True)
class Stage:
    """One step: `image` float32 [C,S,S] ([S,S] for grey, heat and places) in [0, 1]; heat is in
    the unit of the run's anomaly maps.
    """

    title: str
    note: str
    drawn: Drawn
    image: np.ndarray
