"""What each column of a table is: outcome, patient, site, time, split, input, or left out.

The values decide first, names only add to them. Every guess says why and how sure it is; one that
is not sure becomes a finding (see `core.data.checks.roles`), so that nothing guessed with doubt is
silent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

import pandas as pd

from core.data import role_words as words
from core.data.column_facts import (
    FEW,
    ColumnFacts,
    carry_same_information,
    has_few_rows_each,
    why_row_number,
)
from core.data.column_roles import (
    find_role_by_outcome,
    plain_role,
    role_without_outcome,
)
from core.data.dataset import TECHNICAL
from core.data.leaks import find_one_hot_labels
from core.data.role_guess import DATASET_ROLE, DOUBT, WORD_OF, Guess
from core.data.role_words import ROLES, normalise_name
from core.data.splits import SPLIT_NAMES, own_split
from core.errors import UserError


class Guesser:
    """Goes through the columns once, step by step; a column that has its role is left alone by
    later steps.
    """

    def __init__(self, frame: pd.DataFrame, inputs: bool) -> None:
        self.columns = {
            str(c): ColumnFacts(str(c), frame[c]) for c in frame.columns if c not in TECHNICAL
        }
        self.found: dict[str, Guess] = {}
        self.n, self.inputs = len(frame), inputs

    @property
    def open(self) -> list[ColumnFacts]:
        """Columns without a role so far."""
        return [c for name, c in self.columns.items() if name not in self.found]

    def of(self, role: str) -> ColumnFacts | None:
        """Return the column that has a role; None where no column has it."""
        return next((self.columns[g.column] for g in self.found.values() if g.role == role), None)

    def set(
        self, column: ColumnFacts, role: str, sure: float, why: str, asked: bool = False
    ) -> None:
        """Give a column a role, how sure that is (0 to 1) and why."""
        self.found[column.name] = Guess(column.name, role, round(min(sure, 0.99), 2), why, asked)

    def splits(self) -> None:
        """Find the data's own parts, whatever their column is called."""
        fits = [(c, own_split(c.values, c.name)) for c in self.open if c.few(6) and c.filled]
        named = [(c, p) for c, p in fits if p is not None]
        named.sort(key=lambda item: normalise_name(item[0].name) not in SPLIT_NAMES)
        for column, parts in named:
            if self.of("split") is not None:
                self.set(
                    column,
                    "left out",
                    0.7,
                    "names parts of the data as well; another column is the split",
                )
                continue
            flag = words.is_flag(column.name)
            said = ", ".join(map(str, parts.unique()))
            self.set(
                column,
                "split",
                0.7 if flag else 0.95,
                f"its words are the parts of the data ({said})",
            )
        for column in self.open:
            name = set(column.tokens)
            numbered = normalise_name(column.name) == "cv" and column.whole and column.few(FEW)
            if (
                normalise_name(column.name) in ("split", "fold_name")
                or name & {"fold", "folds", "kfold"}
                or numbered
            ):
                some = (
                    own_split(column.there.reset_index(drop=True), column.name)
                    if column.filled
                    else None
                )
                why = "numbers folds; rows are split again"
                if some is not None:
                    why = (
                        f"names parts, but not in {self.n - column.filled:,} rows; rows are"
                        " split again"
                    )
                elif not name & {"fold", "folds", "kfold"} and not numbered:
                    why = "named like a split, but its values are no parts; rows are split again"
                self.set(column, "left out", 0.7, why)
            elif words.is_case_weight(column.tokens):
                self.set(column, "left out", 0.7, "named like the weight a case has in a sample")

    def plain(self) -> None:
        """Columns that hold nothing, one value, dates or row numbers."""
        for column in self.open:
            if not column.filled:
                self.set(column, "left out", 0.99, "holds no value")
            elif column.few(1):
                if not words.is_patient(column.name) and not words.is_exact(column.name):
                    self.set(column, "left out", 0.99, "holds one value only")
            elif column.dates:
                self.set(column, "time", 0.9, "holds dates, which are no numbers to learn from")
            elif column.moments and (
                words.is_moment(column.tokens) or words.is_date(column.tokens)
            ):
                self.set(
                    column, "time", 0.85, f"{column.moments}: a moment is no number to learn from"
                )
            elif column.moments and not (
                words.is_id(column.tokens) or words.is_code(column.tokens)
            ):
                self.set(
                    column,
                    "input",
                    0.6,
                    f"{column.moments}: if it is a moment, it is nothing to learn from",
                )
            elif column.odd_form:
                self.set(column, "left out", 0.6, column.odd_form)
            else:
                self._row_numbers(column)

    def _row_numbers(self, column: ColumnFacts) -> None:
        named = max(words.row_number_score(column.name), 0.95 * (column.name in self._unnamed))
        why = why_row_number(column, named)
        if why is not None:
            self.set(column, "left out", named or 0.7, why)

    @cached_property
    def _unnamed(self) -> list[str]:
        """Columns without a name where others have one."""
        some = [name for name in self.columns if re.fullmatch(r"column \d+( \(no name\))?", name)]
        return some if len(some) < len(self.columns) else []

    def outcome(self) -> None:
        """Find the column that most looks like what is to be known: by name, values and place."""
        scored = [(self._score(c), c) for c in self.open]
        least = 0.55 if self.inputs else 0.8
        fits = [(s, i, c) for i, (s, c) in enumerate(scored) if s >= least]
        if not fits:
            return
        best = max(fits, key=lambda f: (f[0], -words.exact_name_rank(f[2].name), f[1]))
        near = [
            c
            for s, _, c in fits
            if c is not best[2] and best[0] - s <= 0.05 and not carry_same_information(c, best[2])
        ]
        if near and best[0] < DOUBT:
            for column in [best[2], *near]:
                self.set(column, "input", 0.6, "may be the outcome, as others may; none was chosen")
            return
        why = _why_outcome(best[2], best[2] is self._last)
        sure = best[0]
        if near and not words.is_exact(best[2].name):
            sure, why = min(sure, 0.6), f"{why}; “{near[0].name}” could be it as well"
        self.set(best[2], "outcome", sure, why)

    @cached_property
    def _last(self) -> ColumnFacts | None:
        """The last column that is not yet spoken for at the start."""
        names = [n for n, g in self.columns.items() if n not in self.found]
        return self.columns[names[-1]] if names else None

    def _score(self, column: ColumnFacts) -> float:
        exact, name = words.is_exact(column.name), words.outcome_name_score(column.tokens)
        most = max(50, self.n // 10) if exact or name >= 0.8 else 10
        if words.is_patient(column.name) or words.is_site(column.name) >= 0.9:
            return 0.0
        if not column.few(most) or not (column.discrete or exact):
            return 0.0
        if column.different < 2:
            return 0.8 * exact * bool(column.different)
        two = column.different == 2
        if not self.inputs:
            if exact:
                return 0.95
            if column.few(10) or name >= 0.8:
                return name
            return 0.0
        told = words.outcome_values_score([str(v) for v in column.coded[1]])
        ends = column is self._last or column is next(iter(self.columns.values()))
        if words.is_only_disease(column.tokens) and not ends:
            name = 0.3
        if not exact and words.are_arms([str(v) for v in column.coded[1]]):
            return 0.0
        score = (
            (0.95 if exact else max(name, 0.3))
            + 0.1 * two
            + told
            + 0.05 * (name >= 0.5 and not column.numbers)
        )
        if column is self._last and len(self.columns) > 1:
            only = not column.numbers and all(c is column or c.numbers for c in self.open)
            score += 0.3 if only else 0.2
        if name < 0.5 and not exact:
            score -= 0.4 * words.is_input(column.tokens)
            alike = (
                sum(c is not column and c.numbers and c.few(2) for c in self.columns.values())
                if column.numbers
                else 0
            )
            score -= 0.2 * (alike >= 2)
            score -= 0.3 * (self.n < 20)
        return min(score, 0.97)

    @staticmethod
    def _may_be_outcome(column: ColumnFacts) -> bool:
        """Whether a column could be one by its values, and is not known beforehand by its name."""
        few = column.discrete and column.few(10) and column.different > 1
        return few and not words.is_input(column.tokens)

    def patients(self) -> None:
        """Many values with few rows each; fewer only where the name leaves no doubt."""
        if self.of("patient") is not None:
            strong: list[ColumnFacts] = []
        else:
            strong = [c for c in self.open if words.is_patient(c.name) and c.discrete]
        for column in strong:
            named = self.of("patient")
            if named is not None:
                self.set(column, "left out", 0.8, f"names patients as “{named.name}” does")
                continue
            same = self._same(column)
            if column.different <= 2 or same:
                why = f"equal to the {same}" if same else f"only {column.different} different"
                self.set(
                    column, "patient", 0.5, f"named so, but {why}: look whether these are patients"
                )
            else:
                per = column.filled / column.different
                self.set(
                    column,
                    "patient",
                    0.95,
                    f"named so; {column.different:,} values, {_rows_each(per)}",
                )
        for column in self.open:
            if words.is_group(column.name) and column.discrete:
                self._weak(column)
        if self.of("patient") is None and self.inputs:
            self._by_values()
        if self.of("patient") is None and self.inputs:
            self._by_ids()

    def _weak(self, column: ColumnFacts) -> None:
        """Find a column called group, case, id or the like: patients only where there are many,
        with few rows each.
        """
        same = self._same(column)
        if self.of("patient") is not None or self.n - column.filled > self.n / 2:
            return
        if not self.inputs and (same or not has_few_rows_each(column)):
            return
        if has_few_rows_each(column) and not same:
            per = column.filled / column.different
            why = (
                f"{column.different:,} values with {_rows_each(per)}, named like a group that"
                " belongs together"
            )
            self.set(
                column,
                "patient",
                0.8 if "id" not in column.tokens or len(column.tokens) > 1 else 0.7,
                why,
            )
        elif column.different == column.filled and column.different > 2:
            self.set(column, "left out", 0.9, "a different value in every row: it names the rows")
        elif same:
            self.set(column, "left out", 0.7, f"says the same as the {same}: these are no patients")
        elif self.inputs:
            said = (
                f"{column.different} values with many rows each are no patients: taken as an input"
            )
            self.set(column, "input", 0.7, f"named like a group, but {said}")

    def _same(self, column: ColumnFacts) -> str:
        """“classes” or “parts” when the column says the same as those, else ""."""
        for role, called in (("outcome", "classes"), ("split", "parts")):
            other = self.of(role)
            if other is not None and other is not column and carry_same_information(column, other):
                return called
        return ""

    def _by_values(self) -> None:
        """Words that count up behind one beginning (P001, sub-12), repeated a few times each."""
        for column in self.open:
            if column.numbers or not has_few_rows_each(column) or words.is_place(column.tokens):
                continue
            if words.is_site(column.name):
                continue
            found = [re.fullmatch(r"([^\W\d]*[-_ .]?)(\d+)", str(v)) for v in column.coded[1]]
            if all(found) and len({f[1] for f in found if f}) == 1:
                per = column.filled / column.different
                why = (
                    f"{column.different:,} numbered words with {per:.3g} rows each look like ids of"
                    " patients"
                )
                self.set(column, "patient", 0.6, why)
                return

    def _by_ids(self) -> None:
        """Find an id of whatever kind (StudyID, hadm_id) with a few rows each: these rows belong
        together.
        """
        ids = [
            c
            for c in self.open
            if words.is_id(c.tokens) and c.discrete and not c.few(FEW) and has_few_rows_each(c)
        ]
        ids = [c for c in ids if words.is_site(c.name) < 0.8 and not words.is_place(c.tokens)]
        for column in sorted(ids, key=lambda c: c.different)[:1]:
            per = column.filled / column.different
            why = (
                f"an id by its name; {column.different:,} values with {per:.3g} rows each: rows of"
                " one id stay together"
            )
            self.set(column, "patient", 0.6, why)

    def sites(self) -> None:
        """Few values with many rows each, named like a place or a machine."""
        fits = []
        for column in self.open:
            sure = words.is_site(column.name)
            most = min(50, max(2, self.n // 2))
            if (
                sure
                and (self.inputs or sure >= 0.9)
                and column.discrete
                and column.few(most)
                and column.different > 1
            ):
                fits.append((sure, column))
        for sure, column in sorted(fits, key=lambda f: -f[0]):
            if self.of("site") is None:
                per = column.filled / column.different
                self.set(
                    column,
                    "site",
                    sure,
                    f"named so; {column.different} values with {per:.3g} rows each",
                )

    def twins(self) -> None:
        """Columns that say the outcome again, and further outcomes: as inputs they would give the
        answer away.
        """
        label = self.of("outcome")
        if label is not None:
            why = f"with “{label.name}”, just one of them is 1 in each row"
            what = f"{why}: classes over several columns, write them as one"
            for column in find_one_hot_labels(self.open, label):
                self.set(column, "left out", 0.6, what)
        for column in self.open:
            if label is None:
                role = role_without_outcome(column, self.n)
            else:
                role = find_role_by_outcome(column, label, self.n)
            if role is not None:
                self.set(column, *role)

    def rest(self) -> None:
        """Find inputs, and what cannot be one."""
        last = self._last
        if (
            self.of("outcome") is None
            and self.n >= 20
            and last in self.open
            and self._may_be_outcome(last)
        ):
            what = (
                f"{last.different} different values in the last column: it may be the outcome; none"
                " was chosen"
            )
            self.set(last, "input", 0.6, what)
        for column in self.open:
            self.set(column, *plain_role(column, self.n))
        if any(g.role == "input" for g in self.found.values()):
            return
        for guess in list(self.found.values()):  # better a row number than nothing to learn from
            if guess.role == "left out" and not guess.asked and "s the rows" in guess.why:
                self.set(
                    self.columns[guess.column],
                    "input",
                    0.5,
                    f"{guess.why}, but there is nothing else to learn from",
                )


def guess_roles(
    frame: pd.DataFrame,
    given: Mapping[str, str] | None = None,
    asked: Mapping[str, str] | None = None,
    label: str = "auto",
    inputs: bool = True,
) -> list[Guess]:
    """Return a guess for each column of `frame`, in order.

    given: roles of the Dataset (label, group, domain, split, file ...) the files themselves decide,
    and their columns. asked: columns and the role (of `ROLES`) a person gave them. label: "none" or
    "folder" when no column is the outcome. inputs: whether columns are what is learned from
    (tables); else only columns whose name leaves no doubt get a role. Raises UserError for an
    unknown column or role, for one role given to two columns, and for a split column that names no
    parts.
    """
    guesser = Guesser(frame, inputs)
    for role, name in (given or {}).items():
        if name in guesser.columns:
            shown = WORD_OF.get(role, role)
            guesser.found[name] = Guess(name, shown, 0.99, "the files say so")
    for name, role in check_asked(frame, asked or {}).items():
        guesser.found.pop(
            next((g.column for g in guesser.found.values() if g.role == role), ""), None
        )
        guesser.set(guesser.columns[name], role, 0.99, "you said so", asked=True)
    if guesser.of("split") is None:
        guesser.splits()
    if inputs:
        guesser.plain()
    if label not in ("none", "folder") and guesser.of("outcome") is None:
        guesser.outcome()
    guesser.patients()
    if guesser.of("site") is None:
        guesser.sites()
    if inputs:
        guesser.twins()
        guesser.rest()
    return [guesser.found[name] for name in guesser.columns if name in guesser.found]


def check_asked(frame: pd.DataFrame, asked: Mapping[str, str]) -> dict[str, str]:
    """Return the roles a person gave, looked over: see `guess_roles` for what is refused."""
    known = [str(c) for c in frame.columns]
    taken: dict[str, str] = {}
    for name, role in asked.items():
        if name not in known:
            some = ", ".join(known[:12]) + (" …" if len(known) > 12 else "")
            raise UserError(f"There is no column “{name}” (there are: {some}).")
        if role not in ROLES:
            raise UserError(f"“{role}” is no role of a column (roles are: {', '.join(ROLES)}).")
        if role in DATASET_ROLE and role in taken:
            raise UserError(f"“{taken[role]}” and “{name}” cannot both be the {role}; choose one.")
        if role == "split" and own_split(frame[name], "split") is None:
            odd = next(
                (
                    str(v)
                    for v in frame[name].unique()
                    if own_split(pd.Series([v]), "split") is None
                ),
                "",
            )
            raise UserError(
                f"Column “{name}” cannot be the split: it holds “{odd}” where train, val or test is"
                " needed."
            )
        taken[role] = name
    return dict(asked)


def _why_outcome(column: ColumnFacts, last: bool) -> str:
    said = [f"{column.different} different values"]
    if words.is_exact(column.name) or words.outcome_name_score(column.tokens) >= 0.5:
        said.insert(0, "named so")
    if last:
        said.append("the last column")
    return ", ".join(said)


def _rows_each(per: float) -> str:
    """“one row each”, “1.5 rows each”."""
    return "one row each" if per == 1 else f"{per:.3g} rows each"
