"""Self-inpainting: propose what is healthy, mark what departs from it, fill that in anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FEW = 20  # healthy slices at which a place counts as much as all places together
MOST = 0.4  # share of the body that candidates may take, as the holes learned from

# pictures [n,C,S,S] and holes bool [n,S,S] -> the pictures with their holes filled
Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Standard:
    """What residuals of healthy slices are like: `mean` and `spread` [C,S,S] at each place,
    `precision` [C,C] the inverse correlation of channels, `depth` [D] how much larger they are at
    1, 2, ... pixels inside a hole than where slices are covered by patterns; `smooth` the blur in
    pixels.
    """

    mean: np.ndarray
    spread: np.ndarray
    precision: np.ndarray
    depth: np.ndarray
    sign: str
    smooth: float

    def heat(
        self, residual: np.ndarray, body: np.ndarray, hole: np.ndarray | None = None
    ) -> np.ndarray:
        """float32 [n,S,S]: how far residuals [n,C,S,S] of the wanted sign lie from healthy ones,
        0 outside of `body` [n,S,S]; in `hole` bool [n,S,S] from those as deep in a hole.

        Both signs: root of the Mahalanobis distance over channels; one sign: root of the sum of
        squares of the channels' departures of that sign. Divided by the root of their number.
        """
        z = scaled(residual, self.mean, self.spread, self.smooth)
        if hole is not None:
            z = z / self.depth[depth_in(hole, len(self.depth))][:, None]
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


def depth_in(hole: np.ndarray, deepest: int) -> np.ndarray:
    """Return how many pixels, rounded, each pixel of `hole` bool [n,S,S] lies from the nearest
    outside of it: int [n,S,S], 0 outside, at most `deepest` - 1.
    """
    from scipy.ndimage import distance_transform_edt

    out = np.zeros(hole.shape, int)
    for i in np.flatnonzero(hole.any((1, 2))):
        out[i] = np.minimum(np.rint(distance_transform_edt(hole[i])), deepest - 1)
    return out


def standard_of(residual: np.ndarray, body: np.ndarray, sign: str, smooth: float) -> Standard:
    """Learn the `Standard` from residuals [n,C,S,S] of healthy slices with `body` bool [n,S,S].

    Mean and spread at a place are drawn towards those of the whole body, by half for `FEW` slices.
    """
    from core.methods.anomaly._residuals import healthy_statistics

    own = len(residual) / (len(residual) + FEW)
    means, spreads = [], []
    for c in range(residual.shape[1]):
        mean, spread = healthy_statistics(residual[:, c], body)
        whole = residual[:, c][body]
        means.append(own * mean + (1 - own) * whole.mean())
        spreads.append(np.sqrt(own * spread**2 + (1 - own) * whole.var()))
    mean, spread = (np.stack(v).astype(np.float32) for v in (means, spreads))
    z = np.moveaxis(scaled(residual, mean, spread, smooth), 1, -1)[body]
    together = z.T @ z / max(1, len(z))
    size = np.sqrt(np.maximum(np.diag(together), 1e-6))
    # no direction counts more than twenty times as much as another, however alike channels are
    correlation = 0.95 * together / np.outer(size, size) + 0.05 * np.eye(len(size))
    precision = (np.linalg.inv(correlation) / np.outer(size, size)).astype(np.float32)
    return Standard(mean, spread, precision, np.ones(2, np.float32), sign, smooth)


def depth_factors(
    residual: np.ndarray, hole: np.ndarray, body: np.ndarray, standard: Standard, deepest: int
) -> np.ndarray:
    """float32 [deepest]: root mean square of standardised residuals [n,C,S,S] of healthy slices at
    each depth in `hole` bool [n,S,S] over that of depth 0 for residuals of patterns, which is 1;
    never falling, and never below 1.
    """
    z = np.square(scaled(residual, standard.mean, standard.spread, standard.smooth)).mean(1)
    depth, out = depth_in(hole & body, deepest), np.ones(deepest)
    usual = np.sqrt(np.trace(np.linalg.inv(standard.precision)) / len(standard.precision))
    for d in range(1, deepest):
        here = depth == d
        known = here.sum() >= 20
        out[d] = np.sqrt(z[here].mean()) / usual if known else out[d - 1]
    return np.maximum.accumulate(np.maximum(out, 1)).astype(np.float32)


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

    @property
    def hole(self) -> np.ndarray:
        """What was filled in as one hole in the end, bool [n,S,S]."""
        return np.asarray(self.holes[-1])


def auto_paint(
    x: np.ndarray,
    body: np.ndarray,
    fill: Fill,
    heat: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    patterns: np.ndarray,
    cut: float,
    reach: int,
    rounds: int,
) -> Painted:
    """Propose, then at most `rounds` times: mark what departs and fill it in as one hole, until
    nothing marked changes. x [n,C,S,S], body bool [n,S,S], `heat(residual, body, hole)`
    [n,S,S].
    """
    proposed = propose(x, fill, patterns)
    twin, holes = proposed.copy(), [np.zeros(body.shape, bool)]
    going = np.arange(len(x))
    for _ in range(rounds):
        now = holes[-1].copy()
        found = heat(x[going] - twin[going], body[going], now[going])
        now[going] = candidates(found, body[going], cut, reach)
        going = going[(now[going] != holes[-1][going]).any((1, 2))]
        if not len(going):
            break
        filled = fill(x[going], now[going])
        twin[going] = np.where(now[going][:, None], filled, proposed[going])
        holes.append(now)
    return Painted(proposed, twin, np.stack(holes[1:] or holes))
