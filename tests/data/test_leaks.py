"""Columns that give the outcome away, own splits of many kinds, ids of visits, codes: what each
column becomes.
"""

import numpy as np
import pandas as pd
import pytest

from core.data.checks.table import table_findings
from core.data.readers import preview, read

N = 120
RNG = np.random.default_rng(1)
Y = RNG.integers(0, 2, N)
THREE = RNG.integers(0, 3, N)
AGE = RNG.integers(30, 80, N)
CRP = RNG.gamma(2, 5, N).round(1)


def brought(folder, known="outcome", **columns):
    frame = pd.DataFrame({"age": AGE, "crp": CRP, **columns} | ({known: Y} if known else {}))
    frame.to_csv(folder / "a.csv", index=False)
    return read(folder / "a.csv")


def looks(data):
    return " ".join(f.words for f in table_findings(data) if f.severity in ("look", "stop"))


def where(tells, other):
    return [t if y else other for t, y in zip(tells, Y)]


LEAKS = {
    "blank by class": ("biopsy_size", where(CRP + 1, ""), "blank in all rows of some classes"),
    "days to death": ("days_to_death", where(AGE * 7, ""), "blank in all rows of some classes"),
    "cause of death": (
        "cause_of_death",
        where(["sepsis", "cancer", "mi"] * 40, ""),
        "blank in all rows",
    ),
    "prediction": (
        "predicted_prob",
        (Y * 0.6 + RNG.random(N) * 0.4).round(3),
        "what a model predicts",
    ),
    "codes of diagnoses": ("diag_1", RNG.integers(100, 999, N) + 0.1, "a code by its name"),
    "postcodes": ("PLZ", RNG.integers(10000, 99999, N), "a code by its name"),
    "telephone": ("phone", RNG.integers(10**9, 2 * 10**9, N), "a code by its name"),
    "short id": ("sid", RNG.permutation(10**6 + np.arange(N) * 37), "an id by its name"),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_left_out_with_a_finding(tmp_path, kind):
    name, values, why = LEAKS[kind]
    data = brought(tmp_path, "died", **{name: values})
    assert data.features == ("age", "crp")
    assert why in looks(data)


def test_a_column_that_parts_the_classes_is_told(tmp_path):
    data = brought(tmp_path, score=(Y * 10 + RNG.random(N)).round(2))
    assert data.features == ("age", "crp", "score")
    assert "its values alone part the classes" in looks(data)


def test_classes_written_over_several_columns(tmp_path):
    flags = {f"class_{c}": (k == THREE).astype(int) for k, c in enumerate("ABC")}
    data = brought(tmp_path, None, **flags)
    assert (data.features, data.roles["label"]) == (("age", "crp"), "class_C")
    assert "write them as one" in looks(data)
    data = brought(tmp_path, None, **flags, label=np.array(list("ABC"))[THREE])
    assert (data.features, data.roles["label"]) == (("age", "crp"), "label")


PART = RNG.random(N) < 0.3
SPLITS = {
    "train": np.where(PART, "False", "True"),
    "dataset": np.where(PART, "external test", "train"),
    "usage": np.where(PART, np.where(AGE > 55, "PublicTest", "PrivateTest"), "Training"),
    "in_train": np.where(PART, "nein", "ja"),
}


@pytest.mark.parametrize("name", SPLITS)
def test_own_parts(tmp_path, name):
    data = brought(tmp_path, **{name: SPLITS[name]})
    assert (data.features, data.roles["split"]) == (("age", "crp"), name)
    assert (data.splits == "train").sum() == (~PART).sum()


IDS = {
    "id": [f"P{k // 3:02}_{k % 3 + 1}" for k in range(N)],
    "sample": [f"P{k // 3:02}-V{k % 3 + 1}" for k in range(N)],
    "record": [f"sub-{k // 3:03}_ses-{k % 3 + 1:02}" for k in range(N)],
    "eye_id": [f"{1000 + k // 2}{'LR'[k % 2]}" for k in range(N)],
}


@pytest.mark.parametrize("name", IDS)
def test_ids_of_visits_tell_patients(tmp_path, name):
    data = brought(tmp_path, **{name: IDS[name]})
    each = 2 if name == "eye_id" else 3
    assert (data.roles["group"], data.features) == ("patient", ("age", "crp"))
    assert pd.Series(data.groups).nunique() == N // each
    assert (
        pd.DataFrame({"who": data.groups, "part": data.splits})
        .groupby("who")["part"]
        .nunique()
        .max()
        == 1
    )
    assert "the beginnings of the ids" in looks(data)
    assert [
        g["role"] for g in preview(tmp_path / "a.csv")["guesses"] if g["column"] == "patient"
    ] == ["patient"]


def test_made_patients_can_be_refused(tmp_path):
    brought(tmp_path, id=IDS["id"])
    data = read(tmp_path / "a.csv", roles={"patient": "left out"})
    assert data.groups is None


NO_VISITS = {
    "wells": [f"{'ABCDEFGH'[k % 8]}_{k // 8 + 1}" for k in range(N)],
    "numbered": [f"P{k:03}" for k in range(N)],
    "year and number": [f"2020-{k:03}" for k in range(N)],
}


@pytest.mark.parametrize("kind", NO_VISITS)
def test_other_ids_tell_no_patients(tmp_path, kind):
    assert "group" not in brought(tmp_path, id=NO_VISITS[kind]).roles


def test_a_ward_is_a_site(tmp_path):
    data = brought(tmp_path, ward=[f"{k % 12:02}" for k in range(N)])
    assert data.roles.get("domain") == "ward"
    assert "group" not in data.roles


@pytest.mark.parametrize("words", [["Y", "N", "yes", "no", "1", "0"], ["M", "F", "male", "female"]])
def test_words_that_mean_the_same_are_told(tmp_path, words):
    data = brought(tmp_path, smoker=(words * N)[:N])
    assert "words that mean the same count as different" in looks(data)


@pytest.mark.parametrize(
    "cells", [["2019-05", "2020-11", "2018-01"], ["01/28/2020 1:30 PM", "02/03/2020 11:05 AM"]]
)
def test_months_and_hours_are_times(tmp_path, cells):
    data = brought(tmp_path, seen=(cells * N)[:N])
    assert data.features == ("age", "crp")
    assert any("seen" in r and "dates" in r for r in data.card["rules"])
