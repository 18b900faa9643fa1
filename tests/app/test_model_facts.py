"""What the page of model facts, and a report, say of a model: the same."""

import numpy as np
import pytest

from core.artifacts import Model
from core.registry import CAN, describe_abilities
from core.words import count_groups, describe_groups


@pytest.mark.parametrize(
    ("method", "abilities", "words"),
    [
        ("brightness", [], ["be applied to other data"]),
        ("gone", [], ["do nothing further"]),
        ("brightness", ["score", "embed"], [CAN["score"], CAN["embed"]]),
    ],
)
def test_a_model_without_abilities_is_said_in_words(method, abilities, words):
    made = Model(
        rows=np.arange(3),
        method=method,
        abilities=abilities,
        params={},
        input_shape=[1, 8, 8],
    )
    assert describe_abilities(made) == words


def test_patients_of_whom_none_is_known_are_no_number():
    groups = np.array(["a", None, "b", "a"], dtype=object)
    assert count_groups(groups) == 2
    assert describe_groups(groups) == "2"
    assert describe_groups(np.array([None, None], dtype=object)) == "none known"
    assert describe_groups(None) == "not stated"
    assert describe_groups([str(i) for i in range(1204)]) == "1,204"
