"""What one column of a table is once the outcome is known: a twin of it, an input, or left out."""

from __future__ import annotations

from collections.abc import Callable

from core.data import role_words as words
from core.data.column_facts import FEW, ColumnFacts, carry_same_information, determines
from core.data.leaks import is_blank_by_class, separates_classes
from core.data.role_word_lists import ALSO_INPUTS, ONLY_OUTCOMES
from core.data.role_words import normalise_name

MEASURED = "named like an outcome, but it holds many different values: a measurement is no class"
EVIDENT = 0.5  # how much a name must say "outcome" for the column to be left out by its name

Role = tuple[str, float, str]  # the role, how sure (0 to 1), and why in half a sentence


def role_without_outcome(column: ColumnFacts, rows: int) -> Role | None:
    """Leaves out a measurement named like an outcome, in a table that has no outcome."""
    if is_only_outcome(column) and not column.few(max(50, rows // 10)):
        return "left out", 0.6, MEASURED
    return None


def find_role_by_outcome(column: ColumnFacts, label: ColumnFacts, rows: int) -> Role | None:
    """Return the role of a column that says the outcome `label` again or gives it away; None if it
    does neither.
    """
    for rule in _RULES:
        role = rule(column, label, rows)
        if role is not None:
            return role
    return None


def plain_role(column: ColumnFacts, rows: int) -> Role:
    """Return the role of a column that is nothing in particular: an input, or left out."""
    if column.few(1):
        return "left out", 0.99, "holds one value only"
    if column.numbers:
        return _role_of_numbers(column, rows)
    if column.few(FEW):
        return "input", 0.9, f"{column.different} categories"
    if column.different == column.filled:
        return "left out", 0.9, "a name or text in every row"
    return "left out", 0.9, f"names or free text ({column.different:,} different)"


def is_only_outcome(column: ColumnFacts) -> bool:
    """Whether a column so named is never an input."""
    return normalise_name(column.name) in ONLY_OUTCOMES


def _role_of_numbers(column: ColumnFacts, rows: int) -> Role:
    many = not column.few(FEW)
    if many and column.whole and words.is_id(column.tokens):
        return "left out", 0.85, "an id by its name, with many different values"
    short_id = many and column.whole and words.is_short_id(column.tokens)
    if short_id and column.different == rows and rows >= 20:
        return "left out", 0.7, "an id by its name, with a different value in every row"
    if many and words.is_code(column.tokens):
        return "left out", 0.7, "a code by its name: it is no amount"
    return "input", 0.95, "numbers"


def _is_named_outcome(column: ColumnFacts) -> bool:
    return words.is_exact(column.name) or words.outcome_name_score(column.tokens) >= EVIDENT


def _names_overlap(one: ColumnFacts, other: ColumnFacts) -> bool:
    a, b = normalise_name(one.name), normalise_name(other.name)
    return a in b or b in a


def _says_the_same(column: ColumnFacts, label: ColumnFacts, rows: int) -> Role | None:
    if not carry_same_information(column, label):
        return None
    why = f"says the same as the outcome “{label.name}”, row by row"
    if words.is_input(column.tokens):  # sex or treatment: what is known beforehand stays
        return "input", 0.5, why
    sure = 0.9 if _is_named_outcome(column) or _names_overlap(column, label) else 0.7
    return "left out", sure, why


def _decides_outcome(column: ColumnFacts, label: ColumnFacts, rows: int) -> Role | None:
    if determines(column, label):
        what = f"each of its {column.different} values has one outcome only"
    elif determines(label, column):
        what = f"each class of “{label.name}” has one of its values only"
    else:
        return None
    role = "left out" if _is_named_outcome(column) else "input"
    return role, 0.6, f"{what}: it may give the answer away"


def _is_prediction(column: ColumnFacts, label: ColumnFacts, rows: int) -> Role | None:
    if not words.is_prediction(column.tokens):
        return None
    return "left out", 0.6, "named like what a model predicts: it may hold the answer"


def _is_blank_by_class(column: ColumnFacts, label: ColumnFacts, rows: int) -> Role | None:
    if not is_blank_by_class(column, label):
        return None
    what = f"blank in all rows of some classes of “{label.name}” and in no other"
    return "left out", 0.6, f"{what}: it may give the answer away"


def _parts_classes(column: ColumnFacts, label: ColumnFacts, rows: int) -> Role | None:
    if not separates_classes(column, label):
        return None
    what = f"its values alone part the classes of “{label.name}”"
    return "input", 0.6, f"{what}: it may give the answer away"


def _is_known_afterwards(column: ColumnFacts, label: ColumnFacts, rows: int) -> Role | None:
    is_time = column.numbers and words.is_time_to(column.tokens, label.tokens)
    if not is_time and not words.is_known_afterwards(column.tokens):
        return None
    what = f"may be known only once the outcome “{label.name}” is, and give it away"
    return "input", 0.6, what


def _is_second_outcome(column: ColumnFacts, label: ColumnFacts, rows: int) -> Role | None:
    named = is_only_outcome(column) or words.outcome_name_score(column.tokens) >= 0.8
    if not named or not column.few(10) or rows < 20:
        return None
    never_an_input = is_only_outcome(column) or not set(column.tokens) & ALSO_INPUTS
    what = f"named like an outcome as “{label.name}” is; as an input it may give the answer away"
    return "left out" if never_an_input else "input", 0.6, what


_RULES: tuple[Callable[[ColumnFacts, ColumnFacts, int], Role | None], ...] = (
    _says_the_same,
    _decides_outcome,
    _is_prediction,
    _is_blank_by_class,
    _parts_classes,
    _is_known_afterwards,
    _is_second_outcome,
)
