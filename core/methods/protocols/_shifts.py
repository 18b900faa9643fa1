"""Shifts: the rows of some sites and of another, and how these are split, outside and inside."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import UserError

if TYPE_CHECKING:
    from core.data.dataset import Dataset

# labelled learning rows below which a site, or a class of the source, is left out
SITE, CLASS = 20, 6
SHARE = 0.2  # of the rows are held out, outside and inside


@dataclass(frozen=True)
class Shift:
    """Rows of the source (`side` 1) and the target (-2): `x [n,d]` standardised, `y [n]` codes into
    the source's k classes, k = a class it lacks.

    `train` and `test` are positions (test rows are of the target), `inner` holds pairs of positions
    (fit, validate) within `train`; `scale` holds the `codes` of the k classes in the dataset, and
    `mean` and `sd` [d] of its columns.
    """

    x: np.ndarray
    y: np.ndarray
    side: np.ndarray
    train: np.ndarray
    test: np.ndarray
    inner: tuple[tuple[np.ndarray, np.ndarray], ...]
    seed: int
    scale: dict[str, np.ndarray]

    def digest(self) -> str:
        """sha256 of the rows, their sides and the splits."""
        parts = (
            self.x,
            self.y,
            self.side,
            self.train,
            self.test,
            *(a for pair in self.inner for a in pair),
        )
        return hashlib.sha256(
            b"|".join(
                f"{a.shape}{a.dtype}".encode() + np.ascontiguousarray(a).tobytes() for a in parts
            )
        ).hexdigest()


def sites_of(data: Dataset) -> np.ndarray:
    """Object [n]: the site of each row, None = not known."""
    return data.domains if data.domains is not None else np.full(len(data), None, dtype=object)


def learning_rows(data: Dataset) -> Dataset:
    """Return the labelled rows of known sites that are not of test, in the order of their ids."""
    known = np.array([site is not None for site in sites_of(data)])
    learn = data.take(np.flatnonzero((data.splits != "test") & (data.labels >= 0) & known))
    return learn.take(np.argsort(learn.rows))


def large_sites(site: np.ndarray) -> tuple[list[str], list[str]]:
    """(names of the sites with enough rows, those left out, in words) of `site` [n], words.
    UserError for fewer than two.
    """
    names, size = np.unique(site, return_counts=True)
    large = [str(n) for n, count in zip(names, size) if count >= SITE]
    if len(large) < 2:
        raise UserError(
            f"Needs two sites with at least {SITE} labelled learning rows each; here there are"
            f" {len(large)}."
        )
    return large, [f"{n} ({count} rows)" for n, count in zip(names, size) if count < SITE]


def list_shifts(sites: list[str], pairs: bool, splits: int) -> list[tuple[list[str], str, int]]:
    """(source sites, target site, outer split) of all shifts, from each site to each other one
    (`pairs`) or from all others together; then those of split -1, nothing held out, from which
    final models come.
    """
    others = {target: [s for s in sites if s != target] for target in sites}
    if pairs:
        ways = [([source], target) for target in sites for source in others[target]]
    else:
        ways = [(others[target], target) for target in sites]
    contest = [(sources, target, k) for sources, target in ways for k in range(splits)]
    return contest + [(others[target], target, -1) for target in sites]


def hold_out(strata: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bool [n]: SHARE of the units (patients, or rows) of each stratum, at least one where there
    are two; a unit counts to the stratum of its first row.
    """
    _, first, code = np.unique(units, return_index=True, return_inverse=True)
    out = np.zeros(len(first), dtype=bool)
    for s in np.unique(strata[first]):
        members = rng.permutation(np.flatnonzero(strata[first] == s))
        out[members[: max(1, round(SHARE * len(members))) if len(members) > 1 else 0]] = True
    return out[code]


def make_shift(
    x: np.ndarray,
    labels: np.ndarray,
    site: np.ndarray,
    groups: np.ndarray | None,
    sources: list[str],
    target: str,
    k: int,
    inner: int,
    seed: int,
) -> Shift | None:
    """Return the shift of outer split `k` (-1 = nothing held out) with `inner` splits inside, or
    None where the source has fewer than two classes. Which target rows are held out does not depend
    on their labels.

    `x` float64 [n,d], NaN = missing; `labels` int64 [n]; `site` words [n]; `groups` [n], patients.
    """
    from_source, to_target = np.isin(site, sources), site == target
    codes, size = np.unique(labels[from_source], return_counts=True)
    codes = codes[size >= CLASS]
    at = np.flatnonzero((from_source & np.isin(labels, codes)) | to_target)
    if len(codes) < 2:
        return None
    side = np.where(to_target[at], -2, 1)
    place = np.searchsorted(codes, labels[at])
    y = np.where(np.isin(labels[at], codes), place, len(codes)).astype(np.int64)
    units = np.array([f"row {i}" for i in at])
    if groups is not None:
        units = np.array([row if g is None else f"of {g}" for g, row in zip(groups[at], units)])
    strata = np.where(side > 0, y, -1)
    rng = np.random.default_rng((seed, k + 1, *target.encode()))
    test = np.zeros(len(at), dtype=bool)
    if k >= 0:
        test = hold_out(strata, units, rng) & (side < 0)
    # a patient of both sites is never on two sides of a split
    train = np.flatnonzero(~test & ~np.isin(units, units[test]))
    splits = []
    for _ in range(inner):
        check = np.zeros(len(train), dtype=bool)
        for part in (side[train] > 0, side[train] < 0):
            check[part] = hold_out(strata[train][part], units[train][part], rng)
        check &= ~np.isin(units[train], units[train][~check])
        splits.append((train[~check], train[check]))
    mean, sd = column_scale(x[at[train]])
    rows, test = np.nan_to_num((x[at] - mean) / sd), np.flatnonzero(test)
    scale = {"codes": codes, "mean": mean, "sd": sd}
    return Shift(rows, y, side, train, test, tuple(splits), seed, scale)


def column_scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, deviation) [d] of the finite values of each column of x [n,d]; 1 where constant."""
    there = np.isfinite(x)
    count = np.maximum(there.sum(0), 1)
    mean = np.where(there, x, 0).sum(0) / count
    sd = np.sqrt((np.where(there, x - mean, 0) ** 2).sum(0) / count)
    sd[sd < 1e-12] = 1.0
    return mean, sd
