"""Every method's parameters: bounds that refuse and name, presets that survive being stored."""

import json

import pytest

from core.errors import UserError
from core.method import check_params
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
