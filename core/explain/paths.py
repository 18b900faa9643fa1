"""Paths through latent space that follow data: along a column of the table, and through a sequence
of real cases, straight or by way of cases between them. See `core.explain.traversal`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.artifacts import Embedding, Traversal
from core.data.stored import class_word
from core.errors import UserError
from core.explain.traversal import latent_position, make_traversal
from core.words import some_of

if TYPE_CHECKING:
    from core.data.dataset import Dataset

FEWEST = 10  # training cases with a value
ENDS = (0.05, 0.95)  # quantiles of a column from which and to which a path leads
NEAR = 10  # neighbours of a case in the graph of a walk


@dataclass(frozen=True)
class ColumnLine:
    """How the latent goes with a column of numbers: `slope [d]` is the change of the latent by one
    unit of what a linear regression on the latent says of the column; `weights [d]` and `bias`
    are that regression, `r2` its share of variance explained on cases it was not fitted on (NaN
    where there are fewer than 10), `low` and `high` the column's ends.
    """

    slope: np.ndarray
    weights: np.ndarray
    bias: float
    r2: float
    low: float
    high: float


def path_columns(data: Dataset) -> tuple[list[str], list[str]]:
    """Return the columns of the table a path can follow: those of numbers, and those of words (at
    most 20 different ones); names of files, patients and parts left out.
    """
    from core.data.dataset import TECHNICAL

    left_out = {v for k, v in data.roles.items() if k not in ("label", "domain")} | {*TECHNICAL}
    numbers, words = [], []
    for name in data.table.columns:
        if name in left_out:
            continue
        values = data.frame[name]
        number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        many = values.nunique()
        if number and many > 2 and name not in data.roles.values():
            numbers.append(name)
        elif 2 <= many <= 20:
            words.append(name)
    return numbers, words


def fit_column(data: Dataset, embedding: Embedding, column: str) -> ColumnLine:
    """Return the line of a column of numbers, fitted on training cases: least squares of the column
    on standardised coordinates, ridge of 1 in a thousand cases.

    The slope is the covariance of the latent with what the regression says over its variance, so
    that a path stays along what cases do (Haufe et al., On the interpretation of weight vectors of
    linear models in multivariate neuroimaging, 2014). UserError where the column is none of numbers
    or too few training cases have a value.
    """
    if column not in path_columns(data)[0]:
        raise UserError(
            f"“{column}” is no column of numbers (there are:"
            f" {some_of(path_columns(data)[0], 20) or 'none'})."
        )
    whole = data.of(embedding.rows)
    z, y = np.asarray(embedding.z, np.float64), whole.frame[column].to_numpy(np.float64)
    there = np.isfinite(y)
    fit = there & (whole.splits == "train")
    if fit.sum() < FEWEST:
        raise UserError(f"Fewer than {FEWEST} training cases have a value of “{column}”.")
    mean, sd = z[fit].mean(0), np.maximum(z[fit].std(0), 1e-9)
    x = (z - mean) / sd
    centre = y[fit].mean()
    gram = x[fit].T @ x[fit] + 1e-3 * fit.sum() * np.eye(x.shape[1])
    w = np.linalg.solve(gram, x[fit].T @ (y[fit] - centre))
    weights, bias = w / sd, centre - (w / sd) @ mean
    told = z @ weights + bias
    spread = told[fit] - told[fit].mean()
    variance = float(np.square(spread).mean())
    if variance < 1e-18:
        raise UserError(f"The latent space tells nothing of “{column}”, so no path leads along it.")
    slope = (z[fit] - mean).T @ spread / fit.sum() / variance
    held = there & ~fit
    rest = np.square(y[held] - told[held]).sum() if held.sum() >= FEWEST else np.nan
    total = np.square(y[held] - y[held].mean()).sum() if held.sum() >= FEWEST else np.nan
    low, high = np.quantile(y[fit], ENDS)
    return ColumnLine(
        slope, weights, float(bias), float(1 - rest / total) if total else np.nan, low, high
    )


def traverse_column(
    model: Any, data: Dataset, embedding: Embedding, row: int, column: str, steps: int = 9
) -> Traversal:
    """Return the case moved so that a regression says of it the column's values from low (5 % of
    training cases lie below) to high (95 %).
    """
    line, start = fit_column(data, embedding, column), latent_position(embedding, row)
    values = np.linspace(line.low, line.high, steps)
    now = float(start @ line.weights + line.bias)
    path = keep_inside(embedding, start + (values - now)[:, None] * line.slope)
    held = "not known" if line.r2 != line.r2 else f"{line.r2:.2f}"
    weak = "; the latent hardly tells it, so read nothing into the path" if line.r2 < 0.2 else ""
    return make_traversal(
        model,
        data,
        embedding,
        [row],
        path,
        values,
        f"{column} from low to high (R² on held-out cases {held}{weak})",
    )


def traverse_means(
    model: Any,
    data: Dataset,
    embedding: Embedding,
    column: str,
    low: str,
    high: str,
    steps: int = 9,
) -> Traversal:
    """Return the straight line from the mean place of the training cases of one word of a column to
    that of another.
    """
    if column not in path_columns(data)[1]:
        raise UserError(
            f"“{column}” is no column of a few words (there are:"
            f" {some_of(path_columns(data)[1], 20) or 'none'})."
        )
    whole = data.of(embedding.rows)
    words = column_words(data, column)
    ends, given = [], whole.frame[column].map(class_word).to_numpy()
    for word in (low, high):
        here = (given == word) & (whole.splits == "train")
        if not here.any():  # such as lesions, which training cases may not have
            here = given == word
        if not here.any():
            raise UserError(
                f"No case has “{word}” in “{column}” (there are: {some_of(words, 20)})."
            )
        ends.append(np.asarray(embedding.z, np.float64)[here].mean(0))
    share = np.linspace(0, 1, steps)
    path = ends[0] + share[:, None] * (ends[1] - ends[0])
    name = f"{column} from the mean of “{low}” to the mean of “{high}”"
    return make_traversal(model, data, embedding, [], keep_inside(embedding, path), share, name)


def column_words(data: Dataset, column: str) -> list[str]:
    """Return the different words of a column, sorted."""
    return sorted({class_word(v) for v in data.frame[column].dropna()})


def keep_inside(embedding: Embedding, path: np.ndarray) -> np.ndarray:
    """Return places [b,d] as float32, put back where the latent space has any (the simplex)."""
    if embedding.geometry == "simplex":
        path = np.clip(path, 0, None)
        path = path / np.maximum(path.sum(1, keepdims=True), 1e-9)
    return path.astype(np.float32)


def traverse_through(
    model: Any,
    data: Dataset,
    embedding: Embedding,
    rows: list[int],
    steps: int = 17,
    between: bool = False,
) -> Traversal:
    """Return a path through the places of real cases, in their order, each of them a step of it;
    at least as many steps as there are cases.

    `between`: from each to the next by way of other real cases, the shortest way in the graph of
    each case's 10 nearest, in which every step is squared, so that many small ones are shorter than
    a leap over empty space. Straight where no way leads. UserError for fewer than two cases.
    """
    if len(rows) < 2:
        raise UserError("A walk needs at least two cases.")
    stops = [latent_position(embedding, r) for r in rows]
    at = embedding.at(np.array(rows))
    corners: list[tuple[np.ndarray, int | None]] = [(stops[0], rows[0])]
    for i in range(len(rows) - 1):
        if between:
            way = shortest_way(embedding, int(at[i]), int(at[i + 1]))
            z = np.asarray(embedding.z)
            corners += [(z[j], int(embedding.rows[j])) for j in way[1:-1]]
        corners.append((stops[i + 1], rows[i + 1]))
    path, value = _resample(np.stack([c for c, _ in corners]), steps)
    real = [r for _, r in corners if r is not None]
    name = f"through {' → '.join(f'row {r}' for r in rows[:6])}{' …' if len(rows) > 6 else ''}"
    if between:
        many = len(corners) - len(rows)
        name += f", by way of {many} real case{'' if many == 1 else 's'}"
    return make_traversal(model, data, embedding, list(dict.fromkeys(real)), path, value, name)


def shortest_way(embedding: Embedding, start: int, end: int) -> list[int]:
    """Return positions of the cases on the shortest way between two, both included, in the graph of
    near cases with squared distances; only the two where no way leads.
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import dijkstra

    from core.neighbours import neighbours

    n = len(embedding.rows)
    near, distance = neighbours(np.asarray(embedding.z), min(NEAR, n - 1), embedding.metric)
    source = np.repeat(np.arange(n), near.shape[1])
    weights = np.maximum(np.square(distance.astype(np.float64)).ravel(), 1e-12)
    graph = csr_matrix((weights, (source, near.ravel())), shape=(n, n))
    far, before = dijkstra(graph.maximum(graph.T), indices=start, return_predecessors=True)
    if not np.isfinite(far[end]):
        return [start, end]
    way = [end]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    return way[::-1]


def _resample(corners: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return places along a line through corners [c,d] and their share of its length: every corner,
    and others between them, more on longer pieces, `steps` in all (at least c).
    """
    pieces = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    spare = max(0, steps - len(corners))
    exact = pieces / max(float(pieces.sum()), 1e-12) * spare
    more = np.floor(exact).astype(int)
    for i in np.argsort(more - exact, kind="stable")[: spare - more.sum()]:
        more[i] += 1
    path, value, gone = [corners[0]], [0.0], 0.0
    for i, piece in enumerate(pieces):
        for share in np.linspace(0, 1, more[i] + 2)[1:]:
            # the corner itself, not what rounding makes of it
            path.append(corners[i + 1] if share == 1 else
                        corners[i] + share * (corners[i + 1] - corners[i]))  # fmt: skip
            value.append(gone + share * piece)
        gone += piece
    return np.stack(path).astype(np.float32), np.array(value) / max(gone, 1e-12)
