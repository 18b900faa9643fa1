"""Cases like a few marked ones: candidates in order, from what people said of those before, and how
many of the candidates reviewed were right.

A candidate's order is our own choice: its distance to the nearest case that is it, divided by that
and its distance to the nearest case that is not; where none is known not to be it, the distance to
the nearest that is. Distances are those of the latent space (of unit vectors where its metric is
cosine).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.artifacts import Embedding
from core.errors import UserError
from core.neighbours import prepared
from core.stats.proportions import Rate, wilson
from core.workspace.searches import LEAST

ENOUGH = 20  # reviews from which the share that was right is shown without reserve
BLOCK = 4_096  # cases whose distances are held at once


@dataclass(frozen=True)
class Candidates:
    """`rows` int64 [n] of cases that nobody has spoken of, the likeliest first, and `share` float
    [n] in [0, 1], by which they are ordered (0: on a marked case); NaN where no case is known not
    to be it.
    """

    rows: np.ndarray
    share: np.ndarray


def find_candidates(
    embedding: Embedding,
    found: np.ndarray,
    others: np.ndarray,
    unclear: np.ndarray,
    among: np.ndarray,
) -> Candidates:
    """Return the cases of row ids `among` that are not in `found` (it), `others` (not it) or
    `unclear` (nobody can tell; these count for neither side), the most like `found` first.

    UserError where fewer than two of `found` have a place in the latent space. Cost: one pass over
    the cases for each marked one.
    """
    has = np.isin(found, embedding.rows)
    if has.sum() < LEAST:
        raise UserError(
            f"Mark at least {LEAST} cases that this run placed; {int(has.sum())} of the marked ones"
            " are."
        )
    z = prepared(np.asarray(embedding.z), embedding.metric).astype(np.float64)
    spoken = np.concatenate([found, others, unclear]).astype(np.int64)
    rows = np.setdiff1d(among[np.isin(among, embedding.rows)], spoken)
    at = embedding.at(rows)
    near = _nearest(z, at, embedding.at(found[has]))
    others = others[np.isin(others, embedding.rows)]
    share = np.full(len(rows), np.nan)
    if len(others):
        far = _nearest(z, at, embedding.at(others))
        share = near / np.maximum(near + far, 1e-300)
    order = np.argsort(share if len(others) else near, kind="stable")
    return Candidates(rows[order], share[order])


def _nearest(z: np.ndarray, at: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Distance of each of `at` to the nearest of `marked`."""
    y = z[marked]
    least = np.empty(len(at))
    for start in range(0, len(at), BLOCK):
        x = z[at[start : start + BLOCK]]
        square = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
        least[start : start + BLOCK] = np.sqrt(np.maximum(square.min(1), 0))
    return least


def measure_precision(right: int, wrong: int) -> Rate:
    """Return the share of reviewed candidates that were it, with Wilson's 95 % interval; those that
    nobody could tell are not counted.
    """
    return wilson(right, right + wrong)
