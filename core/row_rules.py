"""Cases by a rule written in words, as `age > 60 and sex = F`: a small language of its own, read
letter by letter; nothing of it is ever run as code.

    rule   := part ("or" part)*          part := one ("and" one)*
    one    := "not" one | "(" rule ")" | COLUMN test
    test   := ("=" | "==" | "!=" | "<" | "<=" | ">" | ">=") VALUE
            | ["not"] "in" "(" VALUE ("," VALUE)* ")" | "between" VALUE "and" VALUE | "is missing"

Names of columns and values stand as they are, or in quotes (' or "); of names that begin alike the
longest counts. Numbers are compared with columns of amounts, words with categories.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from core.columns import Column
from core.data.dataset import Dataset
from core.errors import UserError

LETTERS = 2_000  # of a rule
DEEP = 50  # brackets within brackets
_SIGN = re.compile(r"<=|>=|!=|==|=|<|>")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(?![\w.])")
_ENDS = re.compile(r"\s*(?:$|[(),]|(?:and|or)(?!\w))", re.I)  # what ends a word without quotes


def find_by_rule(columns: Mapping[str, Column], rule: str) -> np.ndarray:
    """Bool [n]: which cases a rule holds for; `columns` by name, aligned to the same n cases. A
    case whose value is missing holds for no comparison but `is missing`. UserError, one sentence,
    where the rule cannot be read.
    """
    if len(rule) > LETTERS:
        raise UserError(f"The rule has {len(rule):,} letters; at most {LETTERS:,} are read.")
    if not rule.strip():
        raise UserError("The rule is empty; write one as: age > 60 and sex = F.")
    reader = _Reader(columns, rule)
    found = reader.either()
    reader.expect_end()
    return found


def find_rows(data: Dataset, given: Iterable[object]) -> np.ndarray:
    """int64 row ids of cases named by their numbers, their file names or as "row 12", each once, in
    the order given. UserError naming the first that is not there, or that names several cases.
    """
    names: dict[str, list[int]] | None = None
    rows = set(data.rows.tolist())
    found: dict[int, None] = {}
    for one in given:
        words = str(one).strip()
        number = words.removeprefix("row ").strip()
        if number.isascii() and number.isdigit() and int(number) in rows:
            found[int(number)] = None
            continue
        if names is None:
            names = {}
            for name, row in zip(data.names(), data.rows.tolist()):
                names.setdefault(str(name), []).append(row)
        named = names.get(words, [])
        if len(named) != 1:
            how = f"{len(named)} cases are called" if named else "there is no case"
            raise UserError(
                f"In “{data.name}” {how} “{words[:60]}”; name cases by their numbers (0 to"
                f" {len(data.table) - 1}; excluded ones are not offered) or their file names."
            )
        found[named[0]] = None
    return np.array(list(found), dtype=np.int64)


class _Reader:
    """Reads one rule from left to right; `at` is the next letter."""

    def __init__(self, columns: Mapping[str, Column], rule: str) -> None:
        self.columns, self.rule, self.at, self.deep = columns, rule, 0, 0
        self.longest_first = sorted(columns, key=len, reverse=True)

    def either(self) -> np.ndarray:
        found = self.both()
        while self.word("or"):
            found = found | self.both()
        return found

    def both(self) -> np.ndarray:
        found = self.one()
        while self.word("and"):
            found = found & self.one()
        return found

    def one(self) -> np.ndarray:
        self.deep += 1
        if self.deep > DEEP:
            raise UserError(f"The rule has more than {DEEP} brackets or “not” within each other.")
        column = None if self.starts("(") else self.column()
        if column is not None:
            found = self.test(column)
        elif self.word("not"):
            found = ~self.one()
        elif self.sign("("):
            found = self.either()
            if not self.sign(")"):
                raise self.wrong("a closing bracket is missing")
        else:
            some = ", ".join(list(self.columns)[:12])
            raise self.wrong(f"no column of that name is here (there are: {some})")
        self.deep -= 1
        return found

    def test(self, column: Column) -> np.ndarray:
        missing = ~np.isfinite(column.values) if column.kind == "amount" else column.codes()[0] < 0
        if self.word("is"):
            negated = self.word("not")
            if not self.word("missing"):
                raise self.wrong("“is” goes with “missing” only")
            return ~missing if negated else missing
        negated = self.word("not")
        if self.word("in"):
            held = self.among(column) & ~missing
            return ~held & ~missing if negated else held
        if negated:
            raise self.wrong("“not” goes before a comparison, or before “in”")
        if self.word("between"):
            low = self.amount(column)
            if not self.word("and"):
                raise self.wrong("“between” takes two numbers: between 40 and 60")
            return self.compare(column, ">=", low) & self.compare(column, "<=", self.amount(column))
        self.space()
        sign = _SIGN.match(self.rule, self.at)
        if sign is None:
            raise self.wrong(f"“{column.name}” is compared by =, !=, <, <=, >, >= or in")
        self.at = sign.end()
        if column.kind == "amount":
            return self.compare(column, sign[0], self.amount(column))
        if sign[0] not in ("=", "==", "!="):
            raise self.wrong(f"“{column.name}” holds words, which go with =, != and in")
        same = column.codes()[0] == self.value(column)
        return ~same & ~missing if sign[0] == "!=" else same & ~missing

    def among(self, column: Column) -> np.ndarray:
        if not self.sign("("):
            raise self.wrong("“in” takes values in brackets: in (A, B)")
        held = np.zeros(len(column.values), bool)
        while True:
            if column.kind == "amount":
                held |= self.compare(column, "=", self.amount(column))
            else:
                held |= column.codes()[0] == self.value(column)
            if self.sign(")"):
                return held
            if not self.sign(","):
                raise self.wrong("a comma or a closing bracket is missing")

    @staticmethod
    def compare(column: Column, sign: str, value: float) -> np.ndarray:
        have = column.values
        compared = {
            "<": lambda: have < value,
            "<=": lambda: have <= value,
            ">": lambda: have > value,
            ">=": lambda: have >= value,
            "!=": lambda: have != value,
        }.get(sign, lambda: have == value)()
        return np.asarray(compared, bool) & np.isfinite(have)

    # -- pieces ------------------------------------------------------------------------------------
    def column(self) -> Column | None:
        """Return the column that stands here; None, with nothing read, where there is none."""
        self.space()
        if quoted := _QUOTED.match(self.rule, self.at):
            name = quoted[1] if quoted[1] is not None else quoted[2]
            if name not in self.columns:
                return None
            self.at = quoted.end()
            return self.columns[name]
        for fold in (str, str.lower):
            rest = fold(self.rule[self.at :])
            for name in self.longest_first:
                after = rest[len(name) :]
                if name and rest.startswith(fold(name)) and not re.match(r"\w", after):
                    self.at += len(name)
                    return self.columns[name]
        return None

    def amount(self, column: Column) -> float:
        self.space()
        if column.kind != "amount":
            raise self.wrong(f"“{column.name}” holds words, not numbers")
        number = _NUMBER.match(self.rule, self.at)
        if number is None:
            raise self.wrong(f"“{column.name}” is compared with a number")
        self.at = number.end()
        return float(number[0])

    def value(self, column: Column) -> int:
        """Return the code of a value of a category: quoted, else the longest that is there, else
        up to what ends it. UserError where no case has it.
        """
        self.space()
        words = column.codes()[1]
        if quoted := _QUOTED.match(self.rule, self.at):
            self.at = quoted.end()
            found = quoted[1] if quoted[1] is not None else quoted[2]
        else:
            rest = self.rule[self.at :]
            known = [w for w in words if w and rest.startswith(w) and _ENDS.match(rest[len(w) :])]
            found = max(known, key=len) if known else re.split(r"[(),]|\s(?:and|or)\s", rest)[0]
            self.at += len(found)
            found = found.strip()
        if found not in words:
            some = ", ".join(words[:12])
            raise UserError(f"No case has “{found[:60]}” in column “{column.name}” ({some}).")
        return words.index(found)

    def space(self) -> None:
        while self.at < len(self.rule) and self.rule[self.at].isspace():
            self.at += 1

    def starts(self, sign: str) -> bool:
        self.space()
        return self.rule.startswith(sign, self.at)

    def sign(self, sign: str) -> bool:
        found = self.starts(sign)
        self.at += len(sign) if found else 0
        return found

    def word(self, word: str) -> bool:
        self.space()
        found = re.compile(rf"{word}(?!\w)", re.I).match(self.rule, self.at)
        self.at = found.end() if found else self.at
        return bool(found)

    def expect_end(self) -> None:
        self.space()
        if self.at < len(self.rule):
            raise self.wrong("“and”, “or” or the end of the rule was expected")

    def wrong(self, what: str) -> UserError:
        here = self.rule[self.at : self.at + 30].strip()
        where = f"at “{here}”" if here else "at its end"
        return UserError(f"The rule cannot be read {where}: {what}.")
