"""Which values of a table's case are named as unusual, and in which words."""

import numpy as np
import pandas as pd

from core.data.dataset import Dataset
from core.explain.unusual_values import find_unusual_values

AGE = np.r_[np.linspace(40, 60, 99), 95]
SMOKER = np.r_[np.zeros(97), np.ones(3)]
STAGE = np.r_[np.full(98, 1.0), np.nan, 1.0]


def table() -> Dataset:
    values = np.stack([AGE, SMOKER, STAGE], 1)
    frame = pd.DataFrame({"age": AGE, "sex": ["f"] * 97 + ["m"] * 3, "stage": STAGE})
    return Dataset("t", "table", frame, values, features=("age", "sex=m", "stage"))


def said(row: int, top: int = 3) -> list[str]:
    data = table()
    return [str(v) for v in find_unusual_values(data, data, np.array([row]), top)[0]]


def test_a_value_beyond_all_others_comes_before_a_rare_category() -> None:
    assert said(99) == ["age 95 (higher than 99 of 100)", "sex m (in 3 % of cases)"]
    assert said(99, top=1) == ["age 95 (higher than 99 of 100)"]


def test_a_usual_case_has_no_unusual_value() -> None:
    assert said(50) == []


def test_a_missing_value_is_named_where_few_cases_lack_it() -> None:
    assert "stage missing (in 1 % of cases)" in said(98)


def test_the_reference_says_what_is_usual() -> None:
    data = table()
    old = data.take(np.array([99, 99, 99, 99]))
    found = find_unusual_values(data, data.take(np.arange(99)), old.rows[:1])
    assert found[0][0].words == "higher than all 99"
