"""Every method's parameters: bounds that refuse and name, presets that survive being stored."""

import json
from typing import Literal, get_args, get_origin

import pytest

from core.errors import UserError
from core.method import BaseParams, Method, check_params, param
from core.registry import methods


@pytest.mark.parametrize("id", methods())
def test_wrong_parameters_are_named(id):
    with pytest.raises(UserError, match="nonsense"):
        check_params(methods()[id], {"nonsense": 1})


@pytest.mark.parametrize("id", methods())
def test_every_bound_refuses_what_lies_beyond_and_names_the_parameter(id):
    kind = methods()[id]
    bounded = 0
    for name, field in kind.Params.model_fields.items():
        for bound in field.metadata:
            for side, beyond in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
                if hasattr(bound, side):
                    bounded += 1
                    with pytest.raises(UserError, match=f"“{name}”"):
                        check_params(kind, {name: getattr(bound, side) + beyond})
    assert bounded


@pytest.mark.parametrize("id", methods())
def test_defaults_tiny_and_presets_survive_json(id):
    kind = methods()[id]
    for given in ({}, kind.tiny, *kind.presets.values()):
        params = check_params(kind, given)
        assert kind.Params(**json.loads(params.model_dump_json())) == params


@pytest.mark.parametrize("id", methods())
def test_every_choice_can_be_given_in_words(id):
    """As the command line gives it: `-p side=128`."""
    kind = methods()[id]
    for name, field in kind.Params.model_fields.items():
        for choice in get_args(field.annotation) if get_origin(field.annotation) is Literal else ():
            assert getattr(check_params(kind, {name: str(choice)}), name) == choice


class Chooser(Method):
    id = "chooser"

    class Params(BaseParams):
        side: Literal[32, 64, 128] = param(64, "Side.")
        step: Literal[0.5, 1.0, "auto"] = param("auto", "Step.")
        deep: Literal[True, False, "where it helps"] = param(False, "Depth.")
        code: Literal["1", "2"] = param("1", "Words that look like numbers stay words.")


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({"side": "128"}, 128),
        ({"side": " 32 "}, 32),
        ({"side": "64.0"}, 64),
        ({"side": 64}, 64),
        ({"step": "0.5"}, 0.5),
        ({"step": "1"}, 1.0),
        ({"step": "auto"}, "auto"),
        ({"deep": "true"}, True),
        ({"deep": "False"}, False),
        ({"deep": "where it helps"}, "where it helps"),
        ({"code": "2"}, "2"),
    ],
)
def test_words_become_the_choice_they_name(given, right):
    (name,) = given
    found = getattr(check_params(Chooser, given), name)
    assert (found, type(found)) == (right, type(right))


@pytest.mark.parametrize(
    "given",
    [
        {"side": "100"},
        {"side": "wide"},
        {"side": "true"},
        {"code": 1},
        {"step": "0.7"},
        {"side": ""},
    ],
)
def test_words_that_name_no_choice_are_refused_with_the_choices(given):
    (name,) = given
    with pytest.raises(UserError, match=f"“{name}”.*should be"):
        check_params(Chooser, given)
