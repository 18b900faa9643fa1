"""Self-inpainting: propose what is healthy, mark what departs from it, fill that in anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MOST = 0.4  # share of the body that candidates may take, as the holes learned from

# pictures [n,C,S,S] and holes bool [n,S,S] -> the pictures with their holes filled
Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Standard:
    """What residuals of healthy slices are like: `mean` and `spread` [C,S,S] at each place,
    `precision` [C,C] the inverse correlation of channels; `smooth` the blur in pixels.
    """

    mean: np.ndarray
    spread: np.ndarray
    precision: np.ndarray
    sign: str
    smooth: float

    def scaled(self, residual: np.ndarray) -> np.ndarray:
        """Residuals [n,C,S,S], signed, in standard deviations of healthy ones."""
        return scaled(residual, self.mean, self.spread, self.smooth)

    def heat(self, residual: np.ndarray, body: np.ndarray) -> np.ndarray:
        """float32 [n,S,S]: how far residuals [n,C,S,S] of the wanted sign lie from healthy ones,
        0 outside of `body` [n,S,S].

        Both signs: root of the Mahalanobis distance over channels; one sign: root of the sum of
        squares of the channels' departures of that sign. Divided by the root of their number.
        """
        z = self.scaled(residual)
        if self.sign == "both":
            square = np.einsum("nchw,cd,ndhw->nhw", z, self.precision, z, optimize=True)
        else:
            square = np.square(np.maximum(z if self.sign == "brighter" else -z, 0)).sum(1)
        return (np.sqrt(np.maximum(square, 0) / z.shape[1]) * body).astype(np.float32)


def scaled(residual: np.ndarray, mean: np.ndarray, spread: np.ndarray, smooth: float) -> np.ndarray:
    """Residuals [n,C,S,S] minus `mean` over `spread` [C,S,S], blurred by `smooth` pixels."""
    from scipy.ndimage import gaussian_filter

    z = (residual - mean) / spread
    return gaussian_filter(z, (0, 0, smooth, smooth)) if smooth else z


def standard_of(residual: np.ndarray, body: np.ndarray, sign: str, smooth: float) -> Standard:
    """Learn the `Standard` from residuals [n,C,S,S] of healthy slices with `body` bool [n,S,S]."""
    from core.methods.anomaly._residuals import healthy_statistics

    found = [healthy_statistics(residual[:, c], body) for c in range(residual.shape[1])]
    mean, spread = (np.stack(v) for v in zip(*found))
    z = np.moveaxis(scaled(residual, mean, spread, smooth), 1, -1)[body]
    together = z.T @ z / max(1, len(z))
    size = np.sqrt(np.maximum(np.diag(together), 1e-6))
    # no direction counts more than twenty times as much as another, however alike channels are
    correlation = 0.95 * together / np.outer(size, size) + 0.05 * np.eye(len(size))
    precision = np.linalg.inv(correlation) / np.outer(size, size)
    return Standard(mean, spread, precision.astype(np.float32), sign, smooth)


def propose(x: np.ndarray, fill: Fill, patterns: np.ndarray) -> np.ndarray:
    """Return x [n,C,S,S] with every pixel filled in from its surroundings, the mean over sizes of
    cells; `patterns` bool [sizes,K,S,S], those of one size cover every pixel once.
    """
    total = np.zeros(x.shape, np.float32)
    for size in patterns:
        for hole in size:
            if hole.any():
                total += fill(x, np.broadcast_to(hole, (len(x), *hole.shape))) * hole
    return total / len(patterns)


def candidates(heat: np.ndarray, body: np.ndarray, cut: float, reach: int) -> np.ndarray:
    """Return what to fill in anew, bool [n,S,S]: heat [n,S,S] above `cut`, widened by `reach`
    pixels within `body`; of a slice that would be hidden by more than 40 %, the hottest.
    """
    from scipy.ndimage import binary_dilation

    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach + 0.5
    out = np.zeros(heat.shape, bool)
    for i in np.flatnonzero((heat > cut).any((1, 2))):
        level, room = cut, MOST * body[i].sum()
        while True:
            out[i] = binary_dilation(heat[i] > level, disc) & body[i]
            if out[i].sum() <= room:
                break
            level = float(np.quantile(heat[i][heat[i] > level], 0.5)) + 1e-6
    return out


@dataclass(frozen=True)
class Painted:
    """What the loop gives for slices: `proposed` and `twin` [n,C,S,S], healthy versions before and
    after the rounds, and the `holes` bool of each round [rounds,n,S,S].
    """

    proposed: np.ndarray
    twin: np.ndarray
    holes: np.ndarray


def auto_paint(
    x: np.ndarray,
    body: np.ndarray,
    fill: Fill,
    heat: Callable[[np.ndarray, np.ndarray], np.ndarray],
    patterns: np.ndarray,
    cut: float,
    reach: int,
    rounds: int,
) -> Painted:
    """Propose, then at most `rounds` times: mark what departs and fill it in as one hole, until
    nothing marked changes. x [n,C,S,S], body bool [n,S,S], `heat(residual, body)` [n,S,S].
    """
    proposed = propose(x, fill, patterns)
    twin, holes = proposed.copy(), [np.zeros(body.shape, bool)]
    going = np.arange(len(x))
    for _ in range(rounds):
        now = holes[-1].copy()
        now[going] = candidates(heat(x[going] - twin[going], body[going]), body[going], cut, reach)
        going = going[(now[going] != holes[-1][going]).any((1, 2))]
        if not len(going):
            break
        filled = fill(x[going], now[going])
        twin[going] = np.where(now[going][:, None], filled, proposed[going])
        holes.append(now)
    return Painted(proposed, twin, np.stack(holes[1:] or holes))
