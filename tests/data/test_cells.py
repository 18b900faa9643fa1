"""Cells that hold more than a plain number: times, blood pressures, units, brackets, marks. Never
lost without a word.
"""

import numpy as np
import pytest

from core.data.checks.table import table_findings
from core.data.readers import read

N = 60
AGE = [30 + k * 7 % 50 for k in range(N)]
VALUE = [round(1 + (k * 13 % 59) / 10, 1) for k in range(N)]
SYSTOLIC = [100 + k * 11 % 71 for k in range(N)]
DIASTOLIC = [60 + k * 5 % 31 for k in range(N)]


def brought(folder, cells, name="x", separator=","):
    lines = [separator.join(("age", name, "outcome"))]
    lines += [separator.join((str(a), c, str(k % 2))) for k, (a, c) in enumerate(zip(AGE, cells))]
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    return read(folder / "a.csv")


def findings(data):
    return " ".join(f.words for f in table_findings(data) if f.severity == "look")


@pytest.mark.parametrize("form", ["{}/{}", "{} / {}", "{}/{} mmHg"])
def test_blood_pressures_become_two_columns(tmp_path, form):
    data = brought(tmp_path, [form.format(a, b) for a, b in zip(SYSTOLIC, DIASTOLIC)], "bp")
    assert data.features == ("age", "bp_1", "bp_2")
    assert data.inputs()[:, 1:].tolist() == [[a, b] for a, b in zip(SYSTOLIC, DIASTOLIC)]
    assert any("“bp_1” and “bp_2”" in r for r in data.card["rules"])


NUMBERS = {
    "brackets": (
        [f"({v})" if k % 3 else f"{v}" for k, v in enumerate(VALUE)],
        [-v if k % 3 else v for k, v in enumerate(VALUE)],
    ),
    "a minus behind": (
        [f"{v}-" if k % 3 == 0 else f"{v}" for k, v in enumerate(VALUE)],
        [v if k % 3 else -v for k, v in enumerate(VALUE)],
    ),
    "money in brackets": (
        [f"(${v})" if k % 3 else f"${v}" for k, v in enumerate(VALUE)],
        [-v if k % 3 else v for k, v in enumerate(VALUE)],
    ),
    "flags": ([f"{v} {'HL'[k % 2]}" if k % 4 < 2 else f"{v}" for k, v in enumerate(VALUE)], VALUE),
    "stars": ([f"{v}*" if k % 4 == 0 else f"{v}" for k, v in enumerate(VALUE)], VALUE),
    "one unit": ([f"{v} mg" for v in VALUE], VALUE),
    "one unit, two spellings": (
        [f"{v} {'ml' if k % 2 else 'mL'}" for k, v in enumerate(VALUE)],
        VALUE,
    ),
    "ug and µg": ([f"{v} {'ug' if k % 2 else 'µg'}" for k, v in enumerate(VALUE)], VALUE),
    "times of day": (
        [f"{k % 24:02}:{k * 7 % 60:02}" for k in range(N)],
        [60 * (k % 24) + k * 7 % 60 for k in range(N)],
    ),
    "times before zero": (
        [f"-{k % 5}:30" if k % 4 == 0 else f"{k % 5}:15" for k in range(N)],
        [-(60 * (k % 5) + 30) if k % 4 == 0 else 60 * (k % 5) + 15 for k in range(N)],
    ),
    "day and days": (
        [f"{k * 7 % 30 + 1} day{'s' if k % 30 else ''}" for k in range(N)],
        [k * 7 % 30 + 1 for k in range(N)],
    ),
    "years and yrs": (
        [f"{k * 7 % 41} {'yrs' if k % 4 else 'years'}" for k in range(N)],
        [k * 7 % 41 for k in range(N)],
    ),
    "am and pm": (
        [f"{k % 12 or 12}:30 {'ap'[k % 2]}m" for k in range(N)],
        [60 * (k % 12 + 12 * (k % 2)) + 30 for k in range(N)],
    ),
    "durations": (
        [f"{k % 40}:{k * 7 % 60:02}:30" for k in range(N)],
        [60 * (k % 40) + k * 7 % 60 + 0.5 for k in range(N)],
    ),
    "weeks and days": (
        [f"{30 + k % 11}+{k % 7}" for k in range(N)],
        [30 + k % 11 + k % 7 / 7 for k in range(N)],
    ),
    "weeks and days in words": (
        [f"{30 + k % 11} w {k % 7} d" for k in range(N)],
        [30 + k % 11 + k % 7 / 7 for k in range(N)],
    ),
    "years and months": (
        [f"{2 + k % 11}y {k % 12}m" for k in range(N)],
        [2 + k % 11 + k % 12 / 12 for k in range(N)],
    ),
    "ages of headers": (
        [f"{30 + k:03}Y" if k % 5 else f"{k % 12:03}M" for k in range(N)],
        [30 + k if k % 5 else k % 12 / 12 for k in range(N)],
    ),
    "scores": ([f"{10 + k % 21}/30" for k in range(N)], [10 + k % 21 for k in range(N)]),
    "scores in words": (
        [f"{20 + k % 11} of 30" for k in range(N)],
        [20 + k % 11 for k in range(N)],
    ),
    "feet and inches": (
        [f"{5 + k % 2}'{k % 12}" for k in range(N)],
        [5 + k % 2 + k % 12 / 12 for k in range(N)],
    ),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_read_as_numbers_by_a_rule(tmp_path, kind):
    cells, right = NUMBERS[kind]
    data = brought(tmp_path, cells)
    assert data.features == ("age", "x")
    assert np.allclose(data.inputs()[:, 1], right, rtol=1e-3)
    assert any("x" in r and "input" not in r for r in data.card["rules"])


LEFT_OUT = {
    "units of one kind": (
        [f"{v} mg" if k % 3 else f"{v / 1000:.4f} g" for k, v in enumerate(VALUE)],
        "several units (mg (40), g (20))",
    ),
    "few different, two units": (
        ["170 cm" if k % 3 else "1.7 m" for k in range(N)],
        "several units (cm (40), m (20))",
    ),
    "ages": (
        [f"{k + 2} y" if k % 4 else f"{k % 11 + 1} m" for k in range(N)],
        "several units (y (45), m (15))",
    ),
    "plus or minus": ([f"{v} ± 0.3" for v in VALUE], "more than one number a cell"),
    "ranges": ([f"{k}-{k + 5}" for k in range(N)], "more than one number a cell"),
    "mean and spread": (
        [f"{v} (0.{k % 9 + 1})" for k, v in enumerate(VALUE)],
        "more than one number a cell",
    ),
    "lists": ([f'"{k},{k + 1},{k + 2}"' for k in range(N)], "in a form that is not read"),
    "ordinals": ([f"{k + 4}th" for k in range(N)], "in a form that is not read"),
    "durations of ISO": ([f"PT{k % 5}H{k}M" for k in range(N)], "in a form that is not read"),
    "sizes": ([f"{k + 3} x {k % 7 + 2} mm" for k in range(N)], "more than one number a cell"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_left_out_with_the_reason_and_what_to_do(tmp_path, kind):
    cells, why = LEFT_OUT[kind]
    data = brought(tmp_path, cells)
    assert data.features == ("age",)
    assert why in findings(data)
    assert "write" in findings(data)


@pytest.mark.parametrize(
    "cells",
    [
        [f"{k:03}-{k * 7 % 100:02}" for k in range(N)],
        [["20/20", "20/40", "20/100"][k % 3] for k in range(N)],
        [["10-19", "20-29", "30-39"][k % 3] for k in range(N)],
        [f"1:{20 * 2 ** (k % 5)}" for k in range(N)],
    ],
)
def test_ids_and_categories_stay_words(tmp_path, cells):
    data = brought(tmp_path, cells)
    assert data.table["x"].tolist() == cells
    assert not findings(data)


def test_minutes_or_hours_is_a_finding(tmp_path):
    data = brought(tmp_path, [f"{k + 3}:{k * 7 % 60:02}" for k in range(N)])
    assert data.inputs()[1, 1] == 247
    assert "if they are minutes and seconds, the numbers are seconds" in findings(data)


MOMENTS = {
    "created": [1_600_000_000 + k * 7919 % 500_000 * 100 for k in range(N)],
    "timestamp": [1_600_000_000_000 + k * 7919 % 500_000 * 100_000 for k in range(N)],
    "visit_date": [44_000 + k * 17 % 700 for k in range(N)],  # days, as spreadsheets count them
}


@pytest.mark.parametrize("name", MOMENTS)
def test_moments_are_no_inputs(tmp_path, name):
    data = brought(tmp_path, list(map(str, MOMENTS[name])), name)
    assert data.features == ("age",)
    assert any(name in r and "left out" in r for r in data.card["rules"])


def test_numbers_that_may_be_moments_are_a_finding(tmp_path):
    data = brought(tmp_path, list(map(str, MOMENTS["created"])), "t0")
    assert "seconds since 1970" in findings(data)


@pytest.mark.parametrize("form", ["~{}", "ca. {}"])
def test_rough_values_are_numbers_with_a_finding(tmp_path, form):
    data = brought(tmp_path, [form.format(v) if k % 3 else f"{v}" for k, v in enumerate(VALUE)])
    assert np.allclose(data.inputs()[:, 1], VALUE)
    assert "rough" in findings(data)


def test_powers_of_ten_written_out(tmp_path):
    data = brought(tmp_path, [f"{v} x 10^{3 + k % 2}" for k, v in enumerate(VALUE)])
    assert np.allclose(data.inputs()[:, 1], [v * 10 ** (3 + k % 2) for k, v in enumerate(VALUE)])
