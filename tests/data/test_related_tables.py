"""Tables of one folder that belong together by a shared column."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from core.data.checks import check_dataset
from core.data.readers import preview, read
from core.errors import UserError


def _write(path, header, lines):
    path.write_text("\n".join([header, *lines]) + "\n")


def test_labels_in_a_file_of_their_own_are_joined_by_id(tmp_path):
    ids = [f"S{k:03}" for k in range(40)]
    _write(
        tmp_path / "features.csv",
        "id,age,crp",
        [f"{i},{30 + k},{k * 7 % 11}" for k, i in enumerate(ids)],
    )
    _write(tmp_path / "labels.csv", "id,label", [f"{i},{'ab'[int(i[1:]) % 2]}" for i in ids[::-1]])
    data = read(tmp_path)
    assert (len(data), data.features, data.classes) == (40, ("age", "crp"), ["a", "b"])
    assert data.table["label"].tolist() == ["ab"[k % 2] for k in range(40)]
    assert "labels.csv: its columns are joined by “id” (label)" in data.card["rules"]
    assert preview(tmp_path)["columns"] == ["id", "age", "crp", "label"]


def test_facts_of_patients_stand_beside_each_of_their_visits(tmp_path):
    _write(
        tmp_path / "patients.csv",
        "patient_id,sex,born",
        [f"{k},{'MF'[k % 2]},{1940 + k}" for k in range(12)],
    )
    rows = [f"{k % 12},{110 + k * 13 % 50},{'ab'[k // 5 % 2]}" for k in range(48)]
    _write(tmp_path / "visits.csv", "patient_id,sbp,diagnosis", rows)
    data = read(tmp_path)
    assert (len(data), data.roles["group"], data.roles["label"]) == (48, "patient_id", "diagnosis")
    assert data.table["born"].tolist() == [1940 + k % 12 for k in range(48)]


def test_a_list_of_codes_writes_them_out(tmp_path):
    words = ["skin", "heart", "brain"]
    text = "The patient was seen in the ward and treated for number {} of the study as planned."
    rows = [f'{k % 3 + 1},"{text.format(k)}"' for k in range(30)]
    _write(tmp_path / "abstracts.csv", "condition_label,abstract", rows)
    _write(
        tmp_path / "names.csv",
        "condition_label,condition_name",
        [f"{k + 1},{w}" for k, w in enumerate(words)],
    )
    (tmp_path / "README.md").write_text("about")
    data = read(tmp_path)
    assert (data.modality, len(data), data.classes) == ("text", 30, ["brain", "heart", "skin"])
    assert data.table["condition_label"].tolist() == [words[k % 3] for k in range(30)]
    assert any("1 = skin, 2 = heart, 3 = brain" in rule for rule in data.card["rules"])


@pytest.mark.parametrize(
    "other",
    [
        [
            "id,alter,label",
            *(f"{k},{40 + k},{'ab'[k // 3 % 2]}" for k in range(30)),
        ],  # other labels
        ["id,alter", *(f"{k + 100},{40 + k}" for k in range(30))],  # other ids
        ["id,alter", *(f"{k // 2},{40 + k}" for k in range(60))],  # ids twice
    ],
)
def test_tables_that_do_not_belong_together_are_refused(tmp_path, other):
    _write(
        tmp_path / "a.csv",
        "id,age,label",
        [f"{k},{30 + k},{'ab'[k % 2]}" for k in range(60 if len(other) > 40 else 30)],
    )
    _write(tmp_path / "b.csv", other[0], other[1:])
    with pytest.raises(UserError, match="other columns"):
        read(tmp_path)


def test_a_list_of_codes_changes_nothing_for_the_check(tmp_path):
    _write(
        tmp_path / "a.csv",
        "grp_code,x,y",
        [f"{k % 2},{k * 7 % 31},{k * 5 % 17}" for k in range(60)],
    )
    _write(tmp_path / "codes.csv", "grp_code,meaning", ["0,control", "1,treated"])
    data = read(tmp_path)
    assert "grp_code=control" in data.features or "grp_code" in data.roles.values()
    assert not [f for f in check_dataset(data) if f.severity == "stop" and f.kind == "duplicates"]


def _two_parts(folder, names, lacks=("test",)):
    """Tables of 30 rows each, those of `lacks` without the outcome."""
    rng = np.random.default_rng(0)
    for name in names:
        table = pd.DataFrame(
            {"age": rng.integers(20, 80, 30), "crp": rng.normal(5, 1, 30).round(2)}
        )
        if not any(word in name for word in lacks):
            table["relapse"] = [k % 2 for k in range(30)]
        (folder / name).parent.mkdir(exist_ok=True)
        write = table.to_parquet if name.endswith("parquet") else partial(table.to_csv, index=False)
        write(folder / name)


@pytest.mark.parametrize(
    "names", [("test.csv", "train.csv"), ("test/heart.parquet", "train/heart.parquet")]
)
def test_a_test_table_without_the_label_is_unlabelled_test_rows(tmp_path, names):
    _two_parts(tmp_path, names)
    data = read(tmp_path)
    assert (len(data), data.features, data.classes) == (60, ("age", "crp"), ["0", "1"])
    assert data.roles == {"split": "split", "label": "relapse"}
    assert data.splits.tolist() == ["test"] * 30 + ["train"] * 30
    assert data.labels.tolist() == [-1] * 30 + [0, 1] * 15
    assert any(
        r.startswith(f"{names[0]} lacks “relapse”") and r.endswith("are cases without a label")
        for r in data.card["rules"]
    )
    seen = preview(tmp_path)
    assert {g["column"]: g["role"] for g in seen["guesses"]} == {
        "age": "input",
        "crp": "input",
        "relapse": "outcome",
        "split": "split",
    }


def test_files_called_train_and_test_are_the_parts(tmp_path):
    """Not sites, with a split of their own over both."""
    _two_parts(tmp_path, ("bern_test.csv", "bern_train.csv", "ulm_train.csv"), lacks=())
    data = read(tmp_path)
    assert data.splits.tolist() == ["test"] * 30 + ["train"] * 60
    assert data.domains.tolist()[::30] == ["bern", "bern", "ulm"]
    assert data.features == ("age", "crp")


def test_tables_of_places_that_lack_a_column_are_refused(tmp_path):
    _two_parts(tmp_path, ("bern.csv", "ulm.csv"), lacks=("ulm",))
    with pytest.raises(UserError, match=r"relapse.; only tables of the same columns"):
        read(tmp_path)
