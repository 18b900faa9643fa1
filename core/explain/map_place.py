"""What puts a case where it lies on a map: a linear surrogate of its surroundings.

Among the cases nearest to it on the map, ridge regression foretells both coordinates from what is
known of each case: the columns of a table; of other data its columns and what is measured on its
pictures. A column's push is its coefficient times how far the case is from the mean of its
surroundings, a step on the map. Of columns that say the same (correlated above 0.8) the first
speaks for all, since their pushes would cancel one another. How well the surrogate fits is told by
R² on cases left out with their patients, in five folds; below 0.3 (a bound of ours), or where its
interval reaches 0, nothing is said. It describes the map around the case, not how the map was made:
a column may stand for what goes with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.columns import format_distinct
from core.explain.axis_names import list_followed
from core.stats.bootstrap import interval
from core.stats.folds import draw_folds

if TYPE_CHECKING:
    from core.artifacts import Map
    from core.data.dataset import Dataset

FEWEST, MOST = 60, 300  # cases of the surroundings
SHARE = 0.2  # of all cases, between these
AND = " with "  # between a column and those it speaks for
ENOUGH = 0.3  # of R²
ALIKE = 0.8  # columns that correlate closer speak with one voice: the first of them
BLOCKS = 25  # of cases, left out one after another for the intervals of pushes
NOTHING = float("nan")
ALPHAS = np.logspace(-1, 4, 12)  # of ridge regression, on standardised columns


@dataclass(frozen=True)
class Push:
    """What one column does: `step` [2], on the map, as a share of its width and height (right and
    up are positive); `value` of the case and what is `usual` around it, in words. `low`, `high`:
    95 % interval over patients of its length in its own direction, below 0 where it might push the
    other way; None where there are too few.
    """

    column: str
    value: str
    usual: str
    step: tuple[float, float]
    low: float | None = None
    high: float | None = None

    @property
    def size(self) -> float:
        """Return the length of the step."""
        return float(np.hypot(*self.step))

    @property
    def direction(self) -> str:
        """Return where it pushes, in words."""
        right, up = self.step
        words = [("right" if right > 0 else "left")] if abs(right) >= 0.4 * abs(up) else []
        words += [("up" if up > 0 else "down")] if abs(up) >= 0.4 * abs(right) else []
        return " and ".join(words)


@dataclass(frozen=True)
class Place:
    """What puts a case there: `pushes`, largest first; empty where `why` says that nothing can be
    told. `fit` is R² on left out cases, from `low` to `high`, of `n` cases around it.
    """

    pushes: list[Push]
    fit: float
    low: float | None
    high: float | None
    n: int
    why: str = ""


def explain_place(made: Map, data: Dataset, row: int, top: int = 6) -> Place:
    """Return what puts the case `row` where it lies on the map `made`, by its `top` columns. Cost:
    about 30 ridge regressions on at most 300 cases.
    """
    around = find_surroundings(made, data, row)
    if isinstance(around, Place):
        return around
    x, names, words = _describe(around.part)
    if not names:
        none = "Nothing is known of the cases but their input."
        return Place([], NOTHING, None, None, around.many, none)
    mean, sd = x.mean(0), x.std(0)
    x = (x - mean) / np.where(sd > 0, sd, 1.0)
    kept, names = _drop_alike(x, names)
    x = x[:, kept]
    fit, low, high = measure_fit(x, around)
    if (why := why_not_told(fit, low, "What is known of these cases")) is not None:
        return Place([], fit, low, high, around.many, why)
    told = []
    for name in dict.fromkeys(names):
        value, usual = words[next(c for c in words if name == c or name.startswith(c + AND))]
        told.append((name, [j for j, n in enumerate(names) if n == name], value, usual))
    return Place(find_pushes(x, around, told, top), fit, low, high, around.many)


@dataclass(frozen=True)
class Surroundings:
    """The cases nearest to one on a map, itself first: `part` of the data, `xy` float64 [n,2] where
    they lie, in shares of the map's width and height.
    """

    part: Dataset
    xy: np.ndarray

    @property
    def many(self) -> int:
        """Return how many they are."""
        return len(self.xy)


def find_surroundings(made: Map, data: Dataset, row: int) -> Surroundings | Place:
    """Return the surroundings of a case, or a Place that says why there are none."""
    at = made.at(np.array([row]))
    if made.place is not None or not len(at) or made.xy.shape[1] != 2:
        why = "It is told of cases on maps with two axes only."
        return Place([], NOTHING, None, None, 0, why)
    rows, xy = np.asarray(made.rows), np.asarray(made.xy, dtype=np.float64)
    known = np.isin(rows, data.rows)
    rows, xy = rows[known], (xy[known] - xy.min(0)) / np.maximum(np.ptp(xy, axis=0), 1e-12)
    own = int(np.flatnonzero(rows == row)[0])
    many = int(np.clip(SHARE * len(rows), FEWEST, MOST))
    if len(rows) < FEWEST:
        why = f"It takes at least {FEWEST} cases."
        return Place([], NOTHING, None, None, len(rows), why)
    near = np.argsort(np.square(xy - xy[own]).sum(1), kind="stable")[:many]  # itself first
    return Surroundings(data.of(rows[near]), xy[near])


def measure_fit(x: np.ndarray, around: Surroundings) -> tuple[float, float | None, float | None]:
    """Return R² of ridge regression from `x` [n,d] to the places, on cases left out with their
    patients, and its 95 % interval.
    """
    from sklearn.linear_model import RidgeCV

    y = around.xy
    fold = draw_folds(len(y), around.part.groups)
    wrong, whole = np.zeros(len(y)), np.zeros(len(y))
    for k in np.unique(fold):
        rest = fold != k
        fitted = RidgeCV(ALPHAS).fit(x[rest], y[rest])
        wrong[~rest] = np.square(y[~rest] - fitted.predict(x[~rest])).sum(1)
        whole[~rest] = np.square(y[~rest] - y[rest].mean(0)).sum(1)

    def left(i: np.ndarray) -> float:
        return float(wrong[i].sum() / max(whole[i].sum(), 1e-12))

    bounds = interval(left, len(y), around.part.groups, (0, np.inf)).turned(1.0)
    return 1 - left(np.arange(len(y))), bounds.low, bounds.high


def why_not_told(fit: float, low: float | None, what: str) -> str | None:
    """Return why nothing is said, where a surrogate of `what` does not fit."""
    if fit >= ENOUGH and low is not None and low > 0:
        return None
    return (
        f"{what} does not foretell where they lie around here (R² = {fit:.2f} on cases left out),"
        " so nothing is said."
    )


def find_pushes(
    x: np.ndarray, around: Surroundings, told: list[tuple[str, list[int], str, str]], top: int
) -> list[Push]:
    """Return the `top` largest pushes of the first case of `x` [n,d], standardised. `told`: name,
    columns of `x`, the case's value and what is usual.
    """
    from sklearn.linear_model import Ridge, RidgeCV

    y = around.xy
    whole = RidgeCV(ALPHAS).fit(x, y)
    kept: dict[bytes, np.ndarray] = {}

    def steps(i: np.ndarray) -> np.ndarray:
        """Return the steps [d,2] by a surrogate of the cases `i`."""
        key = i.tobytes()
        if key not in kept:
            fitted = Ridge(alpha=whole.alpha_).fit(x[i], y[i])
            kept[key] = x[0][:, None] * fitted.coef_.T
        return kept[key]

    every = x[0][:, None] * whole.coef_.T
    order = sorted(told, key=lambda one: -float(np.hypot(*every[one[1]].sum(0))))[:top]
    found = []
    for name, columns, value, usual in order:
        step = every[columns].sum(0)
        way = step / max(float(np.hypot(*step)), 1e-12)

        def along(i: np.ndarray, of: list[int] = columns, way: np.ndarray = way) -> float:
            return float(steps(i)[of].sum(0) @ way)

        bounds = interval(along, len(y), around.part.groups, blocks=BLOCKS)
        where = (float(step[0]), float(step[1]))
        found.append(Push(name, value, usual, where, bounds.low, bounds.high))
    return found


def _drop_alike(x: np.ndarray, names: list[str]) -> tuple[list[int], list[str]]:
    """Return which columns of `x` [n,d], standardised, are kept, and their names, with those of the
    columns they speak for.
    """
    near = np.abs(x.T @ x) / len(x) > ALIKE
    kept: list[int] = []
    stands: dict[str, list[str]] = {}
    for j, name in enumerate(names):
        other = next((k for k in kept if near[k, j] and names[k] != name), None)
        if other is None:
            kept.append(j)
            stands.setdefault(name, [])
        elif name not in stands[names[other]]:
            stands[names[other]].append(name)
    called = {name: name + (AND + ", ".join(more) if more else "") for name, more in stands.items()}
    return kept, [called[names[j]] for j in kept]


def _describe(part: Dataset) -> tuple[np.ndarray, list[str], dict[str, tuple[str, str]]]:
    """Return numbers [n,d] of what is known of each case, the column of each, and of each column
    what the first case has and what is usual, in words. Missing values are the median.
    """
    columns: list[np.ndarray] = []
    names: list[str] = []
    words: dict[str, tuple[str, str]] = {}
    for c in list_followed(part):
        if c.kind == "amount":
            there = np.isfinite(c.values)
            if not there.any() or np.ptp(c.values[there]) == 0:
                continue
            middle = float(np.median(c.values[there]))
            columns.append(np.where(there, c.values, middle))
            names.append(c.name)
            own, usual = format_distinct(float(columns[-1][0]), middle)
            words[c.name] = (own if there[0] else "missing", usual)
            continue
        code, values = c.codes()
        count = np.bincount(code[code >= 0], minlength=len(values))
        for j in range(len(values)):
            columns.append((code == j).astype(float))
            names.append(c.name)
        words[c.name] = (
            values[code[0]] if code[0] >= 0 else "missing",
            f"mostly {values[int(count.argmax())]}",
        )
    return (np.stack(columns, 1) if columns else np.zeros((len(part), 0))), names, words
