"""Rules in words select the right cases, or are refused in one sentence; nothing of them is run."""

import numpy as np
import pytest

from core.columns import Column
from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.row_rules import find_by_rule, find_rows

AGE = np.array([30.0, 61.0, 75.0, np.nan, 60.0])
SEX = np.array(["F", "M", "F", "M", None], dtype=object)
SITE = np.array(["A and B", "A", "A", "C", "C"], dtype=object)
COLUMNS = {
    "age": Column("age", AGE, "amount", "data"),
    "age at scan": Column("age at scan", AGE + 1, "amount", "data"),
    "sex": Column("sex", SEX, "category", "data"),
    "site": Column("site", SITE, "category", "data"),
    "notes (free)": Column("notes (free)", SEX, "category", "data"),
}


@pytest.mark.parametrize(
    ("rule", "held"),
    [
        ("age > 60", [1, 2]),
        ("age >= 60 and sex = F", [2]),
        ("AGE>=6e1", [1, 2, 4]),
        ("age at scan >= 62", [1, 2]),
        ("age at scan < 62 or age = 75", [0, 2, 4]),
        ("not age > 60", [0, 3, 4]),
        ("not (age > 60 or sex = M)", [0, 4]),
        ("sex != F", [1, 3]),
        ("sex in (F, M)", [0, 1, 2, 3]),
        ("age not in (30, 75)", [1, 4]),
        ("age between 60 and 61", [1, 4]),
        ("age is missing or sex is missing", [3, 4]),
        ("sex is not missing", [0, 1, 2, 3]),
        ("site = A and B", [0]),
        ("site = A and age > 70", [2]),
        ("site = 'C' and age = 60", [4]),
        ('"notes (free)" = M', [1, 3]),
        ("notes (free) = M", [1, 3]),
        ("sex=F or sex=M and age>70", [0, 2]),
    ],
)
def test_a_rule_holds_for_these(rule, held):
    assert np.flatnonzero(find_by_rule(COLUMNS, rule)).tolist() == held


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "empty"),
        ("height > 3", "no column of that name"),
        ("age > old", "number"),
        ("age 60", "compared by"),
        ("sex > F", "holds words"),
        ("sex = X", "No case has “X”"),
        ("(age > 3", "closing bracket"),
        ("age > 3 sex = F", "expected"),
        ("age is old", "missing"),
        ("age > 3; import os", "expected"),
        ("__import__('os').system('true')", "no column of that name"),
        ("(" * 3000, "letters"),
        ("(" * 200 + "age > 3" + ")" * 200, "within each other"),
    ],
)
def test_what_is_no_rule_is_refused_in_one_sentence(rule, said):
    with pytest.raises(UserError, match=said):
        find_by_rule(COLUMNS, rule)


def test_cases_by_number_and_name():
    data = make_sample("digits")
    assert find_rows(data, ["3", 7, "row 3", "row 11"]).tolist() == [3, 7, 11]
    with pytest.raises(UserError, match="no case “nobody”"):
        find_rows(data, ["3", "nobody"])
