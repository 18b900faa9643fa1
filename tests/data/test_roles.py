"""What each column of a table is taken for: by its values first, by its name beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data.checks.table import table_findings
from core.data.normal import ASIDE, guess_normal, keep_normal_only
from core.data.readers import preview, read
from core.data.role_words import is_patient, tokens
from core.data.roles import guess_roles
from core.data.splits import own_split
from core.errors import UserError

N = 120
RNG = np.random.default_rng(0)


def table(**more: object) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {"age": rng.integers(20, 90, N), "crp": rng.normal(5, 2, N).round(3), **more}
    )


def random(*words: object, seed: int = 5) -> list[object]:
    return list(np.random.default_rng(seed).choice(np.array(words, dtype=object), N))


def roles_of(frame: pd.DataFrame, **how: object) -> dict[str, str]:
    return {g.column: g.role for g in guess_roles(frame, **how)}  # type: ignore[arg-type]


def doubts(frame: pd.DataFrame) -> set[str]:
    return {g.column for g in guess_roles(frame) if g.doubtful}


REPEATED = [f"{1000 + i // 4}" for i in range(N)]
CLASSES = random("ill", "well", seed=11)

CASES = {
    # patients: many values with few rows each
    "MRN": ({"MRN": [int(v) for v in REPEATED]}, "MRN", "patient"),
    "SubjectID": ({"SubjectID": [f"S{v}" for v in REPEATED]}, "SubjectID", "patient"),
    "subject": ({"subject": REPEATED}, "subject", "patient"),
    "pat_nr": ({"pat_nr": REPEATED}, "pat_nr", "patient"),
    "Fall-Nr": ({"Fall-Nr": REPEATED}, "Fall-Nr", "patient"),
    "Patient ID": ({"Patient ID": REPEATED}, "Patient ID", "patient"),
    "group of few": ({"group": [f"f{v}" for v in REPEATED]}, "group", "patient"),
    "ids by their values": ({"who": [f"P{v}" for v in REPEATED]}, "who", "patient"),
    "patient_age is none": ({"patient_age": random(30, 40, 50)}, "patient_age", "input"),
    # two groups, classes, parts
    "arms": ({"group": random("control", "treatment")}, "group", "input"),
    "three arms": ({"group": random("a", "b", "c")}, "group", "input"),
    "group equals class": (
        {"group": ["g1" if c == "ill" else "g2" for c in CLASSES]},
        "group",
        "left out",
    ),
    # parts
    "set": ({"set": random("train", "test")}, "set", "split"),
    "usage": ({"usage": random("Training", "Validation", "Test")}, "usage", "split"),
    "fold_name": ({"fold_name": random("tr", "va", "te")}, "fold_name", "split"),
    "any name": ({"zzz": random("train", "dev", "holdout")}, "zzz", "split"),
    "is_test": ({"is_test": random(0, 1)}, "is_test", "split"),
    "split of other values": ({"split": random("A", "B")}, "split", "left out"),
    "folds": ({"fold": random(0, 1, 2, 3, 4)}, "fold", "left out"),
    "test is a lab's word": ({"test": random("positive", "negative")}, "test", "input"),
    # row numbers
    "Unnamed: 0": ({"Unnamed: 0": range(N)}, "Unnamed: 0", "left out"),
    "from one": ({"nr": range(1, N + 1)}, "nr", "left out"),
    "backwards": ({"nr": range(N, 0, -1)}, "nr", "left out"),
    "shuffled": ({"index": np.random.default_rng(2).permutation(N)}, "index", "left out"),
    "with gaps": ({"Unnamed: 0": np.arange(N) * 3 + 1}, "Unnamed: 0", "left out"),
    "no name tells": ({"zahl": range(N)}, "zahl", "left out"),
    "two files": ({"index": [*range(60), *range(60)]}, "index", "left out"),
    "an age is none": ({"pack_years": RNG.integers(0, 40, N)}, "pack_years", "input"),
    # ids, constants, dates
    "numeric id": ({"stay_id": RNG.choice(10**6, N, replace=False)}, "stay_id", "left out"),
    "constant": ({"unit": ["mg"] * N}, "unit", "left out"),
    "empty": ({"note": [None] * N}, "note", "left out"),
    "dates": ({"seen": [f"2024-0{1 + i % 9}-11" for i in range(N)]}, "seen", "time"),
    # twins of the outcome
    "code beside word": ({"code": [int(c == "ill") for c in CLASSES]}, "code", "left out"),
    "y beside label": ({"y": [int(c == "ill") for c in CLASSES]}, "y", "left out"),
    # sites
    "hospital": ({"hospital": random("north", "south", "east")}, "hospital", "site"),
    "Center": ({"Center": random(1, 2, 3)}, "Center", "site"),
    "site per row": ({"site": [f"s{i}" for i in range(N)]}, "site", "left out"),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_role_of_a_column(case: str) -> None:
    more, column, role = CASES[case]
    assert roles_of(table(**more, label=CLASSES))[column] == role


OUTCOMES = {
    "DEATH_EVENT": (0, 1),
    "outcome": (0, 1),
    "Outcome": (0, 1),
    "target": (0, 1),
    "diagnosis": ("M", "B"),
    "survived": (0, 1),
    "HeartDisease": (0, 1),
    "status": ("dead", "alive"),
    "stroke": (0, 1),
    "num": ("present", "not_present"),
    "class": ("a", "b", "c"),
    "y": (0, 1),
    "condition": (0, 1),
    "malignant": (True, False),
    "readmitted": ("yes", "no"),
    "in_hospital_mortality": (0, 1),
    "label": (0, 1, 2),
    "hd": ("present", "absent"),
    "event": (0, 1),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_outcome_of_a_clinical_table(name: str) -> None:
    """14 columns, two of them yes or no; the last is the outcome."""
    frame = table(
        **{f"lab{k}": RNG.normal(size=N) for k in range(8)},
        sex=random("m", "f"),
        smoker=random(0, 1, seed=9),
        anaemia=random(0, 1, seed=8),
    )
    frame[name] = random(*OUTCOMES[name], seed=3)
    found = roles_of(frame)
    assert found[name] == "outcome"
    assert found["sex"] == found["smoker"] == "input"


@pytest.mark.parametrize("name", ["DEATH_EVENT", "diagnosis", "target", "died", "label"])
def test_an_outcome_in_front_is_found_by_its_name(name: str) -> None:
    frame = pd.DataFrame({name: random(0, 1)}).join(table(sex=random("m", "f")))
    assert roles_of(frame)[name] == "outcome"


def test_no_outcome_where_nothing_speaks_for_one() -> None:
    frame = table(a=random(0, 1), b=random(0, 1, seed=2), sex=random("m", "f"))
    assert "outcome" not in roles_of(frame).values()
    assert "outcome" not in roles_of(table(sex=random("m", "f"))).values()


def test_a_last_column_that_is_only_perhaps_the_outcome_is_a_doubt() -> None:
    frame = table(zz=random("q", "r"))
    assert roles_of(frame)["zz"] == "outcome"
    assert "zz" in doubts(frame)


def test_a_second_outcome_gives_the_answer_away_and_is_a_doubt() -> None:
    frame = table(death=random(0, 1, seed=2), outcome=CLASSES)
    assert roles_of(frame)["death"] == "left out"
    assert "death" in doubts(frame)


def test_a_measurement_is_no_class() -> None:
    frame = table(target=np.random.default_rng(3).normal(size=N))
    assert roles_of(frame)["target"] == "left out"
    assert "target" in doubts(frame)


def test_the_only_column_of_numbers_stays_one() -> None:
    frame = pd.DataFrame({"x1": range(30), "label": ["a", "b"] * 15})
    assert roles_of(frame)["x1"] == "input"
    assert "x1" in doubts(frame)


def test_names_are_cut_into_words() -> None:
    assert tokens("SubjectID") == ["subject", "id"]
    assert tokens("DEATH_EVENT") == ["death", "event"]
    assert tokens("MRN") == ["mrn"]
    assert is_patient("PatientID")
    assert is_patient("pat_nr")
    assert not is_patient("patient_age")
    assert not is_patient("path")


def test_words_of_parts_with_a_gap_are_no_split() -> None:
    assert own_split(pd.Series(["train", None, "test"])) is None
    assert own_split(pd.Series(["train", "train"]), "anything") is None
    assert own_split(pd.Series(["Training Set", "Test-Set"]), "x").tolist() == ["train", "test"]  # type: ignore[union-attr]
    frame = table(split=[None, *random("train", "test")[1:]], label=CLASSES)
    assert roles_of(frame)["split"] == "left out"
    assert "split" in doubts(frame)


# -- asked -----------------------------------------------------------------------------------------
def test_a_person_s_word_counts_more() -> None:
    frame = table(group=random("control", "treatment"), index=range(N), label=CLASSES)
    found = roles_of(
        frame, asked={"group": "outcome", "label": "left out", "index": "input", "age": "patient"}
    )
    assert found == {
        "age": "patient",
        "crp": "input",
        "group": "outcome",
        "index": "input",
        "label": "left out",
    }


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"nope": "input"}, "no column “nope”"),
        ({"age": "king"}, "no role"),
        ({"age": "outcome", "crp": "outcome"}, "both be the outcome"),
        ({"label": "split"}, "cannot be the split: it holds “"),
    ],
)
def test_roles_that_cannot_be(asked: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        guess_roles(table(label=CLASSES), asked=asked)


# -- through the reader ----------------------------------------------------------------------------
def brought(tmp_path, frame: pd.DataFrame, index: bool = False, **how: object):
    frame.to_csv(tmp_path / "t.csv", index=index)
    return read(tmp_path / "t.csv", **how)  # type: ignore[arg-type]


def test_a_group_that_is_an_arm_is_an_input(tmp_path) -> None:
    data = brought(
        tmp_path, table(group=random("control", "treatment"), outcome=random(0, 1, seed=4))
    )
    assert "group" not in data.roles
    assert {"group=control", "group=treatment"} <= set(data.features)
    assert all(len(set(data.part(p).frame["group"])) == 2 for p in ("train", "val", "test"))
    assert [f.severity for f in table_findings(data) if f.kind == "role input"] == ["look"]


@pytest.mark.parametrize("kind", ["two", "classes", "parts"])
def test_groups_that_are_no_patients_are_a_stop(tmp_path, kind: str) -> None:
    values = {
        "two": random("a", "b"),
        "classes": [f"g {c}" for c in random("x", "y", "z")],
        "parts": [f"g {c}" for c in random("train", "val", "test", seed=7)],
    }
    frame = table(
        group=values[kind], label=random("x", "y", "z"), set=random("train", "val", "test", seed=7)
    )
    data = brought(tmp_path, frame, group="group")
    assert data.roles["group"] == "group"
    assert [f.severity for f in table_findings(data) if f.kind == f"groups {kind}"] == ["stop"]


def test_row_numbers_without_a_name_are_no_input(tmp_path) -> None:
    data = brought(tmp_path, table(label=sorted(CLASSES)), index=True)
    assert data.features == ("age", "crp")
    assert any("counts the rows" in rule for rule in data.card["rules"])


def test_the_own_split_is_used_whatever_its_name(tmp_path) -> None:
    parts = ["test" if i // 4 % 4 == 0 else "train" for i in range(N)]
    data = brought(tmp_path, table(MRN=REPEATED, set=parts, label=CLASSES))
    assert data.roles["group"] == "MRN"
    assert data.splits.tolist() == parts
    assert data.features == ("age", "crp")


def test_a_forced_input_that_cannot_be_one_is_a_sentence(tmp_path) -> None:
    with pytest.raises(UserError, match="cannot be an input: it holds 120 different words"):
        brought(tmp_path, table(name=[f"n{i}" for i in range(N)]), roles={"name": "input"})


def test_where_the_whole_differs_from_the_first_lines(tmp_path) -> None:
    data = brought(tmp_path, table(label=CLASSES), looked={"age": "patient", "crp": "input"})
    assert [r for r in data.card["rules"] if "first lines" in r] == [
        "“age” looked like patient in the first lines; over the whole it is input (numbers)"
    ]


# -- the normal class ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("classes", "label", "normal"),
    [
        (["normal", "pneumonia"], "", "normal"),
        (["AD", "CN", "MCI"], "", "CN"),
        (["0", "1"], "outcome", "0"),
        ([str(k) for k in range(10)], "digit", None),
        (["0", "1"], "survived", "1"),
        (["benign", "malignant"], "", "benign"),
        (["not_present", "present"], "num", "not_present"),
        (["a", "b"], "", None),
        (["NO FINDING", "edema"], "", "NO FINDING"),
        (["Healthy Control", "PD"], "", "Healthy Control"),
        (["no", "yes"], "stroke", "no"),
    ],
)
def test_the_normal_class_by_its_word(classes: list[str], label: str, normal: str | None) -> None:
    found = guess_normal(classes, label)
    assert (found and found[0]) == normal


def test_training_on_normal_cases_keeps_all_cases(tmp_path) -> None:
    data = brought(tmp_path, table(label=CLASSES), normal="well")
    assert data.normal == "well"
    assert data.card["normal guessed"] == ""
    kept = keep_normal_only(data)
    assert len(kept) == N
    assert (
        set(kept.part("train").frame["label"]) == set(kept.part("val").frame["label"]) == {"well"}
    )
    assert (kept.part("test").rows == data.part("test").rows).all()
    assert (kept.splits == ASIDE).any()
    assert not (data.splits == ASIDE).any()
    with pytest.raises(UserError, match="is not a class"):
        brought(tmp_path, table(label=CLASSES), normal="unwell")


# -- the first look --------------------------------------------------------------------------------
def test_the_first_look_shows_the_guess_of_each_column(tmp_path) -> None:
    table(MRN=REPEATED, set=random("train", "test", seed=3), label=CLASSES).to_csv(
        tmp_path / "t.csv", index=False
    )
    found = preview(tmp_path / "t.csv", said={"roles": {"crp": "left out"}})
    assert {g["column"]: g["role"] for g in found["guesses"]} == {
        "age": "input",
        "crp": "left out",
        "MRN": "patient",
        "set": "split",
        "label": "outcome",
    }
    assert found["classes"]["label"] == ["ill", "well"]


def test_the_first_look_shows_the_classes_of_folders(tmp_path) -> None:
    from PIL import Image

    for i, kind in enumerate(["NORMAL", "PNEUMONIA"] * 2):
        (tmp_path / kind).mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / kind / f"{i}.png")
    assert preview(tmp_path)["classes"] == {"folder": ["NORMAL", "PNEUMONIA"]}
    assert read(tmp_path).card["normal"] == "NORMAL"


def test_the_first_look_shows_the_table_beside_pictures(tmp_path) -> None:
    from PIL import Image

    for i in range(12):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / f"im{i}.png")
    sheet = pd.DataFrame(
        {
            "file": [f"im{i}.png" for i in range(12)],
            "MRN": [i // 3 for i in range(12)],
            "usage": ["train", "train", "test"] * 4,
        }
    )
    sheet.assign(DEATH_EVENT=[0, 1] * 6).to_csv(tmp_path / "cases.csv", index=False)
    found = {g["column"]: g["role"] for g in preview(tmp_path)["guesses"]}
    assert found == {"MRN": "patient", "usage": "split", "DEATH_EVENT": "outcome"}
    assert read(tmp_path).roles == {
        "file": "file",
        "group": "MRN",
        "split": "usage",
        "label": "DEATH_EVENT",
    }


@pytest.mark.parametrize("name", ["StudyID", "visit_id", "uid"])
def test_rows_of_one_id_stay_together_and_that_is_a_doubt(name: str) -> None:
    frame = table(label=CLASSES)
    frame.insert(0, name, [i // 2 + 1 for i in range(N)])
    assert roles_of(frame)[name] == "patient"
    assert name in doubts(frame)
    assert (
        roles_of(table(scanner_id=[i // 2 + 1 for i in range(N)], label=CLASSES))["scanner_id"]
        != "patient"
    )
    places = [f"{10000 + i // 2}" for i in range(N)]
    assert roles_of(table(zip=pd.Series(places, dtype=object), label=CLASSES))["zip"] != "patient"


@pytest.mark.parametrize(
    ("time", "event"), [("time", "event"), ("OS_MONTHS", "OS_STATUS"), ("futime", "status")]
)
def test_the_time_to_an_event_is_an_input_with_doubt(time: str, event: str) -> None:
    frame = table(**{time: np.random.default_rng(2).integers(10, 2000, N), event: random(0, 1)})
    assert roles_of(frame)[event] == "outcome"
    assert time in doubts(frame)
    alone = table(time=np.random.default_rng(2).integers(10, 2000, N), label=CLASSES)
    assert "time" not in doubts(alone)


def test_the_only_words_at_the_end_are_the_outcome() -> None:
    frame = table(zone=random("LumA", "LumB", "Basal"))
    assert roles_of(frame)["zone"] == "outcome"
    assert "zone" in doubts(frame)


def test_a_last_column_among_others_like_it_is_said() -> None:
    frame = table(
        a=random(0, 1), b=random(0, 1, seed=2), c=random(0, 1, seed=3), icu=random(0, 1, seed=4)
    )
    assert roles_of(frame)["icu"] == "input"
    assert doubts(frame) == {"icu"}


def test_numbers_of_folds_under_a_short_name_are_no_input() -> None:
    frame = table(cv=random(*range(5)), label=CLASSES)
    assert roles_of(frame)["cv"] == "left out"


def test_words_of_parts_that_depend_on_one_another() -> None:
    said = own_split(pd.Series(["training", "development", "evaluation"]), "x")
    assert said is not None
    assert said.tolist() == ["train", "val", "test"]
    said = own_split(pd.Series(["development", "validation"]), "x")
    assert said is not None
    assert said.tolist() == ["train", "val"]
    said = own_split(pd.Series(["discovery", "replication"]), "cohort")
    assert said is not None
    assert said.tolist() == ["train", "test"]
