"""What a user sets of a method: parameters with bounds, units and help, of which the form, the
flags and the errors are made.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator


def _choice(kind: Any, value: Any) -> Any:
    """`value`, or the choice of the Literal `kind` that the word `value` names: written alike, or
    equal as a number ("64.0").
    """
    if get_origin(kind) is not Literal or not isinstance(value, str):
        return value
    choices, word = get_args(kind), value.strip()
    if word in choices:
        return word
    for choice in choices:
        if str(choice).lower() == word.lower() or (
            _is_number(choice) and _as_number(word) == choice
        ):
            return choice
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


class BaseParams(BaseModel):
    """Base of every method's parameters: unknown names and values out of range are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _words_to_choices(cls, given: Any) -> Any:
        """Words become the choice they name where choices are not words: "128" is 128 of
        Literal[32, 64, 128], as it is for plain numbers.
        """
        if not isinstance(given, dict):
            return given
        return {
            name: (
                _choice(cls.model_fields[name].annotation, value)
                if name in cls.model_fields
                else value
            )
            for name, value in given.items()
        }


def param(
    default: Any,
    help: str,
    *,
    unit: str = "",
    advanced: bool = False,
    column: bool = False,
    only: str = "",
    **bounds: Any,
) -> Any:
    """Return a parameter with its bounds (`ge`, `le`, `gt`, `lt`), unit and help; the form, the
    flags and the error text come from it.

    `column`: its words name a column of the data, "" = none; the form offers the columns. `only`:
    the modality of data it is for; the form leaves it out elsewhere.
    """
    return Field(
        default,
        description=help,
        json_schema_extra={"unit": unit, "advanced": advanced, "column": column, "only": only},
        **bounds,
    )


def epochs_param(
    default: int,
    help: str = "Passes over the training cases.",
    ge: int = 1,
    le: int = 5000,
    **more: Any,
) -> Any:
    """`param` for `epochs`, where a method's default, help or bounds differ from the usual."""
    return param(default, help, ge=ge, le=le, **more)


def batch_param(
    default: int,
    help: str = "Cases per step.",
    ge: int = 8,
    le: int = 4096,
    advanced: bool = True,
) -> Any:
    """`param` for `batch_size`, where a method's default, help or bounds differ from the usual."""
    return param(default, help, ge=ge, le=le, advanced=advanced)


def rate_param(default: float, help: str = "Step size of Adam.", le: float = 0.1) -> Any:
    """`param` for `learning_rate` of the method's own optimiser."""
    return param(default, help, gt=0, le=le, advanced=True)


def width_param(default: int = 16) -> Any:
    """`param` for the `width` of an encoder of `core.nets.encoders`."""
    words = "Channels of the first layer; the embedding has four times as many dimensions."
    return param(default, words, ge=2, le=256, advanced=True)


class EpochParams(BaseParams):
    """Parameters of a method that trains over batches. What wants to know how long a training is or
    what memory it takes asks for this type.
    """

    epochs: int = epochs_param(30)
    batch_size: int = batch_param(64)


class TrainingParams(EpochParams):
    """Parameters of a method with one optimiser (see `Run.fit`)."""

    learning_rate: float = rate_param(3e-3)


class EarlyStoppingParams(TrainingParams):
    """Parameters of a method whose training may end once its validation cases gain no more."""

    patience: int = param(
        0,
        "Stop, with the best weights, when nothing improved on the validation cases for this many"
        " epochs; 0 = never.",
        ge=0,
        le=1000,
        advanced=True,
    )
