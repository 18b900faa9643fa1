"""Set A against set B: the columns and latent axes in which they differ, how far they are mixed in
the latent space, and the cases most typical of each. Cases of both sets stand on neither side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.artifacts import Embedding
from core.artifacts.tables import Interval
from core.columns import Column
from core.explain.group_differences import Difference, find_differences
from core.neighbours import neighbours
from core.stats.bootstrap import mean_interval

NEAREST = 15
MOST = 5_000  # cases of a set that are looked at for how far sets are mixed
AXES = 256  # latent axes that are compared


@dataclass(frozen=True)
class Mixing:
    """Of the `NEAREST` cases nearest to each of `n` cases of a set, among both sets: the share
    `own` that are of the same set, with its interval over patients, and `chance`, the share if sets
    were given at random.
    """

    own: float
    interval: Interval
    chance: float
    n: int


def part_sets(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row ids int64 of A alone, of B alone, and of both, each sorted."""
    both = np.intersect1d(a, b)
    return np.setdiff1d(a, both), np.setdiff1d(b, both), both


def compare_columns(
    columns: list[Column], rows: np.ndarray, a: np.ndarray, b: np.ndarray
) -> list[Difference]:
    """All columns compared, largest effect first, by the tests of `group_differences`, with q over
    all of them; `columns` are aligned to `rows`, `a` and `b` row ids that share none.
    """
    chosen = np.flatnonzero(np.isin(rows, np.union1d(a, b)))
    inside = np.isin(rows[chosen], a)
    cut = [Column(c.name, c.values[chosen], c.kind, c.source) for c in columns]
    return find_differences(cut, inside, None, ("in A", "of A", "in B"), 1.1)


def latent_columns(embedding: Embedding, rows: np.ndarray) -> list[Column]:
    """Return the latent axes as columns over `rows`, missing where a case is not in the space."""
    held = np.isin(rows, embedding.rows)
    z = np.asarray(embedding.z)[embedding.at(rows[held])]
    found = []
    for j in range(min(z.shape[1], AXES)):
        values = np.full(len(rows), np.nan)
        values[held] = z[:, j]
        name = embedding.axes[j] if embedding.axes else f"latent axis {j + 1}"
        found.append(Column(name, values, "amount", "run"))
    return found


def measure_mixing(
    embedding: Embedding,
    a: np.ndarray,
    b: np.ndarray,
    groups: dict[int, object] | None = None,
    seed: int = 0,
) -> tuple[Mixing, Mixing] | None:
    """How far A and B are apart in the latent space, each by its own cases (at most `MOST` of a
    set, drawn with `seed`); `groups`: row id -> patient. None where a set has fewer than 3 cases
    there.
    """
    rng = np.random.default_rng(seed)
    sides = []
    for side in (a, b):
        there = side[np.isin(side, embedding.rows)]
        if len(there) < 3:
            return None
        sides.append(np.sort(rng.choice(there, MOST, False)) if len(there) > MOST else there)
    rows = np.concatenate(sides)
    of = np.repeat([0, 1], [len(s) for s in sides])
    k = min(NEAREST, len(rows) - 1)
    near = neighbours(np.asarray(embedding.z)[embedding.at(rows)], k, embedding.metric)[0]
    own = (of[near] == of[:, None]).mean(1)
    found = []
    for which in (0, 1):
        mine = of == which
        patients = None
        if groups is not None:
            patients = np.array([groups[int(r)] for r in rows[mine]], dtype=object)
        found.append(
            Mixing(
                float(own[mine].mean()),
                mean_interval(own[mine], patients, (0.0, 1.0)),
                float((mine.sum() - 1) / (len(rows) - 1)),
                int(mine.sum()),
            )
        )
    return found[0], found[1]


def most_typical(embedding: Embedding, rows: np.ndarray, k: int = 5) -> np.ndarray:
    """Row ids of the `k` cases nearest to the middle of `rows` in the latent space, nearest first:
    by the cosine where the space is compared so.
    """
    there = rows[np.isin(rows, embedding.rows)]
    z = np.asarray(embedding.z, dtype=np.float64)[embedding.at(there)]
    if embedding.metric == "cosine":
        z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    far = np.square(z - z.mean(0)).sum(1)
    return there[np.argsort(far, kind="stable")[:k]]
