"""What words in a table mean: numbers however they are written, marks of missing values, bounds,
ids, dates, classes.
"""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.checks import check_dataset
from core.data.checks.column_values import missing_codes
from core.data.readers import preview, read
from core.data.readers.files import collect
from core.data.readers.joined_tables import join_tables
from core.errors import UserError

NAN = float("nan")


def frame_of(folder, columns, separator=",", name="t.csv"):
    """The columns (lists of words) as a file, and what it is read as."""
    rows = [list(columns), *zip(*columns.values())]
    quoted = ([f'"{w}"' if separator in str(w) else str(w) for w in row] for row in rows)
    (folder / name).write_text("\n".join(separator.join(row) for row in quoted) + "\n")
    return join_tables(collect(folder / name))


NUMBERS = {  # words, separator, the values
    "decimal commas and points for thousands": (
        ["1.100,50", "2.000,00", "950,25"],
        ";",
        [1100.5, 2000, 950.25],
    ),
    "decimal points and commas for thousands": (
        ["1,100.50", "2,000", "950.25"],
        ",",
        [1100.5, 2000, 950.25],
    ),
    "millions": (["1.234.567", "2.000", "950"], ";", [1234567, 2000, 950]),
    "millions, English": (["1,234,567", "2,000", "950"], ",", [1234567, 2000, 950]),
    "hundreds beside thousands": (["1,100", "950", "2,000"], ",", [1100, 950, 2000]),
    "spaces": (["1 100", "12 000,5", "7"], ";", [1100, 12000.5, 7]),
    "narrow spaces that do not break": (["1\u202f100", "2\u00a0000", "7"], ",", [1100, 2000, 7]),
    "apostrophes": (["1'100", "1’200.25", "7"], ",", [1100, 1200.25, 7]),
    "minus signs": (["−5", "–3.2", "- 4", "-1"], ",", [-5, -3.2, -4, -1]),
    "plus signs": (["+5", "+3.25", "4"], ",", [5, 3.25, 4]),
    "powers with a comma": (["1,5E+03", "2,0e-2", "3"], ";", [1500, 0.02, 3]),
    "percent": (["5 %", "7.5 %", "9%"], ",", [5, 7.5, 9]),
    "money": (["€ 1.100,20", "€ 5,00", "€ 7"], ";", [1100.2, 5, 7]),
    "one unit": (["5 mg/dl", "7.5 mg/dl", "9 mg/dl"], ",", [5, 7.5, 9]),
    "an apostrophe in front, as Excel marks words": (["'5", "'7", "9"], ",", [5, 7, 9]),
    "commas and points, both decimal": (["1,5", "2.5", "3"], ";", [1.5, 2.5, 3]),
    "more than 90": (["90+", "85", "40"], ",", [90, 85, 40]),
}


@pytest.mark.parametrize("how", NUMBERS)
def test_numbers_however_they_are_written(tmp_path, how):
    words, separator, values = NUMBERS[how]
    found = frame_of(tmp_path, {"x": words * 3, "n": range(len(words) * 3)}, separator)
    assert found.frame["x"].tolist() == values * 3


def test_neighbours_tell_what_a_point_is(tmp_path):
    n = 12
    points = [f"{4 + k % 3}.{k * 137 % 900 + 100}" for k in range(n)]
    german = frame_of(tmp_path, {"wbc": points, "crea": [f"0,{k + 10}" for k in range(n)]}, ";")
    assert german.frame["wbc"].tolist() == [int(p.replace(".", "")) for p in points]
    assert "points mark thousands in: wbc" in german.rules
    english = frame_of(tmp_path, {"wbc": points, "crea": [f"0.{k + 10}" for k in range(n)]}, ";")
    assert english.frame["wbc"].tolist() == [float(p) for p in points]
    assert not english.notes
    alone = frame_of(tmp_path, {"wbc": points, "k": range(n)}, ",")
    assert alone.frame["wbc"].tolist() == [float(p) for p in points]
    assert not alone.notes
    for separator in (";", "\t"):
        asked = frame_of(tmp_path, {"wbc": points, "k": range(n)}, separator)
        assert asked.frame["wbc"].tolist() == [float(p) for p in points]
        assert [(note.kind, note.count) for note in asked.notes] == [("decimal or thousands", n)]
        assert any("could not be told" in r for r in asked.rules)
    commas = [p.replace(".", ",") for p in points]
    told = frame_of(tmp_path, {"wbc": commas, "crea": [f"0.{k + 10}" for k in range(n)]}, ",")
    assert told.frame["wbc"].tolist() == [int(p.replace(".", "")) for p in points]
    with pytest.raises(UserError, match=r"line 2, column “wbc”: “4,100” may have a decimal comma"):
        frame_of(tmp_path, {"wbc": commas, "k": range(n)}, ",")


def test_neighbours_in_other_files_count_as_well(tmp_path):
    (tmp_path / "a.csv").write_text("x;y\n1.100;0,5\n1.200;0,7\n")
    (tmp_path / "b.csv").write_text("x;y\n1.300;1\n1.400;2\n")
    assert read(tmp_path).inputs()[:, 0].tolist() == [1100, 1200, 1300, 1400]


MARKS = [
    ".",
    "#N/A",
    "n/a",
    "<NA>",
    "-",
    "--",
    "NaN",
    "NULL",
    "missing",
    "?",
    "None",
    "Unknown",
    "n.d.",
    "#DIV/0!",
    "–",
    "k.A.",
    ".A",
    "\\N",
    "",
]


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("share", [0.02, 0.4, 0.9])
def test_marks_of_missing_values_at_any_share(tmp_path, mark, share):
    many = int(100 * share)
    x = [mark if k < many else str(k * 1.5) for k in range(100)]
    found = frame_of(tmp_path, {"x": x, "n": range(100)})
    assert found.frame["x"].isna().sum() == many
    assert found.frame["x"].dropna().tolist() == [k * 1.5 for k in range(many, 100)]
    assert not mark or f"taken as missing: “{mark}” ({many})" in found.rules


def test_values_below_a_limit_are_the_limit_and_told(tmp_path):
    x = ["<0.5" if k % 9 == 4 else "≥ 100" if k == 7 else round(k * 0.1 + 1, 2) for k in range(100)]
    frame_of(tmp_path, {"x": x, "k": range(100), "label": ["a", "b"] * 50})
    data = read(tmp_path / "t.csv")
    assert (data.inputs()[4, 0], data.inputs()[7, 0], data.card.get("missing values")) == (
        0.5,
        100,
        {},
    )
    finding = next(f for f in check_dataset(data) if f.kind == "read: bounds")
    assert (finding.severity, finding.total, finding.rows[:3]) == ("look", 12, [4, 7, 13])
    assert "“x”: “<0.5” (11), “≥ 100” (1)" in finding.words
    assert (
        "values below or above a limit in “x” are taken as the limit: “<0.5” (11), “≥ 100” (1)"
        in data.card["rules"]
    )
    bands = frame_of(tmp_path, {"age": ["<18", "18-65", ">65"] * 10, "k": range(30)})
    assert bands.frame["age"].tolist() == ["<18", "18-65", ">65"] * 10


def test_words_among_numbers_are_told(tmp_path):
    x = ["hemolyzed" if k in (3, 50) else "see note" if k == 9 else k / 7 for k in range(60)]
    frame_of(tmp_path, {"potassium": x, "k": range(60)})
    data = read(tmp_path / "t.csv")
    assert "potassium" in data.features
    finding = next(f for f in check_dataset(data) if f.kind == "read: words")
    assert (finding.rows, finding.total) == ([3, 9, 50], 3)
    assert "“hemolyzed” (2), “see note” (1)" in finding.words
    shared = data.take(np.array([3, 4, 5]))
    assert next(f for f in check_dataset(shared) if f.kind == "read: words").rows == [3]


def test_codes_among_numbers_stay_codes(tmp_path):
    icd = [["250.83", "401", "V57", "E11", "428", "786.5"][k % 6] for k in range(60)]
    grade = [["1", "2", "3a", "3b", "4"][k % 5] for k in range(60)]
    found = frame_of(
        tmp_path, {"diag_1": icd, "severity": grade, "x": [k * 7 % 31 for k in range(60)]}
    )
    assert found.frame["diag_1"].tolist() == icd
    assert found.frame["severity"].tolist() == grade
    data = read(tmp_path / "t.csv")
    assert any(
        "“diag_1” holds numbers, but 20 of 60" in f.words
        for f in check_dataset(data)
        if f.kind == "words"
    )


IDS = {
    "17 digits and a blank": [
        ("" if k == 7 else str(90071992547409930 + k // 2)) for k in range(60)
    ],
    "23 digits": [str(12345678901234567890123 + k // 2) for k in range(60)],
    "19 digits": [str(9223372036854775000 + k // 2) for k in range(60)],
    "20 digits": [str(10000000000000000000 + k // 2) for k in range(60)],
    "like powers": [f"{k // 2 % 30 + 1}E{k // 2 % 3 + 1}" for k in range(60)],
    "zeros in front": [f"00{k // 2}" for k in range(60)],
    "some with letters": [f"{'A' if k // 2 > 20 else ''}{1000 + k // 2}" for k in range(60)],
    "1.1 and 1.10": [f"1.{k // 2 % 3 + 1}{'0' * (k // 6)}" for k in range(60)],
}


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("column", ["patient_id", "SubjectID", "chart"])
def test_ids_stay_apart(tmp_path, kind, column):
    ids = IDS[kind]
    if column == "chart" and kind in ("like powers", "1.1 and 1.10", "some with letters"):
        pytest.skip("nothing says that these are names")
    found = frame_of(tmp_path, {column: ids, "age": range(60)})
    assert found.frame[column].nunique() == len({i for i in ids if i})
    assert found.frame[column].isna().sum() == ids.count("")
    assert found.frame[column].dropna().astype(str).tolist() == [i for i in ids if i]


def test_a_patient_column_asked_for_is_never_taken_for_numbers(tmp_path):
    ward = [f"{k // 4 % 12}" if k % 10 else "north" for k in range(80)]
    frame_of(tmp_path, {"ward": ward, "age": range(80)})
    assert set(read(tmp_path / "t.csv", group="ward").groups) == set(ward)


def test_whole_numbers_too_large_for_a_float_stay_whole(tmp_path):
    x = [str(1_700_000_000_000_000_001 + k) if k != 5 else "" for k in range(20)]
    found = frame_of(tmp_path, {"stamp": x, "k": range(20)})
    assert [str(v) for v in found.frame["stamp"].dropna()] == [w for w in x if w]


CLASSES = {
    "None among grades": (["None"] * 10 + ["Mild"] * 10 + ["Severe"] * 10, {"None"}),
    "a rare None among grades": (["None"] * 4 + ["Mild"] * 30 + ["Severe"] * 20, {"None"}),
    "NA for North America": (["NA"] * 10 + ["EU"] * 12 + ["AS"] * 8, {"NA"}),
    "null for a genotype": (["null"] * 10 + ["wt"] * 12 + ["het"] * 8, {"null"}),
    "- beside +": (["-"] * 15 + ["+"] * 15, {"-"}),
    "NA beside one class": (["NA"] * 15 + ["affected"] * 15, {"NA"}),
    "a few NA": (["NA"] * 2 + ["f"] * 14 + ["m"] * 14, set()),
    "one None": (["None"] + ["f"] * 14 + ["m"] * 15, set()),
    "? and blank": (["?"] * 10 + [""] * 10 + ["m"] * 10 + ["f"] * 10, set()),
}


@pytest.mark.parametrize("case", CLASSES)
@pytest.mark.parametrize("column", ["label", "severity"])
def test_a_mark_that_is_one_of_the_classes_stays_one(tmp_path, case, column):
    words, kept = CLASSES[case]
    found = frame_of(tmp_path, {column: words, "k": range(len(words))})
    marks = {"None", "NA", "null", "-", "?", ""}
    assert set(found.frame[column].dropna()) == (set(words) - marks) | kept
    assert [set(n.words) for n in found.notes] == ([kept] if kept else [])
    if kept:
        finding = next(
            f for f in check_dataset(read(tmp_path / "t.csv")) if f.kind == "read: class marks"
        )
        assert finding.total == words.count(next(iter(kept)))


def test_labels_in_two_spellings_are_told(tmp_path):
    words = ["Malignant"] * 12 + ["malignant"] * 3 + ["benign"] * 15 + ["Benign "] * 2
    frame_of(tmp_path, {"x": range(32), "label": words})
    data = read(tmp_path / "t.csv")
    finding = next(f for f in check_dataset(data) if f.kind == "spelling")
    assert (finding.severity, finding.rows) == ("look", [12, 13, 14, 30, 31])
    assert "“Malignant” (12), “malignant” (3)" in finding.words
    assert "“benign” (15), “Benign” (2)" in finding.words


def test_whole_numbers_that_are_days_are_dates(tmp_path):
    days = pd.date_range("2020-01-28", periods=60).strftime("%Y%m%d").tolist()
    found = frame_of(
        tmp_path, {"visit": days, "count": [int(d) + 1000 for d in days], "label": ["a", "b"] * 30}
    )
    assert (
        found.frame["visit"].tolist()
        == pd.date_range("2020-01-28", periods=60).strftime("%Y-%m-%d").tolist()
    )
    assert "whole numbers taken as dates: visit" in found.rules
    assert pd.api.types.is_numeric_dtype(found.frame["count"])  # most of them are no days
    data = read(tmp_path / "t.csv")
    assert data.card["types"]["visit"] == "dates"
    assert data.features == ("count",)
    ends = frame_of(
        tmp_path, {"end": [d if k % 9 else "99991231" for k, d in enumerate(days)], "k": range(60)}
    )
    assert ends.frame["end"][:2].tolist() == ["9999-12-31", "2020-01-29"]
    blanks = frame_of(
        tmp_path, {"visit": [d if k % 9 else "" for k, d in enumerate(days)], "k": range(60)}
    )
    assert blanks.frame["visit"].isna().sum() == 7
    assert blanks.frame["visit"][1] == "2020-01-29"
    stamps = frame_of(tmp_path, {"at": [d + "123005" for d in days], "k": range(60)})
    assert stamps.frame["at"][0] == "2020-01-28T12:30:05"


CODES = {
    "999": ([999] * 5 + list(range(80, 120)), [999]),
    "999.9": ([999.9] * 5 + [20.5 + k for k in range(13)], [999.9]),
    "777 and 999": ([777, 777, 999, 999, *range(30, 80)], [777, 999]),
    "-9 and -99": ([-9, -99, *range(30, 80)], [-99, -9]),
    "-999 beside negative values": ([-999, *range(-20, 20)], [-999]),
    "9 of answers": ([9] * 4 + [1, 2] * 20, [9]),
    "-1 of amounts": ([-1] * 4 + list(range(30, 80)), [-1]),
    "99 among ages": ([99, *range(30, 98)], []),
    "999 among larger ones": ([999, *range(500, 2000, 7)], []),
    "-1 of a direction": ([-1, 0, 1] * 9, []),
    "77 once": ([77, *range(10, 30)], []),
    "grades": ([7, 8, 9, 6, 5, 4] * 4, []),
}


@pytest.mark.parametrize("case", CODES)
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_codes_for_missing_values(case, kind):
    values, codes = CODES[case]
    assert [round(c, 3) for c in missing_codes(pd.Series(np.array(values, kind)))] == codes


def test_codes_are_a_finding_with_their_rows(tmp_path):
    rows = ["glucose,bmi,label"] + [
        f"{999 if k % 9 == 4 else 80 + k % 40},{999.9 if k % 9 == 4 else 20 + k % 13},{'ab'[k % 2]}"
        for k in range(100)
    ]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    finding = next(f for f in check_dataset(read(tmp_path / "a.csv")) if f.kind == "codes")
    assert finding.rows == [k for k in range(100) if k % 9 == 4]
    assert "“glucose” 999 in 11 rows, “bmi” 999.9 in 11 rows" in finding.words


def test_parquet_of_databases(tmp_path):
    n = 40
    table = pa.table(
        {
            "creatinine": pa.array(
                [Decimal(f"{k % 9}.{k % 10}5") if k else None for k in range(n)],
                pa.decimal128(8, 2),
            ),
            "wide": pa.array([Decimal(k) / 8 for k in range(n)], pa.decimal256(60, 3)),
            "counted": pa.array([Decimal(k * 7 % 31) for k in range(n)], pa.decimal128(20, 0)),
            "patient_id": pa.array(
                [Decimal(12345678901234567890123 + k // 2) for k in range(n)], pa.decimal128(38, 0)
            ),
            "stay": pa.array([k * 7 % 31 * 3_600_000 for k in range(n)], pa.duration("ms")),
            "grade": pa.array(["I", "II", "II", "I"] * (n // 4)).dictionary_encode(),
            "dose": pa.array([1, 2, 5, 7] * (n // 4)).dictionary_encode(),
            "long": pa.array([f"{k / 4}" if k else "n/a" for k in range(n)], pa.large_string()),
            "ok": pa.array([None, True, False, True] * (n // 4)),
            "day": pa.array([18262 + k for k in range(n)], pa.date32()),
            "at": pa.array([k * 60_000_000 for k in range(n)], pa.time64("us")),
            "visit": pa.array(
                [int(d) for d in pd.date_range("2020-01-20", periods=n).strftime("%Y%m%d")]
            ),
            "key": pa.array(
                [None if k == 3 else 90071992547409930 + k for k in range(n)], pa.int64()
            ),
            "label": ["a", "b"] * (n // 2),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    data = read(tmp_path / "t.parquet")
    at = {f: data.inputs()[:, j] for j, f in enumerate(data.features)}
    assert at["creatinine"][1:4] == pytest.approx([1.15, 2.25, 3.35])
    assert np.isnan(at["creatinine"][0])
    assert at["wide"][3] == 0.375
    assert at["counted"][7] == 18
    assert at["stay"][2] == 14 * 3600
    assert at["dose"][:4].tolist() == [1, 2, 5, 7]
    assert np.isnan(at["long"][0])
    assert at["long"][5] == 1.25
    assert (np.isnan(at["ok"][0]), at["ok"][1], at["ok"][2]) == (True, 1, 0)
    assert {"grade=I", "grade=II"} <= set(at)
    assert len(set(data.groups)) == n // 2
    assert (data.table["day"][0], data.table["at"][1], data.table["visit"][0]) == (
        "2020-01-01",
        "00:01:00.000000",
        "2020-01-20",
    )
    assert data.table["key"].dropna().nunique() == n - 1
    assert any(r.startswith("durations in seconds: stay") for r in data.card["rules"])
    assert preview(tmp_path / "t.parquet")["types"]["creatinine"] == "numbers"
    stored = data.save(tmp_path / "stored")
    assert np.array_equal(stored.inputs(), data.inputs(), equal_nan=True)
    assert stored.hash == stored.content_hash()


def test_whole_numbers_and_answers_with_missing_ones_are_columns_of_the_screen(tmp_path):
    from core.columns import table_columns

    n = 40
    pq.write_table(
        pa.table(
            {
                "key": pa.array(
                    [None if k == 3 else 90071992547409930 + k * 7 % 31 for k in range(n)],
                    pa.int64(),
                ),
                "ok": pa.array([None, True, False, True] * (n // 4)),
                "x": pa.array([k * 7 % 31 / 2 for k in range(n)]),
                "label": ["a", "b"] * (n // 2),
            }
        ),
        tmp_path / "t.parquet",
    )
    data = read(tmp_path / "t.parquet").save(tmp_path / "stored")
    columns = {c.name: c for c in table_columns(data)}
    assert np.isnan(columns["key"].values[3])
    assert columns["ok"].values[0] is None
    assert check_dataset(data)


def test_nested_parquet_is_refused_with_what_it_is(tmp_path):
    for values, what in (
        ([[1]] * 3, "lists"),
        ([{"a": 1}] * 3, "records"),
        ([b"\x01"] * 3, "bytes"),
    ):
        pq.write_table(pa.table({"x": values, "y": [1, 2, 3]}), tmp_path / "t.parquet")
        with pytest.raises(UserError, match=f"column “x” holds {what}"):
            read(tmp_path / "t.parquet")


def test_a_recording_is_read_with_the_same_numbers(tmp_path):
    lines = [f"{k / 250:.3f};{np.sin(k / 9) * 1200:.2f}".replace(".", ",") for k in range(400)]
    (tmp_path / "ecg.csv").write_text("time (s);lead\n" + "\n".join(lines) + "\n")
    data = read(tmp_path / "ecg.csv")
    assert data.modality == "series"
    assert data.card["rules"]
    assert any("a comma is a decimal point in" in r for r in data.card["rules"])
