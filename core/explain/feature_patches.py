"""What a method sees that compares features place by place: its maps by groups of layers, and the
patches of normal pictures whose features are nearest to those of a place of a case.

`method` is a fitted method with `heats(x [b,C,S,S]) -> (heat [b,S,S], by shallow and deep layers
[b,2,S,S])`, `resized`, which brings inputs to the working size, and a network `net_` whose `see(x)`
gives tokens [b,extra+N,d] of a frozen encoder at each tap and whose `compare` makes two groups of
them maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.sampling import evenly_spaced
from core.stages import Stage
from core.stats.bootstrap import units

if TYPE_CHECKING:
    import torch

    from core.data.dataset import Dataset

MANY = 600  # pictures among which patches are sought, at most
MOST_BYTES = 2**28  # of their features
AT_ONCE = 32  # pictures
SAMPLE = 64  # normal patches whose own nearest one tells what is usual


def has_features(kind: Any) -> bool:
    """Return whether a method (its class or a fitted one) compares features place by place."""
    return callable(getattr(kind, "heats", None))


def layer_stages(method: Any, x: torch.Tensor) -> list[Stage]:
    """Return the heat of one input [1,C,H,W], and that of the shallow and of the deep half of the
    layers, whose mean, blurred, it is.
    """
    heat, halves = method.heats(method.resized(x))
    shallow, deep = np.asarray(halves[0].cpu())

    def words(what: str, image: np.ndarray) -> str:
        return f"{what}; highest {float(image.max()):.3g}"

    return [
        Stage("Shallow layers", words("edges and texture", shallow), "heat", shallow),
        Stage("Deep layers", words("what lies at a place", deep), "heat", deep),
        Stage(
            "Both, blurred",
            words("the map of the run", np.asarray(heat[0].cpu())),
            "heat",
            np.asarray(heat[0].cpu()),
        ),
    ]


def describe_places(method: Any, x: torch.Tensor) -> np.ndarray:
    """Return what the frozen encoder says of each place of inputs [b,C,H,W]: float32 [b,N,d] of
    unit length; one less the product of two is the mean of the cosine distances in the shallow and
    in the deep half of the layers, by which the run's maps are made.
    """
    import torch
    from torch.nn.functional import normalize

    x = method.resized(x)
    with torch.no_grad():
        seen = method.net_.see(x)
        pairs = method.net_.compare(seen, seen, method.net_.encoder.side(x.shape[-1]))
        parts = [normalize(one.flatten(2), dim=1) for one, _ in pairs]
    return np.asarray((torch.cat(parts, 1) / len(parts) ** 0.5).transpose(1, 2).float().cpu())


@dataclass(frozen=True)
class PatchBank:
    """Places of pictures: `rows` int64 [n], what is said of each `z` float16 [n,N,d], `unit` int64
    [n], the patient of each picture, `side`: places a side, N = side². `usual`: the median distance
    of a patch to the nearest one in pictures of other patients; NaN where there is none.
    """

    rows: np.ndarray
    z: np.ndarray
    unit: np.ndarray
    side: int
    usual: float


@dataclass(frozen=True)
class NearPatches:
    """The patches nearest to a place: `rows` [k] of their pictures, `place` [k] in these, and their
    `distance` [k] in [0, 2]; of each picture one at most, near first.
    """

    rows: np.ndarray
    place: np.ndarray
    distance: np.ndarray


def make_bank(
    method: Any, data: Dataset, report: Callable[[float], None] = lambda share: None
) -> PatchBank:
    """Return the places of pictures `data`, of at most 600 of them and 256 MB, evenly taken. Cost:
    one pass of the encoder a picture; `report` is told the share done.
    """
    import torch

    one = describe_places(method, torch.from_numpy(data.inputs(np.zeros(1, np.int64))))
    most = max(2, min(MANY, MOST_BYTES // (2 * one.size)))
    if len(data) > most:
        data = data.take(evenly_spaced(len(data), most))
    z = np.empty((len(data), *one.shape[1:]), np.float16)
    for start in range(0, len(data), AT_ONCE):
        at = np.arange(start, min(start + AT_ONCE, len(data)))
        z[at] = describe_places(method, torch.from_numpy(data.inputs(at)))
        report((at[-1] + 1) / len(data))
    unit = units(len(data), data.groups)
    return PatchBank(data.rows, z, unit, round(one.shape[1] ** 0.5), _usual(z, unit))


def hottest_places(heat: np.ndarray, side: int, k: int = 3) -> list[int]:
    """Return the `k` of side x side places where a map [H,W] is hottest in the mean, hottest first;
    none touches another.
    """
    edges = [np.arange(side) * n // side for n in heat.shape]
    total = np.add.reduceat(np.add.reduceat(heat, edges[0], 0), edges[1], 1)
    size = np.outer(*(np.diff([*e, n]) for e, n in zip(edges, heat.shape)))
    left = np.asarray(total / size, dtype=np.float64)
    found: list[int] = []
    while len(found) < k and np.isfinite(left).any():
        at = int(left.argmax())
        found.append(at)
        row, column = divmod(at, side)
        left[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = -np.inf
    return found


def find_near_patches(
    bank: PatchBank, z: np.ndarray, row: int, group: Any = None, groups: Any = None, k: int = 4
) -> NearPatches:
    """Return the `k` patches of the bank nearest to what is said of one place, `z` [d]; none of the
    picture `row`, nor, where patients are known, of the patient `group` among the `groups` [n] of
    the bank's pictures.
    """
    others = bank.rows != row
    if groups is not None and group not in (None, ""):
        others &= np.array([g != group for g in groups], bool)
    at = np.flatnonzero(others)
    if not len(at):
        return NearPatches(*(np.zeros(0, t) for t in (np.int64, np.int64, float)))
    like = _likeness(bank.z, z[None], at)[0]
    place = like.argmax(1)
    best = like[np.arange(len(at)), place]
    near = np.argsort(-best, kind="stable")[:k]
    return NearPatches(bank.rows[at[near]], place[near], np.maximum(0.0, 1 - best[near]))


def _likeness(z: np.ndarray, some: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the products of `some` [m,d] with each place of the pictures `at`: [m,len(at),N]."""
    found = np.empty((len(some), len(at), z.shape[1]), np.float32)
    for start in range(0, len(at), AT_ONCE):
        part = z[at[start : start + AT_ONCE]].astype(np.float32)
        found[:, start : start + len(part)] = np.einsum("bnd,md->mbn", part, some, optimize=True)
    return found


def _usual(z: np.ndarray, unit: np.ndarray) -> float:
    """Median distance of patches to their nearest in pictures of other patients."""
    rng = np.random.default_rng(0)
    of = rng.integers(0, len(z), SAMPLE)
    some = z[of, rng.integers(0, z.shape[1], SAMPLE)].astype(np.float32)
    best = _likeness(z, some, np.arange(len(z))).max(2)
    best[unit[of][:, None] == unit[None]] = -np.inf
    nearest = best.max(1)
    nearest = nearest[np.isfinite(nearest)]
    return float(max(0.0, 1 - np.median(nearest))) if len(nearest) else float("nan")
