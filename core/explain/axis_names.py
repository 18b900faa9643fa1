"""What each axis of a latent space follows most: a column of the data, or what is measured on its
pictures.

Which column an axis follows is chosen on training cases, how closely on held-out ones. Numbers:
Spearman's rho. Categories: of two, the AUROC of the axis for the second; of more, eta squared of
the axis' ranks. The interval is over patients. p-values count a patient once, however many cases
they have; q-values are Benjamini and Hochberg's over all axes times columns. An axis gets a name
where q < 0.05 and what is followed explains at least a tenth of the ranks (rho of 0.32), so that a
trace in many cases is no name; that bound is ours. An axis follows what goes with a column as well:
a name is what it follows, not what it means.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.columns import Column, table_columns
from core.sampling import evenly_spaced
from core.stats.auroc import auroc_of_ranks
from core.stats.bootstrap import interval, units

if TYPE_CHECKING:
    from core.artifacts import Embedding
    from core.data.dataset import Dataset

MOST = 2_000  # training cases, and held-out cases, that are looked at
AXES = 256  # axes that are looked at
FEWEST = 20  # held-out cases below which nothing is said
LEVEL, LEAST = 0.05, 0.1  # of q; of the share of the ranks explained
MOST_VALUES = 12  # different values a category may have to be followed
NOT_FOLLOWED = ("group", "file", "split", "text")  # roles of columns that name or part cases


@dataclass(frozen=True)
class AxisName:
    """What axis `axis` (from 0) follows: `statistic` ("ρ", "AUROC" or "η²") is `value`, with its
    95 % interval `low` to `high` (None: none), on `n` held-out cases. `of`: the category an AUROC
    speaks of.
    """

    axis: int
    column: str
    statistic: str
    value: float
    low: float | None
    high: float | None
    n: int
    q: float
    of: str = ""

    @property
    def words(self) -> str:
        """What it follows, as “ventricle size, ρ = 0.81 [0.76, 0.85], n = 360”."""
        name = f"{self.column} = {self.of}" if self.of else self.column
        bounds = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{name}, {self.statistic} = {self.value:.2f}{bounds}, n = {self.n:,}"


def kept_names(embedding: Embedding, data: Dataset) -> list[AxisName | None]:
    """Return what `name_axes` gave when the run was trained; of a run from before that was kept, or
    whose model does not decode, asked now.
    """
    if embedding.follows is None:
        return name_axes(embedding, data)
    return [None if one is None else AxisName(**one) for one in embedding.follows]


def name_axes(embedding: Embedding, data: Dataset) -> list[AxisName | None]:
    """Return what each axis of `embedding` follows, None where it follows nothing that is known;
    the first 256 axes are looked at. Cost: one sort an axis and column of at most 4,000 cases, and
    for each name about 100 times its figure.
    """
    from scipy.stats import false_discovery_control

    d = embedding.z.shape[1]
    found: list[AxisName | None] = [None] * d
    whole = data.of(np.asarray(embedding.rows)[np.isin(embedding.rows, data.rows)])
    train, held = (_some(whole, part) for part in (True, False))
    if len(held) < FEWEST or len(train) < FEWEST or embedding.place is not None:
        return found
    followed = [list_followed(part) for part in (train, held)]
    names = [c.name for c in followed[0] if any(c.name == o.name for o in followed[1])]
    first, later = ({c.name: c for c in some} for some in followed)
    z = [np.asarray(embedding.z)[embedding.at(part.rows)] for part in (train, held)]
    axes = [j for j in range(min(d, AXES)) if np.ptp(z[0][:, j]) > 0 and np.ptp(z[1][:, j]) > 0]
    if not names or not axes:
        return found
    strength = np.array([[_explained(z[0][:, j], first[c])[0] for c in names] for j in axes])
    per = len(np.unique(units(len(held), held.groups))) / len(held)
    p = np.array([[_chance(z[1][:, j], later[c], per) for c in names] for j in axes])
    q = np.asarray(false_discovery_control(p, axis=None)).reshape(p.shape)
    for i, j in enumerate(axes):
        best = int(strength[i].argmax())
        column, x = later[names[best]], z[1][:, j]
        share, sign = _explained(x, column)
        same = sign * _explained(z[0][:, j], first[names[best]])[1] >= 0
        if q[i, best] < LEVEL and min(share, strength[i, best]) >= LEAST and same:
            found[j] = _measure(j, x, column, held.groups, float(q[i, best]))
    return found


def _some(data: Dataset, training: bool) -> Dataset:
    at = np.flatnonzero((data.splits == "train") == training)
    return data.take(at[evenly_spaced(len(at), MOST)])


def list_followed(data: Dataset) -> list[Column]:
    """Return what an axis may follow: columns that neither name nor part cases, and of pictures
    what is measured on them.
    """
    skipped = {data.roles.get(role) for role in NOT_FOLLOWED}
    found = [
        c
        for c in table_columns(data)
        if c.name not in skipped
        and (c.kind == "amount" or 2 <= len(set(c.values) - {None}) <= MOST_VALUES)
    ]
    return found + (measure_pictures(data) if data.modality in ("image", "volume") else [])


def measure_pictures(data: Dataset) -> list[Column]:
    """Return what is measured on each picture or volume, as the model is given it: brightness
    (mean), contrast (sd), the share that is brighter than halfway between its darkest and its
    brightest twentieth, and where its brightness lies from top to bottom and from left to right
    (0 to 1).
    """
    parts = [
        _measure_batch(data.inputs(np.arange(i, min(i + 256, len(data)))).mean(1))
        for i in range(0, len(data), 256)
    ]
    names = (
        "brightness of the picture",
        "contrast of the picture",
        "size of the bright area",
        "height of the bright area (0 = top)",
        "side of the bright area (0 = left)",
    )
    values = np.concatenate([np.zeros((0, len(names))), *parts])
    return [Column(n, values[:, k], "amount", "data") for k, n in enumerate(names)]


def _measure_batch(x: np.ndarray) -> np.ndarray:
    """Return what `measure_pictures` measures, float64 [n,5]: of pictures [n,h,w], or volumes."""
    flat = x.reshape(len(x), -1)
    low, high = np.quantile(flat, [0.05, 0.95], axis=1)
    total = np.maximum(flat.sum(1), 1e-9)
    # the brightness of each line across the picture, times its place, 0 to 1
    down, across = (
        x.sum(tuple(a for a in range(1, x.ndim) if a != axis)) @ np.linspace(0, 1, x.shape[axis])
        for axis in (x.ndim - 2, x.ndim - 1)
    )
    bright = (flat > ((low + high) / 2)[:, None]).mean(1)
    return np.stack([flat.mean(1), flat.std(1), bright, down / total, across / total], 1)


def _known(x: np.ndarray, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Values of the axis and of the column (codes of a category) where the column has one."""
    if column.kind == "amount":
        there = np.isfinite(column.values)
        return x[there], column.values[there]
    code, _ = column.codes()
    return x[code >= 0], code[code >= 0]


def _explained(x: np.ndarray, column: Column) -> tuple[float, float]:
    """Return the share of the ranks of the axis that a column explains, 0..1, and the sign of the
    relation (0 for several categories).
    """
    from scipy.stats import rankdata

    x, y = _known(x, column)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0, 0.0
    if column.kind == "amount" or len(np.unique(y)) == 2:
        rho = float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
        return rho * rho, float(np.sign(rho))
    return _eta(rankdata(x), y), 0.0


def _eta(rank: np.ndarray, code: np.ndarray) -> float:
    """Return eta squared, the share of the variance of ranks that lies between categories."""
    n = np.bincount(code)
    mean = np.bincount(code, rank) / np.maximum(n, 1)
    between = float((n * (mean - rank.mean()) ** 2).sum())
    return between / max(float(((rank - rank.mean()) ** 2).sum()), 1e-12)


def _chance(x: np.ndarray, column: Column, per: float) -> float:
    """Return the p-value of no relation; `per`: patients a case, at most 1."""
    from scipy.stats import chi2
    from scipy.stats import t as student

    share, _ = _explained(x, column)
    known = _known(x, column)[1]
    n = len(known) * per
    if share <= 0 or n < 4:
        return 1.0
    if column.kind == "category" and (k := len(np.unique(known))) > 2:
        return float(chi2.sf(share * (n - 1), k - 1))
    return float(2 * student.sf(np.sqrt(share * (n - 2) / max(1 - share, 1e-12)), n - 2))


def _ranker(x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives the ranks of `x[i]` among themselves, ties sharing their mean rank, for
    positions `i` that differ: sorted once, since an interval asks for a hundred of them.
    """
    _, level = np.unique(x, return_inverse=True)
    many = int(level.max(initial=-1)) + 1

    def rank(i: np.ndarray) -> np.ndarray:
        there = np.bincount(level[i], minlength=many)
        return np.asarray((np.cumsum(there) - (there - 1) / 2)[level[i]])

    return rank


def _measure(
    axis: int, x: np.ndarray, column: Column, groups: np.ndarray | None, q: float
) -> AxisName:
    """Return the figure of one axis with its interval."""
    there = np.isfinite(column.values) if column.kind == "amount" else column.codes()[0] >= 0
    x, y = _known(x, column)
    group = None if groups is None else groups[there]
    kind, of, classes = "ρ", "", None
    within: tuple[float, float] = (-1.0, 1.0)
    rank, other = _ranker(x), _ranker(y)

    def value(i: np.ndarray) -> float:
        a, b = rank(i), other(i)
        return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else float("nan")

    if column.kind == "category":
        kinds, within = np.unique(y), (0.0, 1.0)
        if len(kinds) == 2:
            kind, classes = "AUROC", y
            high = kinds[int(auroc_of_ranks(y == kinds[1], rank(np.arange(len(x)))) >= 0.5)]
            of = column.codes()[1][high]

            def value(i: np.ndarray) -> float:
                yes = y[i] == high
                mixed = yes.any() and not yes.all()
                return auroc_of_ranks(yes, rank(i)) if mixed else float("nan")
        else:
            kind = "η²"

            def value(i: np.ndarray) -> float:
                return _eta(rank(i), y[i])

    bounds = interval(value, len(x), group, within, classes, flatters=kind == "η²")
    return AxisName(
        axis,
        column.name,
        kind,
        float(value(np.arange(len(x)))),
        bounds.low,
        bounds.high,
        len(x),
        q,
        of,
    )
