"""Which places of anomaly maps lie above a threshold: that of the cases where both are on one
scale, else one of the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.artifacts import AnomalyMaps
from core.imaging.contours import contour_levels
from core.sampling import evenly_spaced

SAMPLE = 200  # cases from which it is told whether scores are on the scale of the maps
TOP = 0.9  # a score on their scale lies above this share of the pixels of its case
SLACK = 0.1  # of a map's span: how far a score may lie above it, since maps were resized
ENOUGH = 0.9  # share of the cases for which that has to hold

Of = Literal["cases", "pixels", "half the scale"]


@dataclass(frozen=True)
class Level:
    """The heat above which places are marked, and what it is: the threshold of the cases, the
    method's threshold of pixels, or half of the heat scale where neither can be had.
    """

    value: float
    of: Of

    def mark(self, maps: AnomalyMaps, heat: np.ndarray) -> np.ndarray:
        """Return bool like `heat` [n,*spatial], rows of `maps.map`: what lies above it; where it is
        the method's threshold of pixels, without spots that the method leaves out.
        """
        return maps.marked(heat) if self.of == "pixels" else np.asarray(heat) > self.value


def is_score_of_hottest(maps: AnomalyMaps) -> bool:
    """Return whether the scores are on the scale of the maps and speak of their hottest places, as
    a maximum or the mean of the highest hundredth does: then the threshold of the cases is one of
    pixels as well. Told from at most 200 cases, evenly taken.
    """
    if maps.map is None or not len(maps.rows):
        return False
    at = evenly_spaced(len(maps.rows), SAMPLE)
    heat = np.asarray(maps.map[at], dtype=np.float64).reshape(len(at), -1)
    score = np.asarray(maps.score, dtype=np.float64)[at]
    least, most = heat.min(1), heat.max(1)
    within = (score >= np.quantile(heat, TOP, axis=1)) & (
        score <= most + SLACK * np.maximum(most - least, 1e-12)
    )
    return bool(within.mean() >= ENOUGH)


def find_level(maps: AnomalyMaps, at: float, scale: tuple[float, float]) -> Level:
    """Return the heat at which to part places, `at` being the threshold of the cases that is in
    use, and `scale` the heat scale of the run.
    """
    if is_score_of_hottest(maps):
        return Level(float(at), "cases")
    if maps.pixel_threshold is not None:
        return Level(float(maps.pixel_threshold), "pixels")
    return Level(contour_levels(*scale)[1], "half the scale")
