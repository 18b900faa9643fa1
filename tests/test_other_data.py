"""What must agree between new data and the data a model learned from, and what is brought into
line.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.artifacts import Embedding, Model
from core.data.dataset import Dataset
from core.errors import UserError
from core.training.other_data import as_the_model_sees, find_shared, match
from core.training.scope import count_inside, measure_scope


def table(name="a", n=60, **changed):
    rng = np.random.default_rng(0)
    columns = {"age": rng.normal(50, 9, n), "sex": np.where(np.arange(n) % 2, "f", "m")}
    frame = pd.DataFrame(columns | changed)
    features = tuple(c for c in ("age",) if c in frame) + ("sex=f", "sex=m") * ("sex" in frame)
    parts = [frame["age"].to_numpy()] if "age" in frame else []
    parts += [(frame["sex"] == w).to_numpy(float) for w in "fm"] if "sex" in frame else []
    return Dataset(name, "table", frame, np.stack(parts, 1).astype("f4"), features=features)


def picture(name="a", size=8, kind="u1", channels=1, **more):
    x = np.random.default_rng(1).integers(0, 255, (20, channels, size, size)).astype(kind)
    table = pd.DataFrame({"file": [f"{i}.png" for i in range(20)]})
    return Dataset(name, "image", table, x, **{"input_range": (0.0, 255.0)} | more)


MODEL = Model(rows=np.arange(3), method="pca", params={}, abilities=["embed"], input_shape=[3])


def test_columns_in_another_order_with_others_between_are_matched_by_name():
    own = table()
    frame = own.table[["sex", "age"]].assign(extra=np.arange(60.0))
    samples = np.stack([own.samples[:, 1], own.samples[:, 2], np.arange(60), own.samples[:, 0]], 1)
    other = Dataset("b", "table", frame, samples, features=("sex=f", "sex=m", "extra", "age"))
    seen, notes = match(own, other)
    assert seen.features == own.features
    np.testing.assert_array_equal(seen.raw(), own.raw())
    assert notes == ["Not used, since the model has not seen them: “extra”."]


def test_a_word_that_does_not_occur_is_a_column_of_zeros_and_a_new_word_is_told():
    own = table()
    frame = own.table.assign(sex="f")
    # constant: no input
    other = Dataset("b", "table", frame, own.samples[:, :1], features=("age",))
    seen, notes = match(own, other)
    np.testing.assert_array_equal(seen.raw()[:, 1:], np.tile([1.0, 0.0], (60, 1)))
    assert notes == []
    other = replace(other, table=frame.assign(sex=np.where(np.arange(60) < 3, "x", "f")))
    assert "words the model has not met (“x”)" in match(own, other)[1][0]


def test_a_column_that_is_not_there_is_named():
    other = table("b", sex=np.ones(60)).table.drop(columns="age")
    with pytest.raises(UserError, match=r"“b” has no column “age”.*1 of its 3 inputs"):
        match(table(), Dataset("b", "table", other, np.ones((60, 1), "f4"), features=("sex",)))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (table("b"), "holds table data; this model learned from image data"),
        (picture("b", size=16), "16 × 16 in size; this model learned from cases of 8 × 8"),
        (picture("b", channels=3), "3 channels; this model learned from 1 channel"),
        (picture("b", input_range=(0.0, 1.0)), "0 to 1; this model learned from 0 to 255"),
        (picture("b", card={"unit": "HU"}), "values in HU; this model learned from no stated unit"),
    ],
    ids=["modality", "size", "channels", "range", "unit"],
)
def test_what_a_model_cannot_bridge_is_refused_with_the_reason(other, words):
    with pytest.raises(UserError, match=words):
        match(picture(), other)


def test_grey_values_are_scaled_as_those_the_model_learned_from():
    seen, notes = match(picture(), picture("b", input_range=(0.0, 200.0)))
    assert seen.input_range == (0.0, 255.0)
    assert "0 to 200" in notes[0]


def test_every_row_is_new_and_the_one_class_learned_from_is_the_normal_one():
    labels = ["well"] * 40 + ["ill"] * 20
    parts = ["train"] * 40 + ["test"] * 20
    own = table(label=labels, split=parts)
    own = replace(own, roles={"label": "label", "split": "split"})
    seen, _ = as_the_model_sees(own, replace(own, name="b"), MODEL)
    assert set(seen.splits) == {"test"}
    assert seen.card["normal"] == "well"
    assert set(own.splits) == {"train", "test"}


def test_cases_and_patients_that_are_not_new_are_told():
    own = picture()
    own = replace(
        own, table=own.table.assign(who=[f"p{i // 2}" for i in range(20)]), roles={"group": "who"}
    )
    words = " ".join(find_shared(own, replace(own.take(np.arange(4)), name="b")))
    assert "2 patients of “b” are also in “a”" in words
    assert "4 of 4 cases are the very same" in words
    fresh = replace(own, name="b", samples=255 - own.samples, roles={})
    assert find_shared(own, fresh) == []


def test_scope_of_cases_from_the_same_and_from_another_place():
    rng = np.random.default_rng(0)
    own = Dataset(
        "a",
        "table",
        pd.DataFrame({"split": ["train"] * 400 + ["test"] * 200}),
        np.zeros((600, 1)),
        roles={"split": "split"},
    )
    learned = Embedding(rows=np.arange(600), z=rng.normal(size=(600, 4)).astype("f4"))
    same = measure_scope(
        own, learned, Embedding(rows=np.arange(300), z=rng.normal(size=(300, 4)).astype("f4"))
    )
    far = measure_scope(
        own, learned, Embedding(rows=np.arange(50), z=rng.normal(9, 1, (50, 4)).astype("f4"))
    )
    assert count_inside(same).value == pytest.approx(0.95, abs=0.04)
    assert (far.levels == 2).all()
    assert "200 cases held out" in far.rule
    few = replace(own, table=own.table.assign(split="train"))
    assert "600 cases of the training" in measure_scope(few, learned, learned).rule
    assert measure_scope(own.take(np.arange(10)), learned, learned) is None
