"""Synthetic anomalies: a classifier of pixels that learned to find spots drawn into normal
pictures, added to brightness.

Objective
    Spots of random shape, size and strength are added to normal pictures; boosted trees minimise
    the log loss of telling their pixels from others by all channels at the pixel, local means at
    four scales and the distance from the background. With l the mean log-odds of several draws and
    b the brightness, each in standard deviations of normal pixels, a pixel's unusualness is
    (l + w b) / (1 + w), w = 4; what is below 0 is pressed together between -0.01 and 0. The score
    of a case is the mean of the highest hundredth of its pixels.

Cost
    About 5 s for each of three draws and 0.1 s a picture of 128 x 128, on one core.

Differences from the paper
    The reference interpolates patches of other pictures and trains a network to name the factor;
    here spots are added, and trees look at a pixel and its surroundings. The shape of spots, the
    strengths, the features, that a brighter pixel in the same surroundings may never count for less
    (a monotonic constraint), and adding brightness are ours, chosen on two patients with multiple
    sclerosis.

Reference
    Tan, Hou, Batten, Qiu, Kainz, Detecting outliers with foreign patch interpolation, Machine
    Learning for Biomedical Imaging 2022. Trees: Ke et al., LightGBM, NeurIPS 2017, as scikit-learn
    has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import AnomalyMaps, Artifact, Metrics, Model
from core.errors import UserError
from core.method import Method, Takes
from core.methods.anomaly import _intensity, _residuals, _slices, _synthetic
from core.methods.anomaly._intensity_params import SyntheticParams
from core.methods.anomaly._trees import Trees
from core.methods.anomaly.brightness import RULE

if TYPE_CHECKING:
    from core.data.dataset import Dataset
    from core.training.run import Run

SIGN = {"brighter": 1, "darker": -1, "either": 0}


class SyntheticAnomalies(Method):
    id = "synthetic_anomalies"
    title = "Learned from synthetic anomalies"
    takes = Takes(
        ("image",),
        labels="optional",
        masks="optional",
        min_rows=8,
        min_size=16,
        trains=False,
        seconds_per_value=8e-6,
    )
    gives = (Model, AnomalyMaps, Metrics)
    Params = SyntheticParams
    parts = {"scale": _intensity.Intensity, "trees": Trees}
    other_data = True
    gradients = False
    tiny = {"draws": 1, "trees": 10, "side": 64, "pictures": 16, "pixels": 4000}
    presets = {"fast": {"draws": 3}, "standard": {"draws": 6}, "thorough": {"draws": 12}}

    @property
    def choice(self) -> _intensity.Choice:
        return _intensity.Choice(int(self.channel_), str(self.look_for_))

    def fit(self, data: Dataset, run: Run) -> None:
        p = self.params
        train, normal = _slices.find_healthy(data, f"{self.title} needs normal pictures")
        self.scale_ = _intensity.Intensity.fit(train, p.scale, p.background)
        choice, tried = _intensity.choose(data, self.scale_, p.channel, p.look_for, p.smooth, run)
        self.channel_, self.look_for_ = choice.channel, choice.look_for
        self.tried_ = {one.words: float(one.precision or 0) for one in tried}
        run.note(_intensity.describe_choice(choice, tried, p.channel, p.look_for))
        train = train.take(np.argsort(train.rows))
        train = train.take(_intensity.evenly(len(train), p.pictures))
        fitted, x = zip(*(self._classifier(train, run, k) for k in range(p.draws)))
        self.trees_ = Trees.mean(list(fitted), x[0])
        self._calibrate(normal.take(np.argsort(normal.rows)), run)

    def _classifier(self, train: Dataset, run: Run, draw: int) -> tuple[Any, np.ndarray]:
        """Return a classifier fitted on new spots in the pictures of `train`, and 2,000 of the
        pixels [n,d] it learned from.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        p, sign = self.params, SIGN[self.look_for_]
        rng = np.random.default_rng([run.seed, draw])
        many = -(-p.pixels // len(_intensity.batches(train, int(p.side))))
        features, truth = [], []
        for z, body, _ in self.scale_.scaled(train, run, int(p.side)):
            where = _synthetic.spots(body, rng)
            changed = _synthetic.with_spots(z, where, self.channel_, sign, p.others, rng)
            x = _synthetic.pixel_features(changed, body, self.channel_)
            x, y = _synthetic.some_pixels(x, where, body, many, rng)
            features.append(x)
            truth.append(y)
        if len(np.unique(np.concatenate(truth) if truth else [])) < 2:
            raise UserError(
                f"{self.title} found no foreground in the normal pictures to draw spots into: all"
                f" pixels are at most {p.background:g} (“background”) of the data's range."
            )
        x, y = np.concatenate(features), np.concatenate(truth)
        grows = np.zeros(x.shape[1], int)
        grows[0] = sign
        found = HistGradientBoostingClassifier(
            max_iter=p.trees,
            learning_rate=0.1,
            max_leaf_nodes=15,
            min_samples_leaf=min(100, max(5, len(x) // 100)),
            monotonic_cst=grows,
            early_stopping=False,
            random_state=run.seed + draw,
        ).fit(x, y)
        run.report(draw, loss=_log_loss(found, x, y))
        return found, x[:: max(1, len(x) // 2000)]

    def _calibrate(self, normal: Dataset, run: Run) -> None:
        """Learn how widely normal pixels vary, and the thresholds."""
        some = normal.take(_intensity.evenly(len(normal)))
        odds, bright, body, _ = map(np.concatenate, zip(*self._parts(some, run)))
        odds, bright = odds[body], bright[body]
        self.middle_ = float(np.median(odds)) if len(odds) else 0.0
        self.spread_ = float(max(odds.std(), 1e-3)) if len(odds) else 1.0
        self.bright_spread_ = float(max(bright.std(), 1e-3)) if len(bright) else 1.0
        heat, body, _, score = map(np.concatenate, zip(*self._heats(some, run)))
        self.pixel_threshold_ = _residuals.pixel_threshold(heat, body, self.params.healthy)
        self.threshold_ = float(np.quantile(score, 0.95))

    def _parts(self, data: Dataset, run: Run) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield log-odds, brightness in the direction looked for, and foreground, each [b,S,S] at
        the working size, and the foreground at the pictures' own, [b,H,W].
        """
        for z, body, whole in self.scale_.scaled(data, run, int(self.params.side)):
            odds = np.zeros(body.shape, np.float32)
            if body.any():
                odds[body] = self.trees_(_synthetic.pixel_features(z, body, self.channel_)[body])
            yield odds, _intensity.towards(z[:, self.channel_], self.look_for_), body, whole

    def _heats(self, data: Dataset, run: Run) -> Iterator[tuple[np.ndarray, ...]]:
        """Yield heat float32 and foreground bool [b,S,S] at the working size, foreground [b,H,W] at
        the pictures' own, and scores [b].
        """
        p = self.params
        for odds, bright, body, whole in self._parts(data, run):
            learned = (odds - self.middle_) / self.spread_
            heat = (learned + p.brightness * bright / self.bright_spread_) / (1 + p.brightness)
            heat = _intensity.on_map(_intensity.blurred(heat, body, p.smooth), body)
            yield heat, body, whole, _residuals.case_score(heat).astype(np.float32)

    def maps(self, data: Dataset, run: Run) -> tuple[np.ndarray, np.ndarray]:
        """Return heat float32 [n,H,W], at the size of the pictures, and scores [n] of the rows."""
        size, heats, scores = (data.shape[1], data.shape[2]), [], []
        for heat, _, whole, score in self._heats(data, run):
            heat = _slices.resized(heat, size)
            heats.append(np.where(whole, heat, _intensity.BACKGROUND).astype(np.float32))
            scores.append(score)
        return np.concatenate(heats), np.concatenate(scores)

    def apply(self, data: Dataset, run: Run) -> Iterator[Artifact]:
        heat, score = self.maps(data, run)
        yield AnomalyMaps(
            rows=data.rows,
            score=score,
            map=heat,
            threshold=self.threshold_,
            pixel_threshold=self.pixel_threshold_,
            rule=RULE,
            unit="standard deviations of normal pixels",
        )
        yield Metrics.of(_intensity.as_metrics(self.tried_), data.rows)


def _log_loss(found: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Log loss of at most 5,000 of the pixels learned from."""
    step = max(1, len(x) // 5000)
    odds = found.decision_function(x[::step])
    return float(np.logaddexp(0, np.where(y[::step], -odds, odds)).mean())
