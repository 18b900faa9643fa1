"""Columns that tell the same twice are named."""

import numpy as np
import pandas as pd

from core.data.checks import check_dataset
from core.data.readers import read


def _found(folder, table):
    table.to_csv(folder / "table.csv", index=False)
    return [f for f in check_dataset(read(folder / "table.csv")) if f.kind == "same columns"]


def test_the_same_column_twice_is_said_in_whatever_unit_or_words(tmp_path):
    rng = np.random.default_rng(0)
    age, weight = rng.integers(20, 90, 60), rng.normal(70, 12, 60).round(1)
    sex = rng.choice(["f", "m"], 60)
    table = pd.DataFrame({"age": age, "years": age, "kg": weight, "grams": weight * 1000})
    table["sex"], table["male"] = sex, (sex == "m").astype(int)
    table["crp"], table["negative"] = rng.normal(5, 2, 60).round(2), -weight
    (found,) = _found(tmp_path, table)
    assert found.severity == "look"
    for pair in ("“age” and “years”", "“kg” and “grams” and “negative”", "“sex” and “male”"):
        assert pair in found.words
    assert "crp" not in found.words


def test_columns_that_differ_in_one_row_are_two(tmp_path):
    rng = np.random.default_rng(0)
    age = rng.integers(20, 90, 60)
    other = age.copy()
    other[7] += 1
    assert _found(tmp_path, pd.DataFrame({"age": age, "other": other})) == []
