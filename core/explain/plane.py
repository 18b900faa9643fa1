"""A plane through latent space, by three cases or along two axes, and what a model shows and says
on it. See `core.explain.traversal`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.artifacts import Embedding
from core.errors import UserError
from core.explain.paths import keep_inside
from core.explain.traversal import (
    axis_range,
    decode,
    distance_percentile,
    latent_position,
    set_coordinate,
)

if TYPE_CHECKING:
    from core.data.dataset import Dataset

INNER, MARGIN = 4, 1  # steps from one case to the next, and beyond them
STEPS = 9  # along each of two axes
FINE = 4  # places between two pictures at which answers and distances are asked
BATCH = 64


@dataclass(frozen=True)
class Plane:
    """Pictures on a grid in a plane, and on a finer one what the model says there.

    `x [w]` and `y [h]` are the grid's places; `frames [h,w,*input]` what is decoded at each;
    `fine_x [u]`, `fine_y [v]` the finer grid; `distance [v,u]` percentile 0-100 as in `Traversal`;
    `output [v,u,k]` class probabilities of what is decoded there, or None; `score [v,u]` its
    anomaly score, or None. `cases`: (row, column and line of the grid) of each case that lies
    in it; `titles`: what the two directions are.
    """

    x: np.ndarray
    y: np.ndarray
    frames: np.ndarray
    fine_x: np.ndarray
    fine_y: np.ndarray
    distance: np.ndarray
    output: np.ndarray | None
    score: np.ndarray | None
    cases: list[tuple[int, int, int]]
    titles: tuple[str, str]


def plane_of_cases(
    model: Any,
    data: Dataset,
    embedding: Embedding,
    rows: tuple[int, int, int],
    report: Callable[[float], None] = lambda fraction: None,
) -> Plane:
    """Return the plane through three cases: A + x (B - A) + y (C - A), x and y from a step before 0
    to a step beyond 1, 0 and 1 among them, where the pictures are the cases' reconstructions.

    UserError where two of them are one case.
    """
    if len(set(rows)) < 3:
        raise UserError("A plane needs three different cases.")
    a, b, c = (latent_position(embedding, r).astype(np.float64) for r in rows)
    at = np.arange(-MARGIN, INNER + MARGIN + 1) / INNER
    exact = {(0.0, 0.0): a, (1.0, 0.0): b, (0.0, 1.0): c}

    def place(x: float, y: float) -> np.ndarray:
        corner = exact.get((x, y))  # a mix may differ from the case in the last bit
        return a + x * (b - a) + y * (c - a) if corner is None else corner

    cases = [
        (rows[0], MARGIN, MARGIN),
        (rows[1], MARGIN + INNER, MARGIN),
        (rows[2], MARGIN, MARGIN + INNER),
    ]
    titles = (f"from row {rows[0]} to row {rows[1]}", f"from row {rows[0]} to row {rows[2]}")
    return _make(model, data, embedding, at, at, place, cases, titles, report)


def plane_of_axes(
    model: Any,
    data: Dataset,
    embedding: Embedding,
    row: int,
    axes: tuple[int, int],
    report: Callable[[float], None] = lambda fraction: None,
) -> Plane:
    """Return the case with two of its coordinates over their reach, the case itself among them."""
    if axes[0] == axes[1]:
        raise UserError("A plane needs two different axes.")
    start = latent_position(embedding, row)
    values, at = [], []
    for axis in axes:
        own = np.linspace(*axis_range(embedding, axis), STEPS)
        near = int(np.abs(own - start[axis]).argmin())
        own[near] = start[axis]
        values.append(own)
        at.append(near)

    def place(x: float, y: float) -> np.ndarray:
        if x == start[axes[0]] and y == start[axes[1]]:
            return start
        return set_coordinate(embedding, set_coordinate(embedding, start, axes[0], x), axes[1], y)

    names = embedding.axes or [f"axis {j + 1}" for j in range(embedding.z.shape[1])]
    titles = (names[axes[0]], names[axes[1]])
    cases = [(row, at[0], at[1])]
    across, up = values
    return _make(model, data, embedding, across, up, place, cases, titles, report)


def _make(
    model: Any,
    data: Dataset,
    embedding: Embedding,
    x: np.ndarray,
    y: np.ndarray,
    place: Callable[[float, float], np.ndarray],
    cases: list[tuple[int, int, int]],
    titles: tuple[str, str],
    report: Callable[[float], None],
) -> Plane:
    """Decode the fine grid in batches; the pictures are every fourth place of it."""
    fine_x, fine_y = (_refine(v) for v in (x, y))
    z = keep_inside(embedding, np.stack([place(i, j) for j in fine_y for i in fine_x]))
    shape = (len(fine_y), len(fine_x))
    wanted = np.zeros(shape, bool)
    wanted[::FINE, ::FINE] = True
    shown = wanted.ravel()
    frames, said, scores = [], [], []
    for i in range(0, len(z), BATCH):
        report(i / len(z))
        made = decode(model, z[i : i + BATCH])
        frames.append(made[shown[i : i + BATCH]])
        answer, score = _ask(model, made)
        said.append(answer)
        scores.append(score)
    return Plane(
        x=x,
        y=y,
        frames=np.concatenate(frames).reshape(len(y), len(x), *frames[0].shape[1:]),
        fine_x=fine_x,
        fine_y=fine_y,
        distance=distance_percentile(data, embedding, z).reshape(shape),
        output=None if said[0] is None else np.concatenate(said).reshape(*shape, -1),
        score=None if scores[0] is None else np.concatenate(scores).reshape(shape),
        cases=cases,
        titles=titles,
    )


def _refine(values: np.ndarray) -> np.ndarray:
    """Three more places between each two, those given kept exactly."""
    at = np.arange(len(values)) * FINE
    fine = np.interp(np.arange(at[-1] + 1), at, values)
    fine[at] = values
    return fine


def _ask(model: Any, made: np.ndarray) -> tuple[Any, Any]:
    """Class probabilities [b,k] and anomaly scores [b] of inputs, None what the model has not."""
    import torch

    kind = np.float64 if made.dtype == np.float64 else np.float32
    x = torch.from_numpy(np.ascontiguousarray(made, dtype=kind))
    with torch.no_grad():
        said = model.predict(x).float().numpy() if "predict" in model.abilities else None
        score = model.score(x).float().numpy() if "score" in model.abilities else None
    return said, score
