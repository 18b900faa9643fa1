"""What a reader of signals gives of one file: its channels, its samples, its marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Channel:
    """One signal: `rate` in Hz (0 = not known), `many` samples. `ends`: values at and beyond which
    a sample stands at the end of what the file can hold (see `clipping`); None = not known.
    """

    name: str
    unit: str
    rate: float
    many: int
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Event:
    """A mark: from `start` (s) for `length` (s; 0 = a moment)."""

    start: float
    length: float
    text: str


@dataclass(frozen=True)
class Recording:
    """One file's signals. `load(positions)` gives the samples of those channels one after the
    other, float [many] in their units, NaN = missing.

    `pieces`: (start in s, first sample's share, last's) of stretches without a gap, in shares of
    the samples; () = one stretch from 0.
    """

    file: str
    channels: tuple[Channel, ...]
    load: Callable[[Sequence[int]], Iterable[Array]]
    events: tuple[Event, ...] = ()
    patient: str = ""
    pieces: tuple[tuple[float, float, float], ...] = ()

    @property
    def seconds(self) -> float:
        """Of the longest channel; its samples where no rate is known."""
        return max(c.many / (c.rate or 1.0) for c in self.channels)

    @property
    def stretches(self) -> tuple[tuple[float, float, float], ...]:
        """(start in s, first, last as shares of the samples) of each part without a pause."""
        return self.pieces or ((0.0, 0.0, 1.0),)
