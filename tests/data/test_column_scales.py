"""Columns that mix what should stand apart: each is a finding; and forms of tables that other
programs write.
"""

import numpy as np
import pandas as pd
import pytest

from core.data.checks.column_scales import split_scales
from core.data.checks.table import table_findings
from core.data.readers import read

N = 120
RNG = np.random.default_rng(2)
Y = RNG.integers(0, 2, N)
AGE = RNG.integers(30, 80, N)
CRP = (RNG.gamma(2, 5, N) + 1).round(1)


def brought(folder, **columns):
    pd.DataFrame({"age": AGE, "crp": CRP, **columns}).to_csv(folder / "a.csv", index=False)
    return read(folder / "a.csv")


def kinds(data):
    return {f.kind: f for f in table_findings(data) if f.severity == "look"}


HEIGHT = np.array([1.5 + k % 40 / 100 if k % 9 == 0 else 150 + k % 40 for k in range(N)])
FEVER = np.where(np.arange(N) % 4 == 0, 97 + 3 * RNG.random(N), 36 + 2 * RNG.random(N)).round(1)


@pytest.mark.parametrize(("values", "few"), [(HEIGHT, 14), (FEVER, 30)])
def test_two_units_in_one_column(tmp_path, values, few):
    found = kinds(brought(tmp_path, x=values, outcome=Y))["two scales"]
    assert found.total == few
    assert (
        found.rows[:3] == np.flatnonzero(np.arange(N) % (9 if few == 14 else 4) == 0)[:3].tolist()
    )


@pytest.mark.parametrize(
    "values",
    [
        RNG.lognormal(0, 2, 500),
        np.concatenate([RNG.normal(10, 1, 100), RNG.normal(25, 3, 100)]),
        np.arange(1, 400.0),
        np.repeat([1.0, 100.0], 50),
        RNG.normal(0, 1, 300),
        np.r_[RNG.gamma(2, 2, 300), 900.0],
    ],
)
def test_one_scale_is_left_alone(values):
    assert split_scales(values) is None


LABELS = {
    "class not known": ([9 if k % 17 == 0 else 1 + k % 2 for k in range(N)], 8),
    "class not known ": (
        ["unknown" if k % 11 == 0 else ["neg", "pos"][y] for k, y in enumerate(Y)],
        11,
    ),
    "class not known  ": ([-9 if k % 11 == 0 else y for k, y in enumerate(Y)], 11),
    "several labels": ([["A", "A|B", "B|C", "C", "B"][k % 5] for k in range(N)], 48),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_that_are_none(tmp_path, kind):
    cells, many = LABELS[kind]
    assert kinds(brought(tmp_path, outcome=cells))[kind.strip()].total == many


def test_ten_digits_are_ten_classes(tmp_path):
    assert "class not known" not in kinds(brought(tmp_path, outcome=np.arange(N) % 10))


def test_a_line_a_measurement(tmp_path):
    data = brought(
        tmp_path,
        subject=np.arange(N) // 6,
        parameter=["crp", "sbp", "bmi"] * 40,
        value=RNG.random(N).round(2),
    )
    assert "Turn the table" in kinds(data)["long form"].words


def test_words_that_a_spreadsheet_made_dates_of(tmp_path):
    data = brought(
        tmp_path, gene=[["SEPT2", "2-Sep", "MARCH1", "TP53"][k % 4] for k in range(N)], outcome=Y
    )
    assert kinds(data)["made dates"].total == N // 4


def test_dates_beside_a_few_words_are_dates(tmp_path):
    data = brought(
        tmp_path,
        onset=[f"2020-01-{1 + k % 14:02}" if k % 2 else "unknown" for k in range(N)],
        outcome=Y,
    )
    assert data.features == ("age", "crp")


ROWS = [f"{a},{c},{y}" for a, c, y in zip(AGE, CRP, Y)]
FORMS = {
    "row names of R": "age,crp,outcome\n" + "".join(f'"{k + 1}",{r}\n' for k, r in enumerate(ROWS)),
    "row names of R, spaces": (
        "age crp outcome\n"
        + "".join(f'"{k + 1}" {r.replace(",", " ")}\n' for k, r in enumerate(ROWS))
    ),
    "notes": "# study X, of 2020, by me\n# mg/l, years\nage,crp,outcome\n" + "\n".join(ROWS) + "\n",
    "sep=": "sep=;\nage;crp;outcome\n" + "\n".join(r.replace(",", ";") for r in ROWS) + "\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_that_other_programs_write(tmp_path, form):
    (tmp_path / "a.csv").write_text(FORMS[form])
    data = read(tmp_path / "a.csv")
    assert (len(data), data.features, data.roles["label"]) == (N, ("age", "crp"), "outcome")
    assert np.allclose(data.inputs(), np.c_[AGE, CRP])
    assert len(data.card["rules"]) > 1
