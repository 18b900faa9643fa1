"""Pictures with a part of another one blended in: abnormal, and known where."""

from __future__ import annotations

import numpy as np


def pasted(
    x: np.ndarray,
    donors: np.ndarray,
    rng: np.random.Generator,
    radius: tuple[float, float] = (0.06, 0.16),
) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures x float32 [n,C,S,S] each with a soft-edged ellipse out of one of the `donors`
    [m,C,S,S], and where it lies, bool [n,S,S]: half of it or more is the donor's.

    The half axes are drawn from `radius` times S. A donor is taken from any place of it, and
    brought to the mean the picture has there, so that brightness alone does not give it away;
    values are kept within those of x. Where x and donors are the same array, no picture is its own
    donor (unless it is the only one).
    """
    n, side = len(x), x.shape[-1]
    y, across = np.mgrid[:side, :side]
    out, where = x.copy(), np.zeros((n, side, side), bool)
    for i in range(n):
        donor = int(rng.integers(len(donors)))
        if donors is x and donor == i:
            donor = (donor + 1) % n
        half = rng.uniform(*radius, 2) * side
        edge = min(half.max() + 2, side / 2)
        middle = rng.uniform(edge, side - edge, 2)
        # from any place that lies wholly within the donor
        apart = np.rint(middle - rng.uniform(edge, side - edge, 2)).astype(int)
        part = np.roll(donors[donor], tuple(apart), (1, 2))
        turn = rng.uniform(0, np.pi)
        dy, dx = y - middle[0], across - middle[1]
        u, v = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
        distance = np.hypot(u / half[0], v / half[1])
        alpha = np.clip((1 - distance) * half.min() / 2 + 0.5, 0, 1)
        where[i] = alpha >= 0.5
        shift = (x[i] - part)[:, where[i]].mean(1) if where[i].any() else np.zeros(len(part))
        part = np.clip(part + shift[:, None, None], x.min(), x.max())
        out[i] = x[i] * (1 - alpha) + part * alpha
    return out, where


def altered(donors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return pictures [n,C,S,S] changed in one of four ways, drawn for each: as they are, upside
    down in brightness, twice as large, or with noise as strong as they vary.
    """
    out = donors.copy()
    low, high, half = donors.min(), donors.max(), donors.shape[-1] // 2
    for x, way in zip(out, rng.integers(0, 4, len(out))):
        if way == 1:
            x[:] = low + high - x
        elif way == 2:
            x[:] = np.kron(x[:, half // 2 :][:, :half, half // 2 :][..., :half], np.ones((2, 2)))
        elif way == 3:
            x += rng.normal(0, max(float(x.std()), 1e-3), x.shape).astype(x.dtype)
    return np.clip(out, low, high)


def covered(
    where: np.ndarray, rng: np.random.Generator, share: tuple[float, float] = (0.3, 0.7)
) -> np.ndarray:
    """Return a side of each part `where` bool [n,S,S], cut off by a straight line in a drawn
    direction, that holds a share of it drawn from `share`: bool [n,S,S].
    """
    y, x = np.mgrid[: where.shape[1], : where.shape[2]]
    out = np.zeros_like(where)
    for i, part in enumerate(where):
        turn = rng.uniform(0, 2 * np.pi)
        along = np.cos(turn) * x + np.sin(turn) * y
        wanted = rng.uniform(*share)
        if part.any():
            out[i] = part & (along <= np.quantile(along[part], wanted))
    return out
