"""Brightness: marks what is unusually bright, or dark, in one channel; the rival that learned
methods must beat.

Objective
    None is minimised. With m and s the median and the robust standard deviation of the foreground
    (of the scan, the picture, or the normal training pictures), a pixel's unusualness is how far
    (x - m) / s lies above 0, below 0, or from 0, in one channel, blurred over half a pixel; what
    departs the other way is pressed together between -0.01 and 0. The score of a case is the mean
    of the highest hundredth of its pixels.

Cost
    A median and a blur a picture: about 2 ms a picture of 128 x 128 on one core.

Differences from the paper
    That brightness alone finds bright lesions of brains as well as learned methods is the finding
    of the reference, which evens out histograms where we divide by a robust spread. Choosing
    channel and direction by the masks of validation pictures, the background, the blur and the
    thresholds are ours.

Reference
    Meissen, Kaissis, Rueckert, Challenging current semi-supervised anomaly segmentation methods for
    brain MRI, BrainLes workshop at MICCAI 2021.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Metrics, Model
from core.method import Method, Takes
from core.methods.anomaly import _intensity, _residuals, _slices
from core.methods.anomaly._intensity_params import IntensityParams

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run

RULE = "95 % of normal validation pictures lie below"


class Brightness(Method):
    id = "brightness"
    title = "Brightness alone"
    takes = Takes(
        ("image",),
        labels="optional",
        masks="optional",
        min_rows=8,
        min_size=8,
        trains=False,
        deterministic=True,
        seconds_per_value=2e-7,
    )
    gives = (Model, AnomalyMaps, Metrics)
    Params = IntensityParams
    parts = {"scale": _intensity.Intensity}
    other_data = True
    gradients = False
    rival_for = ("unusual",)

    def fit(self, data: Dataset, run: Run) -> None:
        p = self.params
        train, normal = _slices.find_healthy(data, f"{self.title} needs normal pictures to compare")
        self.scale_ = _intensity.Intensity.fit(train, p.scale, p.background)
        choice, tried = _intensity.choose(data, self.scale_, p.channel, p.look_for, p.smooth, run)
        self.channel_, self.look_for_ = choice.channel, choice.look_for
        self.tried_ = {one.words: float(one.precision or 0) for one in tried}
        run.note(_intensity.describe_choice(choice, tried, p.channel, p.look_for))
        heat, body, score = self._maps(normal.take(_intensity.evenly(len(normal))), run)
        self.pixel_threshold_ = _residuals.pixel_threshold(heat, body, p.healthy)
        self.threshold_ = float(np.quantile(score, 0.95))
        run.report(0)

    @property
    def choice(self) -> _intensity.Choice:
        return _intensity.Choice(int(self.channel_), str(self.look_for_))

    def _maps(self, data: Dataset, run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Heat float32 and foreground bool [n,H,W] of the rows of `data`, and scores [n]."""
        found = []
        for z, body, _ in self.scale_.scaled(data, run):
            found.append((_intensity.heat_of(z, body, self.choice, self.params.smooth), body))
        heat, body = map(np.concatenate, zip(*found))
        return heat, body, _residuals.case_score(heat).astype(np.float32)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        heat, _, score = self._maps(data, run)
        yield AnomalyMaps(
            rows=data.rows,
            score=score,
            map=heat,
            threshold=self.threshold_,
            pixel_threshold=self.pixel_threshold_,
            rule=RULE,
            unit=self.choice.unit,
        )
        yield Metrics.of(_intensity.as_metrics(self.tried_), data.rows)
