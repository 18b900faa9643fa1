"""Tables with two full lines of names: descriptions below names, groups above names."""

import pytest

from core.data.readers import read

NUMBERS = [f"{30 + k % 40},{110 + k % 50},{k * 7 % 31},{'ab'[k % 2]}" for k in range(60)]
FEATURES = ("age", "sbp", "crp")


def _read(tmp_path, *heads, rows=NUMBERS):
    (tmp_path / "a.csv").write_text("\n".join([*heads, *rows]) + "\n")
    return read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "heads",
    [
        ("age,sbp,crp,label", "Age at baseline,Systolic pressure,C-reactive protein,Diagnosis"),
        ("age,sbp,crp,label", "years,mmHg,mg/L,"),
        ("Base,Base,Lab,Outcome", "age,sbp,crp,label"),
        ("Base,Vitals,Lab,Last", "age,sbp,crp,label"),
        ("Base,,Lab,Outcome", "age,sbp,crp,label"),
    ],
)
def test_one_of_two_lines_names_the_columns(tmp_path, heads):
    data = _read(tmp_path, *heads)
    assert (len(data), data.features, data.classes) == (60, FEATURES, ["a", "b"])
    assert data.inputs()[1].tolist() == [31, 111, 7]
    assert any("header" in rule or "names" in rule for rule in data.card["rules"])


@pytest.mark.parametrize(
    "heads",
    [("Before,,After,", "sbp,dbp,sbp,dbp"), ("Before,Before,After,After", "sbp,dbp,sbp,dbp")],
)
def test_names_said_twice_are_told_apart_by_the_other_line(tmp_path, heads):
    rows = [f"{120 + k % 9},{80 + k % 7},{115 + k % 11},{75 + k % 5}" for k in range(40)]
    data = _read(tmp_path, *heads, rows=rows)
    assert data.features == ("Before sbp", "Before dbp", "After sbp", "After dbp")
    assert data.inputs()[3].tolist() == [123, 83, 118, 78]
    assert any("told apart" in rule for rule in data.card["rules"])


@pytest.mark.parametrize(
    ("heads", "rows"),
    [
        (
            (
                "id,town,sex,label,x",
                "Subject identifier,Town of birth,Sex at birth,Diagnosis,The x",
            ),
            [
                f"P{k:03},{['Bonn', 'Wien'][k % 2]},{'MF'[k // 2 % 2]},{'ab'[k // 4 % 2]},{k % 7}"
                for k in range(60)
            ],
        ),
        (
            ("risk,sex,smoker,label", "Risk level,Sex at birth,Smoker (self-reported),Diagnosis"),
            [
                f"{'lh'[k % 2]},{'MF'[k // 2 % 2]},{'yn'[k // 4 % 2]},{'ab'[k // 8 % 2]}"
                for k in range(64)
            ],
        ),
    ],
)
def test_descriptions_among_columns_of_words_are_no_case(tmp_path, heads, rows):
    data = _read(tmp_path, *heads, rows=rows)
    assert (len(data), data.classes) == (len(rows), ["a", "b"])
    assert any("below the header" in rule for rule in data.card["rules"])


def test_a_first_case_of_rare_words_stays_a_case(tmp_path):
    rows = ["old town,male,yes,a"] + [
        f"new town {k % 5},female,no,{'ab'[k % 2]}" for k in range(40)
    ]
    assert len(_read(tmp_path, "town,sex,smoker,label", rows=rows)) == 41
