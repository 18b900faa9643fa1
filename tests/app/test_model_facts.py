"""What the page of model facts says of a model."""

import numpy as np
import pytest

from app.views.model import CAN, describe_abilities
from core.artifacts import Model


@pytest.mark.parametrize(
    ("abilities", "words"),
    [([], "do nothing beyond what this run gave"), (["score"], CAN["score"])],
)
def test_a_model_that_can_do_nothing_further_is_said_in_words(abilities, words):
    made = Model(
        rows=np.arange(3),
        method="brightness",
        abilities=abilities,
        params={},
        input_shape=[1, 8, 8],
    )
    assert describe_abilities(made) == words
