"""The nearest place in latent space at which a model's answer flips.

Places are u [s,d], latent coordinates divided by their training deviation. `margin(u)` [s] is
above 0 where the answer is the wanted one; where it has a gradient, each step goes to the place
nearest to the start on the boundary as it would be if it were flat there, and is shortened until
distance plus a penalty on the margin falls. That is how structural reliability finds the design
point (Hasofer, Lind, Exact and invariant second-moment code format, 1974; Rackwitz, Fiessler,
Structural reliability under combined random load sequences, 1978); of a linear model one step is
exact. It ends at a minimum that may be a local one, so there are several starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SHORTER = (1.0, 0.5, 0.25, 0.12, 0.06, 0.02)  # of a step that goes too far
CLOSE = 1e-4  # deviations; a shorter step ends the search
GRID, HALVINGS = 24, 26  # of the line from the start to a place beyond the boundary


def walk_to_boundary(
    margin: Callable[[Any], Any],
    start: np.ndarray,
    begin: np.ndarray,
    inside: Callable[[Any], Any],
    steps: int = 60,
    report: Callable[[float], None] = lambda fraction: None,
) -> np.ndarray:
    """Return where walks from each of `begin` [s,d] end, float64 [s,d]: near the boundary, as near
    to `start` [d] as they could come. `inside` puts places back where the latent space has any.
    A walk whose gradient vanishes stays where it is.
    """
    import torch

    u0 = torch.from_numpy(start.astype(np.float32))[None]
    u = torch.from_numpy(begin.astype(np.float32))
    for step in range(steps):
        report(step / steps)
        u = u.detach().requires_grad_()
        with torch.enable_grad():
            m = margin(u)
            (slope,) = torch.autograd.grad(m.sum(), u)
        u, m = u.detach(), m.detach()
        steep = slope.square().sum(1)
        ok = torch.isfinite(slope).all(1) & (steep > 1e-16)
        if not ok.any():
            break
        steep = torch.where(ok, steep, torch.ones_like(steep))
        share = ((slope * (u - u0)).sum(1) - m) / steep
        goal = u0 + share[:, None] * slope
        way = torch.where(ok[:, None], goal - u, torch.zeros_like(u))
        reach = torch.maximum((u - u0).norm(dim=1), (goal - u0).norm(dim=1))
        weight = 2 * reach / steep.sqrt() + 1e-6

        def merit(v: Any, of: Any, weight: Any = weight) -> Any:
            return 0.5 * (v - u0).square().sum(1) + weight * of.abs()

        places = torch.stack([inside(u + t * way) for t in SHORTER])
        with torch.no_grad():
            tried = margin(places.flatten(0, 1)).view(len(SHORTER), -1)
        cost = torch.stack([merit(v, of) for v, of in zip(places, tried)])
        cost = torch.where(torch.isfinite(cost), cost, torch.full_like(cost, torch.inf))
        best = cost.argmin(0)
        better = cost.gather(0, best[None])[0] < merit(u, m)
        chosen = places[best, torch.arange(len(u))]
        before, u = u, torch.where((better & ok)[:, None], chosen, u)
        if float((u - before).norm(dim=1).max()) < CLOSE:
            break
    return u.detach().numpy().astype(np.float64)


def first_crossing(
    flipped: Callable[[np.ndarray], np.ndarray], start: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each of `ends` [s,d] the first place on the straight line from `start` [d], and a
    tenth beyond the end, at which `flipped` ([b,d] -> bool [b]) holds, [s,d], and whether there is
    one, bool [s]. The first of 24 places, then halved towards the boundary, on the flipped side.
    """
    s, d = ends.shape
    shares = np.linspace(0, 1.1, GRID + 1)[1:]
    grid = start + shares[:, None, None] * (ends - start)
    there = flipped(grid.reshape(-1, d)).reshape(GRID, s)
    some, at = np.asarray(there.any(0)), there.argmax(0)
    high = shares[at]
    low = np.where(at > 0, shares[np.maximum(at - 1, 0)], 0.0)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        yes = flipped(start + middle[:, None] * (ends - start))
        high, low = np.where(yes, middle, high), np.where(yes, low, middle)
    return start + high[:, None] * (ends - start), some
