"""One column's guessed role, and the roles of a dataset as its card keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

DATASET_ROLE = {"outcome": "label", "patient": "group", "site": "domain", "split": "split"}
WORD_OF = {v: k for k, v in DATASET_ROLE.items()}
DOUBT = 0.75  # a guess below it is a finding
PLAIN = (
    "a different value in every row",
    "names or free text",
    "a name or text",
    "holds one value",
    "holds no value",
)


@dataclass(frozen=True)
class Guess:
    """The role of one column, one of `ROLES`; `sure` from 0 to 1 and why in half a sentence.
    `asked`: a person said so, and it is no guess.
    """

    column: str
    role: str
    sure: float
    why: str
    asked: bool = False

    @property
    def doubtful(self) -> bool:
        """Whether it becomes a finding, so that a person looks at it."""
        return not self.asked and self.sure < DOUBT

    @property
    def tells(self) -> bool:
        """Whether a column is left out for more than holding names, text or nothing that
        changes.
        """
        return self.role == "time" or (self.role == "left out" and not self.why.startswith(PLAIN))

    @property
    def in_words(self) -> str:
        """How sure it is, for people."""
        if self.asked:
            return "as you said"
        if self.sure >= 0.9:
            return "sure"
        if not self.doubtful:
            return "likely"
        return "a guess"


def dataset_roles(guesses: Collection[Guess]) -> dict[str, str]:
    """Role of the Dataset -> column."""
    return {DATASET_ROLE[g.role]: g.column for g in guesses if g.role in DATASET_ROLE}


def excluded_columns(guesses: Collection[Guess]) -> list[str]:
    """Columns that are nothing to learn from."""
    return [g.column for g in guesses if g.role in ("left out", "time")]


def guesses_to_card(guesses: Collection[Guess], most: int = 200) -> list[dict[str, Any]]:
    """Plain values for a dataset's card: every column but the inputs that are sure."""
    telling = [g for g in guesses if g.role != "input" or g.doubtful or g.asked]
    return [asdict(g) for g in sorted(telling, key=lambda g: not g.doubtful)[:most]]


def guesses_from_card(card: Mapping[str, Any]) -> list[Guess]:
    """Return the guesses a dataset's card keeps; none for data brought in before they were kept."""
    return [Guess(**g) for g in card.get("roles", []) if isinstance(g, dict)]


def describe_role_changes(before: Mapping[str, str], guesses: Collection[Guess]) -> list[str]:
    """Sentences: where the role found over the whole is not the one the first lines showed."""
    return [
        f"“{g.column}” looked like {before[g.column]} in the first lines; over the whole it is"
        f" {g.role} ({g.why})"
        for g in guesses
        if g.column in before and before[g.column] != g.role and not g.asked
    ]
