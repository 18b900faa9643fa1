"""Scale of signals, and the axes of a latent space of them: which are used, which way they point
and where in the signal they act.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.imaging import signals

if TYPE_CHECKING:
    from core.imaging.signals import SignalStyle

LEAST_NATS = 0.05  # mean KL of an axis below which the model does not use it


def typical_signal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, scale) float32 [C,T] of series [n,C,T]: the scale is halfway (geometric mean) between
    the sd at each sample, smoothed, and the channel's.

    By the channel's alone the tallest wave would drown the small ones; by each sample's own, noise
    would count as much as waves.
    """
    from scipy.ndimage import uniform_filter1d

    variance = uniform_filter1d(
        x.var(0, dtype=np.float64), max(3, x.shape[2] // 16), axis=1, mode="nearest"
    )
    variance = np.maximum(variance, variance.max(1, keepdims=True) / 400)
    sd = (variance * x.var((0, 2), dtype=np.float64)[:, None]) ** 0.25
    return x.mean(0, dtype=np.float64).astype("f4"), np.where(sd > 1e-12, sd, 1.0).astype("f4")


@dataclass(frozen=True)
class Axes:
    """`used` bool [d]; `turn` [d], -1 where an axis is to be turned round; `places` [4,d], the 10,
    30, 70 and 90 % quantiles along the turned axes; `names` of the d axes.
    """

    used: np.ndarray
    turn: np.ndarray
    places: np.ndarray
    names: list[str]


def name_axes(
    mu: np.ndarray,
    logvar: np.ndarray,
    decode: Callable[[np.ndarray], np.ndarray],
    look: SignalStyle,
) -> Axes:
    """Turn every axis so that it raises the signal where it changes it most, and name it by that
    place.

    `mu`, `logvar` [n,d] are the posteriors of the training cases; `decode` gives signals [b,C,T] in
    typical deviations of coordinates float32 [b,d].
    """
    nats = 0.5 * (np.square(mu) + np.exp(logvar) - logvar - 1).mean(0)
    used = nats >= LEAST_NATS
    middle, spread = mu.mean(0), mu.std(0)
    turn, names = np.ones(len(middle)), []
    for j in range(len(middle)):
        ends = np.repeat(middle[None], 2, 0)
        ends[:, j] += np.array([-2, 2]) * max(spread[j], 1e-3)
        low, high = decode(ends.astype("f4"))
        channel, first, last = signals.find_largest_change(low, high)
        at = first + int(np.abs(high - low)[channel, first : last + 1].argmax())
        turn[j] = -1.0 if high[channel, at] < low[channel, at] else 1.0
        known = channel < len(look.channels)
        called = look.channels[channel] if known else f"channel {channel + 1}"
        where = f"{called}, {signals.describe_stretch(look, low.shape[1], first, last)}"
        names.append(f"axis {j + 1} ({where if used[j] else 'hardly used'})")
    places = np.quantile(mu, [0.1, 0.3, 0.7, 0.9], axis=0)
    return Axes(used, turn, np.sort(places * turn, axis=0), names)
