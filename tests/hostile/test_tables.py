"""Tables as strangers send them: each fault is read for what it is and reported, or refused in one
sentence (fault 32).
"""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from core import limits
from core.data.readers import preview, read
from core.data.readers.csv_text import read_words
from core.data.readers.files import collect
from core.data.readers.joined_tables import join_tables, read_frame
from core.errors import UserError

TWO = [[1, 2], [3, 4]]


def put(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


REFUSED = {
    "empty": (b"", "t.csv is empty"),
    "blank lines only": (b" \n\t\n\xc2\xa0\n", "t.csv is empty"),
    "a mark of encoding and nothing else": ("".encode("utf-8-sig"), "t.csv is empty"),
    "header only": (b"a,b\n", "t.csv has a header but no rows"),
    "one row": (b"a,b\n1,2\n", "t.csv holds 1 row; at least 2"),
    "ragged": (b"a,b\n1,2\n3\n", "t.csv, line 3 has 1 value where the first line has 2"),
    "ragged in a large file": (
        b"a,b\n" + b"1,2\n" * 30_000 + b"1,2,3\n" + b"1,2\n" * 30_000,
        "t.csv, line 30002 has 3 values",
    ),
    "binary zeros": (b"a,b\n1,\x00\n2,3\n", "t.csv holds binary zeros"),
    "half a UTF-16": ("a,b\n1,2\n".encode("utf-16")[:-1], "t.csv is no text file that can be read"),
    "a hundred thousand columns": (
        b",".join(b"c%d" % i for i in range(100_000)) + b"\n" + b",".join([b"1"] * 100_000),
        "100,000 columns; at most 20,000",
    ),
    "a field of 50 MB": (
        b"a,b\n1,2\n" + b"x" * (50 << 20) + b",2\n",
        "t.csv, line 3 holds a value of more than 1,048,576 letters; at most",
    ),
    "a quotation mark never closed": (
        b'a,b\n1,"2\n' + b"3,4\n" * 300_000,
        "t.csv, line 2 holds a value of more than 1,048,576 letters",
    ),
    "the same heading twice": (
        b"dose,dose\n1,2\n3,4\n",
        "t.csv has two columns called “dose”; rename one",
    ),
    "infinite": (
        b"a,b\n1,2\n3,-Infinity\n",
        "t.csv, line 3, column “b”: “-Infinity” is not a finite number",
    ),
    "beyond every float": (
        b"a,b\n1,2\n3,1e400\n",
        "t.csv, line 3, column “b”: “1e400” is not a finite number",
    ),
    "a comma that may be either": (
        b'a,b\n1,2\n3,"12,345"\n',
        "t.csv, line 3, column “b”: “12,345” may have a decimal comma",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_refused_in_one_sentence_that_says_where(tmp_path, fault):
    content, said = REFUSED[fault]
    with pytest.raises(UserError) as e:
        read(put(tmp_path / "t.csv", content))
    assert said in str(e.value)
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 300


READ = {
    "a mark of encoding in front": ("a,b\n1,2\n3,4\n".encode("utf-8-sig"), ["a", "b"], TWO),
    "UTF-16, either order": ("a,b\n1,2\n3,4\n".encode("utf-16"), ["a", "b"], TWO),
    "UTF-16, big end first": (b"\xfe\xff" + "a,b\n1,2\n3,4\n".encode("utf-16-be"), ["a", "b"], TWO),
    "Latin-1": ("größe,b\n1,2\n3,4\n".encode("latin-1"), ["größe", "b"], TWO),
    "one column": (b"a\n1\n3\n", ["a"], [[1], [3]]),
    "old line ends": (b"a,b\r1,2\r3,4", ["a", "b"], TWO),
    "headings in other writing": ("العمر,年齢\n1,2\n3,4\n".encode(), ["العمر", "年齢"], TWO),
    "headings left blank": (
        b"a,,\n1,2,9\n3,4,8\n",
        ["a", "column 2", "column 3"],
        [[1, 2, 9], [3, 4, 8]],
    ),
    "a blank heading beside the name it would get": (
        b"column 2,\n1,2\n3,4\n",
        ["column 2", "column 2 (no name)"],
        TWO,
    ),
    "lines of separators at the end, as spreadsheets write": (
        b"a,b\n1,2\n3,4\n,\n , \n",
        ["a", "b"],
        TWO,
    ),
    "decimal commas": (b"a;b\n1,5;2\n2,5;4\n", ["a", "b"], [[1.5, 2], [2.5, 4]]),
    "plus signs": (b"a,b\n+1,2\n+3,+4\n", ["a", "b"], TWO),
    "quoted line breaks": (b'"a\nb",c\n"1","2"\n3,4\n', ["a\nb", "c"], TWO),
}


@pytest.mark.parametrize("fault", READ)
def test_read_for_what_it_is(tmp_path, fault):
    content, names, values = READ[fault]
    data = read(put(tmp_path / "t.csv", content))
    assert list(data.table.columns[:-1]) == names
    assert data.inputs().tolist() == values


def test_choices_are_reported(tmp_path):
    """What was decided without asking stands in the card: encoding, decimal comma, words taken as
    missing, kinds of columns.
    """
    lines = "".join(
        f"{k},5;{'NA' if k == 3 else 'köln'};00{k};{k}.3.2021;{'?' if k < 2 else k}\n"
        for k in range(10)
    )
    data = read(put(tmp_path / "t.csv", ("wert;ort;id_nr;tag;n\n" + lines).encode("latin-1")))
    said = " | ".join(data.card["rules"])
    assert "letters read as Latin-1" in said
    assert "a comma is a decimal point in: wert" in said
    assert "taken as missing: “?” (2), “NA” (1)" in said
    assert data.card["types"] == {
        "wert": "numbers",
        "ort": "words (1 different)",
        "id_nr": "words (10 different)",
        "tag": "dates",
        "n": "numbers",
    }
    assert data.card["missing values"] == {"ort": 1, "n": 2}


def test_ids_and_mixed_columns_stay_as_written(tmp_path):
    """Leading zeros, hex codes, very long whole numbers, dates, and words among numbers."""
    lines = "".join(
        f"000{k},0x1{k},{10**18 + k},2021-0{k + 1}-03,{'n.a.' if k == 4 else k}\n" for k in range(9)
    )
    frame = read_frame(collect(put(tmp_path / "t.csv", "id,code,long,day,mixed\n" + lines))[0])
    assert frame["id"].tolist() == [f"000{k}" for k in range(9)]
    assert frame["code"].tolist() == [f"0x1{k}" for k in range(9)]
    assert frame["long"].tolist() == [10**18 + k for k in range(9)]
    assert frame["day"][2] == "2021-03-03"
    assert frame["mixed"].isna().tolist() == [k == 4 for k in range(9)]
    assert frame["mixed"].dropna().tolist() == [0, 1, 2, 3, 5, 6, 7, 8]


def test_labels_called_NA_count_as_missing_where_they_are_rare_and_are_told(tmp_path):
    data = read(
        put(
            tmp_path / "t.csv",
            "x,label\n"
            + "".join(f"{k},{'NA' if k < 3 else 'no' if k % 2 else 'yes'}\n" for k in range(40)),
        )
    )
    assert data.classes == ["no", "yes"]
    assert (data.labels >= 0).sum() == 37
    assert "taken as missing: “NA” (3)" in data.card["rules"]


def test_a_note_just_within_the_limit_is_whole(tmp_path):
    long = "word " * (limits.CELL // 5)
    lines = [f"a note of patient {k} that says a few words more than that" for k in range(4)]
    data = read(
        put(
            tmp_path / "t.csv",
            "note,k\n" + "".join(f"{n},{k}\n" for k, n in enumerate([*lines, long.strip()])),
        ),
        text="note",
    )
    assert data.texts[4] == long.strip()


MARKS = ["a", "1", ",", ",", '"', "\n", "\n", " ", '""', "\r\n", "é", "\r", "'", "NA", "0"]


def test_both_ways_to_cut_a_file_up_give_the_same_table(tmp_path, monkeypatch):
    """Random files: the quick way, where it takes them, against Python's csv module; sentences are
    the same as well.
    """
    from core.data.readers import csv_text

    dice, taken = np.random.default_rng(3), 0
    for k in range(600):
        body = "".join(dice.choice(MARKS, dice.integers(3, 24)))
        member = collect(put(tmp_path / "t.csv", "x,y\n" + body if k % 2 else "x\n" + body))[0]
        said = []
        for quick in (csv_text._quick, lambda *_: None):
            with monkeypatch.context() as m:
                m.setattr(csv_text, "_quick", quick)
                try:
                    said.append(read_words(member).table.combine_chunks().to_pydict())
                except UserError as e:
                    said.append(str(e))
        assert said[0] == said[1], body
        taken += isinstance(said[0], dict) and len(next(iter(said[0].values()))) > 0
    assert taken > 100


def test_line_ends_within_quotation_marks_are_found_wherever_a_block_is_cut(monkeypatch):
    from core.data.readers import csv_text

    dice = np.random.default_rng(0)
    lines = ['"l\n",6\n', '"q",5\n', '7,"\n\n"\n', '"\n8\n",9\n', "1,2\n", '"a\n,b",3\n']
    for _ in range(100):
        body = "".join(dice.choice(lines, 12)).encode()
        monkeypatch.setattr(csv_text, "BLOCK", int(dice.integers(16, 60)))
        table = csv_text._quick(body, 0, 2, ",")
        right = list(csv.reader(io.StringIO(body.decode(), newline="")))
        assert table is None or list(zip(*table.to_pydict().values())) == list(map(tuple, right))


def test_lines_are_found_again_behind_blank_lines_and_quoted_breaks(tmp_path):
    content = 'a,b\n\n"x\ny",1\n,\n' + "z,2\n" * 50_000 + "z,inf\n"
    with pytest.raises(UserError, match=r"t\.csv, line 50006, column “b”"):
        join_tables(collect(put(tmp_path / "t.csv", content)))


def test_the_preview_reads_the_first_lines_only_and_says_what_it_takes_columns_for(
    tmp_path, monkeypatch
):
    note = "the patient came with a cough that had lasted for days and days"
    path = put(
        tmp_path / "t.csv",
        "id,day,sex,note,x,no\n"
        + "".join(
            f"00{k},{k % 28 + 1}.3.2021,{'fm'[k % 2]},{note} {k},{k / 7},\n" for k in range(40_000)
        ),
    )
    assert path.stat().st_size > 2 * limits.PREVIEW
    most = []
    opened = collect(path)[0].open
    monkeypatch.setattr(
        "core.data.readers.collect",
        lambda p, called="": [
            type(collect(p)[0])("t.csv", lambda n: (most.append(n), opened(n))[1])
        ],
    )
    seen = preview(path)
    assert max(most) <= limits.PREVIEW
    assert seen["types"] == {
        "id": f"words ({seen['looked']:,} different)",
        "day": "dates",
        "sex": "words (2 different)",
        "note": "text",
        "x": "numbers",
        "no": "empty",
    }
    assert (len(seen["head"]), seen["whole"]) == (10, False)
    assert 1000 < seen["looked"] < 40_000


def test_the_preview_of_parquet_reads_some_rows(tmp_path):
    frame = pd.DataFrame(
        {
            "a": range(5000),
            "ok": [True, False] * 2500,
            "day": pd.date_range("2020-01-01", periods=5000),
            "w": ["p", "q"] * 2500,
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    seen = preview(tmp_path / "t.parquet")
    assert seen["types"] == {
        "a": "numbers",
        "ok": "yes/no",
        "day": "dates",
        "w": "words (2 different)",
    }
    assert (seen["looked"], seen["whole"]) == (1000, False)
    assert seen["head"]["a"].tolist() == list(range(10))


def test_opening_reads_nothing_of_the_table_and_columns_one_by_one(tmp_path, monkeypatch):
    from core.data.dataset import Dataset

    path = put(
        tmp_path / "t.csv",
        "x,y,label\n" + "".join(f"{k},{k * 2},{'ab'[k % 2]}\n" for k in range(60)),
    )
    stored = read(path).save(tmp_path / "d")
    asked = []
    plain = pd.read_parquet
    monkeypatch.setattr(
        pd,
        "read_parquet",
        lambda p, columns=None: (asked.append(columns), plain(p, columns=columns))[1],
    )
    data = Dataset.load(tmp_path / "d")
    assert (len(data), data.rows[-1], asked) == (60, 59, [])
    assert data.labels.tolist() == [0, 1] * 30
    assert data.part("train").classes == ["a", "b"]
    assert asked == [["label"], ["split"]]
    assert data.table.equals(stored.table)
    assert data.content_hash() == data.hash
