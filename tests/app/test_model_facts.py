"""What the page of model facts says of a model."""

import numpy as np
import pytest

from app.views.model import CAN, describe_abilities
from core.artifacts import Model


@pytest.mark.parametrize(
    ("method", "abilities", "words"),
    [
        ("brightness", [], "be applied to other data"),
        ("gone", [], "do nothing further"),
        ("brightness", ["score"], CAN["score"]),
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
