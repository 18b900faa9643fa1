"""Words that have an order are categories, and the check says that their order is not kept."""

import pytest

from core.data.checks import check_dataset
from core.data.checks.ordered_words import order_words
from core.data.readers import read


@pytest.mark.parametrize(
    "steps",
    [
        ["0", "1+", "2+", "3+"],
        ["neg", "trace", "1+", "2+", "3+"],
        ["grade 1", "grade 2", "grade 3"],
        ["G1", "G2", "G3"],
        ["I", "II", "III", "IV"],
        ["NYHA I", "NYHA II", "NYHA III"],
        ["T1a", "T2", "T3", "T4"],
        ["mild", "moderate", "severe"],
        ["Low", "Medium", "High"],
        ["never", "sometimes", "always"],
        ["<30", "30-39", "40-49", "50-59", "60+"],
        ["<30", "30 to 39", "≥40"],
        ["1:10", "1:20", "1:40", "1:160"],
    ],
)
def test_the_order_of_words_is_told(steps):
    assert order_words(steps[::-1]) == steps


@pytest.mark.parametrize(
    "words",
    [
        ["site 1", "site 2", "site 3"],
        ["Batch-1", "Batch-2", "Batch-3"],
        ["A1", "B2", "C3"],
        ["male", "female"],
        ["low", "high"],
        ["T1", "T2", "FLAIR"],
        ["red", "green", "blue"],
        ["3+4", "4+3", "4+4"],
        ["250.0", "250.00", "401.9", "414.01"],
        ["liver", "vein", "mix", "civil"],
    ],
)
def test_names_have_no_order(words):
    assert order_words(words) is None


def test_the_check_says_that_the_order_is_not_kept(tmp_path):
    lines = [
        f"{30 + k * 7 % 40},{['0', '1+', '2+', '3+'][k % 4]},{'ab'[k // 3 % 2]}" for k in range(80)
    ]
    (tmp_path / "a.csv").write_text("\n".join(["age,her2,label", *lines]) + "\n")
    data = read(tmp_path / "a.csv")
    assert data.features == ("age", "her2=0", "her2=1+", "her2=2+", "her2=3+")
    (found,) = [f for f in check_dataset(data) if f.kind == "ordered"]
    assert "“her2” (0, 1+, 2+, 3+)" in found.words
    assert "order is not kept" in found.words
