"""Tables: types, separators, headers, missing values, several files, Parquet, text; and one
sentence for what is wrong.
"""

import numpy as np
import pandas as pd
import pytest

from core.data.checks import check_dataset
from core.data.readers import preview, read
from core.data.readers.joined_tables import read_frame
from core.errors import UserError
from core.evidence import shared_data

RNG = np.random.default_rng(0)


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(n=40, **columns):
    frame = pd.DataFrame({"age": RNG.integers(20, 90, n), "crp": RNG.normal(size=n).round(3)})
    return frame.assign(**columns)


def test_types_are_inferred_and_names_left_out(tmp_path):
    n = 40
    frame = rows(
        n,
        sex=["f", "m"] * 20,
        zip=[f"0{k}123" for k in range(n)],
        case_no=[f"C{k}" for k in range(n)],
        unit="mg",
        diagnosis=["ill", "well"] * 20,
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = read(tmp_path / "t.csv")
    assert data.features == ("age", "crp", "sex=f", "sex=m")
    assert data.roles["label"] == "diagnosis"
    assert data.table["zip"][3] == "03123"
    assert any("zip, case_no, unit" in r for r in data.card["rules"])
    assert np.array_equal(data.inputs()[:, 0], frame["age"])


def test_group_and_domain_asked_for_are_not_inputs(tmp_path):
    rows(40, ward=np.arange(40) // 4, scanner_no=np.arange(40) % 3).to_csv(
        tmp_path / "t.csv", index=False
    )
    data = read(tmp_path / "t.csv", group="ward", domain="scanner_no")
    assert data.features == ("age", "crp")
    assert data.table.groupby("ward")["split"].nunique().max() == 1
    with pytest.raises(UserError, match=r"no column “clinic” \(there are: age, crp"):
        read(tmp_path / "t.csv", group="clinic")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a;b\n1,5;2\n2,25;3\n", [[1.5, 2], [2.25, 3]]),
        ("a\tb\n1\t2\n3\t4\n", [[1, 2], [3, 4]]),
        ("a|b\n1|2\n3|4\n", [[1, 2], [3, 4]]),
        ("a b\n1  2\n3 4\n", [[1, 2], [3, 4]]),
        ('a,b\n"1,5",2\n"2,25",3\n', [[1.5, 2], [2.25, 3]]),
        ('"a;x",b\n1,2\n3,4\n', [[1, 2], [3, 4]]),
        ("\ufeffa,b\r\n1,2\r\n\r\n3,4\r\n,\r\n", [[1, 2], [3, 4]]),
        ("a;b\n1,500;2\n2,250;3\n", [[1.5, 2], [2.25, 3]]),
        ("a,b\n'1',2\n'3',4\n", [[1, 2], [3, 4]]),
    ],
)
def test_separators_commas_and_blank_lines(tmp_path, content, expected):
    assert read(written(tmp_path / "t.csv", content)).inputs().tolist() == expected


def test_encodings_and_names_with_umlauts(tmp_path):
    for code in ("utf-8", "utf-16", "latin-1"):
        frame = frame_of_bytes(tmp_path, "größe,ort\n1,Köln\n2,Bonn\n".encode(code))
        assert list(frame.columns) == ["größe", "ort"]
        assert frame["ort"][0] == "Köln"


def frame_of_bytes(folder, content):
    from core.data.readers.files import collect

    return read_frame(collect(written(folder / "x.csv", content))[0])


def test_a_file_without_a_header_keeps_its_first_row(tmp_path):
    data = read(written(tmp_path / "t.txt", "0.5 1 ?\n1.5 2 4\n2.5 9 5\n"))
    assert data.inputs()[:, :2].tolist() == [[0.5, 1], [1.5, 2], [2.5, 9]]
    assert data.features == ("column 1", "column 2", "column 3")
    assert any("first line" in r for r in data.card["rules"])
    # as pandas writes names it makes up
    counted = read(written(tmp_path / "c.csv", "0,1\n5,6\n7,9\n"))
    assert (len(counted), counted.features) == (2, ("0", "1"))


def test_a_csv_that_begins_like_a_bitmap(tmp_path):
    content = "BMI,age\n" + "\n".join(f"{20 + k / 10},{k}" for k in range(20))
    assert read(written(tmp_path / "t.csv", content)).features == ("BMI", "age")


def test_missing_values_stay_missing(tmp_path):
    data = read(written(tmp_path / "t.csv", "a,b,sex\n1,NA,f\n?,2,m\n3,,f\n4,5,\n"))
    assert np.isnan(data.inputs()).tolist() == [
        [False, True, False, False],
        [True, False, False, False],
        [False, True, False, False],
        [False, False, True, True],
    ]
    assert data.card["missing values"] == {"a": 1, "b": 2, "sex": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n\n3,4,5\n", "t.csv, line 4 has 3 values where the first line has 2"),
        ('a,b\n"x\ny",2\n3\n', "t.csv, line 4 has 1 value where"),
        ("a,b\n1,2\n\n3,inf\n", "t.csv, line 4, column “b”: “inf” is not a finite number"),
        ("a,b\n1,2\n3,1e300\n", "column “b”: “1e300” is not a finite"),
        ('a,b\n1,2\n3,"1,234"\n', "line 3, column “b”: “1,234” may have a decimal comma"),
        ("a,a\n1,2\n3,4\n", "two columns called “a”"),
        ("x 0 0\ny 1 2\n".replace(" ", ","), "line 1 says “0” twice"),
        ("a,b\n", "header but no rows"),
        ("a,b\n1,2\n", "1 row"),
        ("", "empty"),
        (" \n\n", "empty"),
        ("a,b\nx,p\nx,p\n", "no column of numbers"),
        (b"a,b\n1,\x002\n3,4\n", "binary zeros"),
    ],
)
def test_what_is_wrong_is_said_with_line_and_column(tmp_path, content, said):
    path = written(tmp_path / "t.csv", content)
    with pytest.raises(UserError) as e:
        read(path)
    assert said in str(e.value)
    assert "t.csv" in str(e.value)
    assert "\n" not in str(e.value)


def test_text_columns(tmp_path):
    words = [
        f"The patient of bed {k} came with a cough that had lasted for {k + 2} days."
        for k in range(20)
    ]
    frame = pd.DataFrame({"note": words, "age": range(30, 50), "label": ["a", "b"] * 10})
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = read(tmp_path / "t.csv")
    assert (data.modality, data.texts[3], data.classes) == ("text", words[3], ["a", "b"])
    assert read(tmp_path / "t.csv", text="none").modality == "table"
    frame.loc[4, "note"] = ""
    frame.to_csv(tmp_path / "t.csv", index=False)
    # not every row has words, so it is no text by itself
    assert read(tmp_path / "t.csv").modality == "table"
    with pytest.raises(UserError, match=r"t\.csv, line 6, column “note” is empty"):
        read(tmp_path / "t.csv", text="note")
    with pytest.raises(UserError, match="no column “story”"):
        read(tmp_path / "t.csv", text="story")


def test_parquet(tmp_path):
    frame = rows(
        40,
        smoker=[True, False] * 20,
        stage=pd.Categorical(["I", "II"] * 20),
        label=["a", "a", "b", "b"] * 10,
    )
    frame["hb"] = pd.array([None, 3] * 19 + [4, 5], dtype="Int64")
    frame.to_parquet(tmp_path / "t.parquet")
    data = read(tmp_path / "t.parquet")
    assert data.features == ("age", "crp", "smoker", "stage=I", "stage=II", "hb")
    assert np.isnan(data.inputs()[0, 5])
    assert data.inputs()[1, 5] == 3
    whole = (tmp_path / "t.parquet").read_bytes()
    with pytest.raises(UserError, match=r"cut\.parquet cannot be read as Parquet"):
        read(written(tmp_path / "cut.parquet", whole[:500]))
    rows(40, crp=[1.0] * 7 + [np.inf] * 33).to_parquet(tmp_path / "inf.parquet")
    with pytest.raises(UserError, match=r"inf\.parquet, row 7, column “crp”"):
        read(tmp_path / "inf.parquet")
    rows(40, spans=[[1, 2]] * 40).to_parquet(tmp_path / "list.parquet")
    with pytest.raises(UserError, match="column “spans” holds"):
        read(tmp_path / "list.parquet")


def test_several_tables_of_the_same_columns_are_one(tmp_path):
    a, b = rows(30), rows(20)
    a.to_csv(tmp_path / "bern.csv", index=False)
    b[["crp", "age"]].to_csv(tmp_path / "ulm.csv", index=False)
    (tmp_path / "README.md").write_text("two hospitals")
    data = read(tmp_path)
    assert (len(data), data.roles["domain"], data.features) == (50, "domain", ("age", "crp"))
    assert list(data.domains) == ["bern"] * 30 + ["ulm"] * 20
    assert data.inputs()[30:, 0].tolist() == b["age"].tolist()
    assert data.card["left out"] == ["README.md"]
    assert preview(tmp_path)["columns"] == ["age", "crp", "domain"]
    (tmp_path / "ulm.csv").write_text("age,crp\n30,1\n40,1,2\n")
    with pytest.raises(UserError, match=r"ulm\.csv, line 3 has 3 values"):
        read(tmp_path)
    (tmp_path / "ulm.csv").write_text("age,crp\n30,1\n40,inf\n")
    with pytest.raises(UserError, match=r"ulm\.csv, line 3, column “crp”"):
        read(tmp_path)
    (tmp_path / "ulm.csv").write_text("age,hb\n30,1\n40,1\n")
    with pytest.raises(
        UserError, match=r"ulm\.csv has other columns than bern\.csv \(it lacks crp and adds hb\)"
    ):
        read(tmp_path)


@pytest.mark.skipif(shared_data() is None, reason="the real open data is not here")
def test_real_tables():
    folder = shared_data() / "heart_disease_4sites"
    data = read(folder)
    assert data.roles["label"] == "num"
    assert data.card["left out"] == [
        "original/processed.switzerland.data",
        "original/reprocessed.hungarian.data",
    ]
    assert (len(data), data.shape, data.classes) == (920, (13,), ["not_present", "present"])
    sites, n = np.unique(data.domains.astype(str), return_counts=True)
    assert dict(zip(sites, n.tolist())) == {
        "processed.cleveland": 303,
        "processed.switzerland": 123,
        "processed.va": 200,
        "reprocessed.hungarian": 294,
    }
    # only the Hungarian file writes -9
    assert next(f for f in check_dataset(data) if f.kind == "codes").rows[0] >= 626
    text = read(shared_data() / "medical_abstracts_tc" / "medical_tc.csv", label="condition_label")
    assert (text.modality, len(text), text.classes) == ("text", 2311, ["1", "2", "3", "4", "5"])


def test_tables_without_names_beside_those_with_names_are_left_aside(tmp_path):
    body = "".join(f"{k},{k * 7 % 11},{k % 2}\n" for k in range(30))
    (tmp_path / "original").mkdir()
    for name in ("east", "west"):
        (tmp_path / f"{name}.csv").write_text("age,crp,outcome\n" + body)
        (tmp_path / "original" / f"{name}.csv").write_text(body)
    data = read(tmp_path)
    assert (len(data), data.domains.tolist()[::30]) == (60, ["east", "west"])
    assert data.card["left out"] == ["original/east.csv", "original/west.csv"]
    assert preview(tmp_path)["columns"] == ["age", "crp", "outcome", "domain"]


def test_other_tables_without_names_are_refused(tmp_path):
    body = "".join(f"{k},{k * 7 % 11},{k % 2}\n" for k in range(30))
    (tmp_path / "a.csv").write_text("age,crp,outcome\n" + body)
    (tmp_path / "b.csv").write_text(body)
    with pytest.raises(
        UserError, match=r"b\.csv begins with numbers where a\.csv begins with names"
    ):
        read(tmp_path)


def test_long_lists_of_columns_are_cut(tmp_path):
    for name in "ab":
        names = [f"{name}_{'x' * 60}_{j}" for j in range(2000)]
        (tmp_path / f"{name}.csv").write_text(
            ",".join(names) + "\n" + (",".join("1" * 2000) + "\n") * 3
        )
    with pytest.raises(UserError, match="and 1,994 more") as e:
        read(tmp_path)
    assert len(str(e.value)) < 800


def test_letters_of_windows_are_read_as_such(tmp_path):
    rows = [
        f"{k * 7 % 11},{['µg', '°C', '“q”', '5 €'][k % 4]},{'ab'[k // 3 % 2]}" for k in range(40)
    ]
    (tmp_path / "a.csv").write_bytes("\n".join(["a,b,label", *rows]).encode("cp1252"))
    data = read(tmp_path / "a.csv")
    assert data.features == ("a", "b=5 €", "b=°C", "b=µg", "b=“q”")
    assert any("read as Windows-1252" in rule for rule in data.card["rules"])


@pytest.mark.parametrize("sparse", [False, True])
def test_a_file_of_libsvm_is_called_so(tmp_path, sparse):
    rows = [f"{k % 2} 1:0.{k} 2:{k}{'' if sparse and k % 2 else ' 3:-1e-3'}" for k in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(rows) + "\n")
    with pytest.raises(UserError, match="as LIBSVM does"):
        read(tmp_path / "a.txt")


@pytest.mark.parametrize("names", ["{}/im{}.png", "C:\\data\\{}\\im{}.png", "./{}/im{}"])
def test_pictures_of_one_name_in_two_folders_are_told_apart_by_their_paths(tmp_path, names):
    from PIL import Image

    rows = []
    for k in range(12):
        folder, number = ("train", "test")[k % 2], k // 2
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), 20 * k, np.uint8)).save(
            tmp_path / folder / f"im{number}.png"
        )
        rows.append(f"{names.format(folder, number)},{'ab'[k // 4 % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows[::-1]]) + "\n")
    data = read(tmp_path)
    order = [(f.split("/")[0] == "test") + 2 * int(f[-5]) for f in data.table["file"]]
    assert data.table["label"].tolist() == ["ab"[k // 4 % 2] for k in order]
    assert data.splits.tolist() == [("train", "test")[k % 2] for k in order]


def test_a_table_of_bare_names_does_not_name_pictures_of_two_folders(tmp_path):
    from PIL import Image

    for k in range(12):
        folder = tmp_path / "ab"[k % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), 20 * k, np.uint8)).save(folder / f"im{k // 2}.png")
    rows = [f"im{k}.png,{'xy'[k % 2]}" for k in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n")
    with pytest.raises(UserError, match="no column that names every picture"):
        read(tmp_path)


def test_a_cell_of_many_numbers_is_no_text(tmp_path):
    rng = np.random.default_rng(0)
    cells = [" ".join(f"{v:.3f}" for v in rng.random(12)) for _ in range(40)]
    rows = [f'"[{cell}]",{k % 7},{"ab"[k // 3 % 2]}' for k, cell in enumerate(cells)]
    (tmp_path / "a.csv").write_text("\n".join(["embedding,x,label", *rows]) + "\n")
    data = read(tmp_path / "a.csv")
    assert (data.modality, data.features) == ("table", ("x",))
    assert any("embedding" in rule and "left out" in rule for rule in data.card["rules"])


def test_the_weight_of_a_case_is_no_input_and_that_of_a_person_is(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{60 + k * 7 % 31},{rng.random():.3f},{'ab'[k // 3 % 2]}" for k in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(["weight,sample_weight,label", *rows]) + "\n")
    data = read(tmp_path / "a.csv")
    assert data.features == ("weight",)
    assert [f for f in check_dataset(data) if "sample_weight" in f.words and f.severity == "look"]


def test_thousands_in_pairs_are_read(tmp_path):
    rows = [f'"{1 + k % 9},{10 + k % 80},{100 + k}",{"ab"[k % 2]}' for k in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(["cost,label", *rows]) + "\n")
    assert read(tmp_path / "a.csv").inputs()[:2, 0].tolist() == [110100, 211101]
