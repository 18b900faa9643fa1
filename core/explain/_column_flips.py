"""The fewest values of a table's row that have to be others for a model's answer to flip.

Values come from training cases: of a column of numbers up to 24 that lie evenly among them, of a
category every word. Columns are changed one more at a time, the best few rows kept; beside that,
rows start from the training cases nearest to the row that have the wanted answer, and get back as
many of the row's own values as the answer allows. At last each number goes to the training value
nearest to the row's own at which the answer still holds. [design] after Wachter, Mittelstadt,
Russell, Counterfactual explanations without opening the black box, 2018, and Mothilal, Sharma, Tan,
Explaining machine learning classifiers through diverse counterfactual explanations, 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.data.role_words import is_id, is_patient, tokens

if TYPE_CHECKING:
    from core.data.dataset import Dataset

VALUES = 24  # of a column of numbers
BEAM, DEEP = 6, 8  # rows kept from one column to the next; columns that change at most
WIDE = 40  # columns that are tried beyond the first, those that move the answer most
DONORS = 24
Margin = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Field:
    """A column as people know it: its place, or places of a category's words, among the inputs."""

    name: str
    at: np.ndarray
    category: bool

    def same(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Whether rows [.,d] have the same value here, bool [.]; missing equals missing."""
        x, y = a[..., self.at], b[..., self.at]
        return np.asarray(((x == y) | (np.isnan(x) & np.isnan(y))).all(-1))


def list_fields(data: Dataset) -> list[Field]:
    """Return the columns a model sees, words of one category together, in their order."""
    found: dict[str, list[int]] = {}
    for j, feature in enumerate(data.features):
        name, is_word, _ = feature.rpartition("=")
        # a word may hold the sign as well: the longest name that is a column's counts
        while is_word and name not in data.table and "=" in name:
            name = name.rpartition("=")[0]
        found.setdefault(name if is_word and name in data.table else feature, []).append(j)
    names = set(data.features)
    return [Field(str(n), np.array(at), n not in names) for n, at in found.items()]


def may_change(field: Field, data: Dataset, locked: Collection[str]) -> bool:
    """Whether a column may change: none that is locked, plays a role, or names a person or row."""
    return not (
        field.name in locked
        or field.name in data.roles.values()
        or is_patient(field.name)
        or is_id(tokens(field.name))
    )


def describe_value(field: Field, row: np.ndarray, data: Dataset) -> str:
    """Return a row's value of a column as words: a number, the word of a category, or "missing"."""
    values = row[field.at]
    if np.isnan(values).all():
        return "missing"
    if field.category:
        word = data.features[field.at[int(np.nanargmax(values))]]
        return word[len(field.name) + 1 :] if np.nanmax(values) > 0 else "none of these"
    return f"{values[0]:.6g}"


class ColumnSearch:
    """The search for one row `x` float64 [d] among training rows `known` float64 [n,d], of which
    `donors` bool [n] have the wanted answer. `margin` [b,d] -> [b] is above 0 where a row has it.
    """

    def __init__(
        self,
        x: np.ndarray,
        known: np.ndarray,
        donors: np.ndarray,
        fields: list[Field],
        margin: Margin,
    ) -> None:
        self.x, self.known, self.fields, self.margin = x, known, fields, margin
        with np.errstate(all="ignore"):
            sd = np.nanstd(known, 0)
        self.sd = np.where(np.isfinite(sd) & (sd > 0), sd, 1.0)
        self.donors = known[donors]
        self.values = [self._values_of(f) for f in fields]

    def _values_of(self, field: Field) -> np.ndarray:
        """Real values of a column, [v, places]; the row's own and missing ones left out."""
        there = self.known[:, field.at]
        there = there[~np.isnan(there).any(1)]
        values = np.unique(there, axis=0)
        if not field.category and len(values) > VALUES:
            levels = np.linspace(0, 1, VALUES)
            values = np.unique(np.quantile(there[:, 0], levels, method="nearest"))[:, None]
        return values[~(values == self.x[field.at]).all(1)]

    def shift(self, rows: np.ndarray) -> np.ndarray:
        """How far rows [b,d] are from the row: training deviations of numbers, 1 of a category and
        of a missing value, summed over columns.
        """
        total = np.zeros(len(rows))
        for f in self.fields:
            far = np.abs(rows[:, f.at] - self.x[f.at]) / self.sd[f.at]
            one = np.ones(len(rows)) if f.category else np.nan_to_num(far, nan=1.0).sum(1)
            total += np.where(f.same(rows, self.x), 0.0, one)
        return total

    def changed(self, row: np.ndarray) -> list[Field]:
        """Return the columns in which a row [d] differs."""
        return [f for f in self.fields if not f.same(row, self.x)]

    def candidates(
        self, report: Callable[[float], None] = lambda fraction: None, extra: int = 1
    ) -> list[np.ndarray]:
        """Rows [d] whose answer is the wanted one, each confirmed by the model; those with fewest
        columns changed among them, `extra` columns more than needed, and those from real cases.
        """
        found = [*self._grow(report, extra), *self._shrink(report)]
        found = [self._tighten(row) for row in found]
        return [row for row in found if self.margin(row[None])[0] > 0]

    def _grow(self, report: Callable[[float], None], extra: int) -> list[np.ndarray]:
        """From the row, one more column at a time, the best few rows kept."""
        rows, used, found, left = self.x[None], [frozenset[int]()], [], extra + 1
        tried = [j for j, values in enumerate(self.values) if len(values)]
        for depth in range(min(DEEP, len(tried))):
            report(0.7 * depth / DEEP)
            every, of = self._extend(rows, used, tried)
            gain = self.margin(every)
            yes = np.flatnonzero(gain > 0)
            if len(yes):
                order = yes[np.argsort(self.shift(every[yes]), kind="stable")]
                found += list(every[order[:BEAM]])
                left -= 1
                if not left:
                    break
            # one row for each set of columns, so that the best few are different
            best: dict[frozenset[int], int] = {}
            for i in np.argsort(-gain, kind="stable"):
                best.setdefault(of[i], int(i))
            if depth == 0:
                tried = [j for columns in list(best)[:WIDE] for j in columns]
            keep = list(best.values())[:BEAM]
            rows, used = every[keep], [of[i] for i in keep]
        return found

    def _extend(
        self, rows: np.ndarray, used: list[frozenset[int]], tried: list[int]
    ) -> tuple[np.ndarray, list[frozenset[int]]]:
        """Each row with each value of each column that is still its own, and which have changed."""
        new, of = [], []
        for row, own in zip(rows, used):
            for j in tried:
                if j in own:
                    continue
                made = np.repeat(row[None], len(self.values[j]), 0)
                made[:, self.fields[j].at] = self.values[j]
                new.append(made)
                of += [own | {j}] * len(made)
        return np.concatenate(new), of

    def _shrink(self, report: Callable[[float], None]) -> list[np.ndarray]:
        """From the nearest real cases of the wanted answer, back to the row's own values."""
        if not len(self.donors):
            return []
        free = np.concatenate([f.at for f in self.fields])
        far = np.nan_to_num(np.abs(self.donors - self.x) / self.sd, nan=1.0)[:, free].sum(1)
        found = []
        nearest = np.argsort(far, kind="stable")[:DONORS]
        for done, donor in enumerate(nearest):
            report(0.7 + 0.3 * done / len(nearest))
            row = self.x.copy()
            row[free] = np.where(np.isnan(self.donors[donor, free]), row[free], 0)
            there = free[~np.isnan(self.donors[donor, free])]
            row[there] = self.donors[donor, there]
            if self.margin(row[None])[0] <= 0:
                continue
            while len(own := self.changed(row)) > 1:
                less = np.repeat(row[None], len(own), 0)
                for i, f in enumerate(own):
                    less[i, f.at] = self.x[f.at]
                gain = self.margin(less)
                if gain.max() <= 0:
                    break
                row = less[int(gain.argmax())]
            if len(self.changed(row)) <= DEEP:
                found.append(row)
        return found

    def _tighten(self, row: np.ndarray) -> np.ndarray:
        """Each changed number at the real value nearest to the row's own that keeps the answer."""
        row = row.copy()
        for f in self.changed(row):
            own = self.x[f.at[0]]
            if f.category or np.isnan(own):
                continue
            column = self.known[:, f.at[0]]
            between = np.unique(column[np.isfinite(column)])
            low, high = sorted((own, row[f.at[0]]))
            between = between[(between >= low) & (between <= high) & (between != own)]
            if not len(between):
                continue
            between = between[np.argsort(np.abs(between - own), kind="stable")]
            tried = np.repeat(row[None], len(between), 0)
            tried[:, f.at[0]] = between
            yes = np.flatnonzero(self.margin(tried) > 0)
            if len(yes):
                row = tried[yes[0]]
        return row
