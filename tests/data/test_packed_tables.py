"""Excel workbooks and gzipped text; and what a file is that is neither, in one sentence that says
what to do.
"""

import gzip
import io
import zipfile
from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook

from core.data.readers import preview, read
from core.errors import UserError


def workbook(path, **sheets):
    """A workbook with these sheets, each a list of rows."""
    book = Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


ROWS = [[20 + k % 40, [1.5, 4.125, 5.625][k % 3], ["a", "b"][k % 2]] for k in range(60)]
HEAD = ["age", "crp", "label"]


def test_a_workbook_is_read_by_its_first_sheet_and_the_others_are_named(tmp_path):
    path = workbook(tmp_path / "study.xlsx", cover=[], data=[HEAD, *ROWS], codes=[["x"], [1]])
    data = read(path)
    assert (len(data), data.features, data.classes) == (60, ("age", "crp"), ["a", "b"])
    assert data.inputs().tolist() == [r[:2] for r in ROWS]
    assert (
        "study.xlsx: the sheet “data” is read; left out: “codes”; empty: “cover”"
        in data.card["rules"]
    )
    seen = preview(path)
    assert (seen["kind"], seen["columns"], seen["whole"]) == ("table", HEAD, True)
    assert read(workbook(tmp_path / "one.xlsx", data=[HEAD, *ROWS])).card["rules"][0] != ""


def test_titles_marks_and_types_of_cells(tmp_path):
    rows = [["Study ABC"], [], ["visit", "at", "stay", "dose", "id", "smoker", "wbc", "n", "note"]]
    for k in range(30):
        dose = "#N/A" if k % 9 == 4 else "<0.5" if k == 3 else k * 7 % 11 / 4
        rows.append(
            [
                datetime(2020, 1, 1 + k % 28),
                datetime(2020, 1, 1, 12, k),
                timedelta(hours=k * 7 % 11),
                dose,
                f"00{k}",
                k % 3 == 0,
                "1.100,50" if k % 2 else "950,00",
                1_000_000 + k * 7 % 31,
                "two\nlines",
            ]
        )
    rows += [[], ["Source: the ward of 2020"]]
    found = read(workbook(tmp_path / "a.xlsx", data=rows))
    frame = found.table
    assert len(frame) == 30
    assert frame["visit"][3] == "2020-01-04"
    assert frame["at"][3] == "2020-01-01 12:03:00"
    assert frame["stay"][2] == 3 * 3600
    assert "a.xlsx: durations in column C are read in seconds" in found.card["rules"]
    assert (frame["dose"].isna().sum(), frame["dose"][3], frame["dose"][1]) == (3, 0.5, 1.75)
    assert frame["id"][7] == "007"
    assert frame["wbc"][:2].tolist() == [950, 1100.5]
    assert frame["note"][0] == "two lines"
    assert any(
        "the line above the header is left out: “Study ABC”" in r for r in found.card["rules"]
    )
    assert any("below the table" in r for r in found.card["rules"])


def test_cells_that_are_numbers_are_never_thousands(tmp_path):
    rows = [
        ["x", "z"],
        *([v, w] for v, w in zip([4.125, 5.625, 7.375] * 5, ["1,5", "3,75", "2,25"] * 5)),
    ]
    assert read(workbook(tmp_path / "a.xlsx", data=rows)).inputs()[:2].tolist() == [
        [4.125, 1.5],
        [5.625, 3.75],
    ]


def test_rows_are_told_as_the_spreadsheet_counts_them(tmp_path):
    rows = [["Study"], [], ["a", "b"], [1, 2], [], [3, "inf"], [5, 6]]
    with pytest.raises(
        UserError, match=r"a\.xlsx, line 6, column “b”: “inf” is not a finite number"
    ):
        read(workbook(tmp_path / "a.xlsx", data=rows))


def test_workbooks_in_zips_and_folders_and_beside_other_tables(tmp_path):
    workbook(tmp_path / "bern.xlsx", data=[HEAD, *ROWS])
    pd.DataFrame(ROWS, columns=HEAD).to_csv(tmp_path / "ulm.csv.gz", index=False)
    data = read(tmp_path)
    assert (len(data), set(data.domains)) == (120, {"bern", "ulm"})
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for name in ("bern.xlsx", "ulm.csv.gz"):
            archive.write(tmp_path / name, name)
    zipped = read(tmp_path / "both.zip")
    assert zipped.table.equals(data.table)


def test_a_sheet_beside_pictures(tmp_path):
    from PIL import Image

    for k in range(6):
        Image.fromarray(np.full((16, 16), 20 * k + 5, np.uint8)).save(tmp_path / f"{k}.png")
    workbook(
        tmp_path / "labels.xlsx",
        data=[["file", "label"], *([f"{k}.png", "ab"[k % 2]] for k in range(6))],
    )
    data = read(tmp_path)
    assert (data.modality, data.classes, len(data)) == ("image", ["a", "b"], 6)


def test_what_is_no_whole_workbook_is_one_sentence(tmp_path):
    whole = workbook(tmp_path / "a.xlsx", data=[HEAD, *ROWS]).read_bytes()
    (tmp_path / "cut.xlsx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UserError, match=r"cut\.xlsx cannot be read as an Excel workbook; it may be damaged"
    ):
        read(tmp_path / "cut.xlsx")
    for missing in ("xl/workbook.xml", "xl/worksheets/sheet1.xml"):
        packed = io.BytesIO()
        with zipfile.ZipFile(tmp_path / "a.xlsx") as old, zipfile.ZipFile(packed, "w") as new:
            for info in old.infolist():
                if info.filename != missing:
                    new.writestr(info.filename, old.read(info))
        (tmp_path / "part.xlsx").write_bytes(packed.getvalue())
        with pytest.raises(
            UserError, match=r"part\.xlsx (is no Excel workbook|cannot be read|holds no table)"
        ):
            read(tmp_path / "part.xlsx")
    empty = workbook(tmp_path / "empty.xlsx", one=[], two=[])
    with pytest.raises(UserError, match=r"empty\.xlsx holds no table: its sheets are empty"):
        read(empty)


def test_bombs_are_refused(tmp_path):
    def changed(name, content):
        packed = io.BytesIO()
        with (
            zipfile.ZipFile(tmp_path / "a.xlsx") as old,
            zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for info in old.infolist():
                new.writestr(info.filename, content if info.filename == name else old.read(info))
        (tmp_path / "bomb.xlsx").write_bytes(packed.getvalue())
        with pytest.raises(UserError) as e:
            read(tmp_path / "bomb.xlsx")
        assert "\n" not in str(e.value)
        return str(e.value)

    workbook(tmp_path / "a.xlsx", data=[HEAD, *ROWS])
    assert "unpacks to more than 200 times its size" in changed(
        "xl/worksheets/sheet1.xml", b" " * (30 << 20)
    )
    entity = (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b'
        b' "&a;&a;">]><worksheet>&b;</worksheet>'
    )
    assert "XML entities" in changed("xl/worksheets/sheet1.xml", entity)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 20_000_000, 9))
    with pytest.raises(UserError, match=r"bomb\.csv\.gz unpacks to more than 200 times its size"):
        read(tmp_path / "bomb.csv.gz")


def test_a_sheet_that_says_it_is_a_million_rows_wide(tmp_path):
    workbook(tmp_path / "a.xlsx", data=[HEAD, *ROWS])
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(tmp_path / "a.xlsx") as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for info in old.infolist():
            new.writestr(
                info.filename, old.read(info).replace(b'ref="A1:C61"', b'ref="A1:XFD1048576"')
            )
    (tmp_path / "b.xlsx").write_bytes(packed.getvalue())
    assert read(tmp_path / "b.xlsx").inputs().tolist() == [r[:2] for r in ROWS]


def test_gzipped_text(tmp_path):
    frame = pd.DataFrame(ROWS, columns=HEAD)
    frame.to_csv(tmp_path / "t.tsv.gz", index=False, sep="\t")
    assert read(tmp_path / "t.tsv.gz").inputs().tolist() == [r[:2] for r in ROWS]
    large = pd.DataFrame({"x": np.random.default_rng(0).random(200_000), "y": 1}).assign(
        y=lambda f: f["x"] * 2
    )
    large.to_csv(tmp_path / "large.csv.gz", index=False)
    seen = preview(tmp_path / "large.csv.gz")
    assert (seen["columns"], seen["whole"]) == (["x", "y"], False)
    whole = (tmp_path / "t.tsv.gz").read_bytes()
    (tmp_path / "cut.csv.gz").write_bytes(whole[:-30])
    with pytest.raises(
        UserError, match=r"cut\.csv\.gz cannot be unpacked; it may be damaged or cut off"
    ):
        read(tmp_path / "cut.csv.gz")


def test_text_that_is_called_xls_is_a_table(tmp_path):
    pd.DataFrame(ROWS, columns=HEAD).to_csv(tmp_path / "t.xls", index=False, sep="\t")
    assert read(tmp_path / "t.xls").features == ("age", "crp")
    (tmp_path / "a.xlsx").write_bytes(
        workbook(tmp_path / "b.xlsx", data=[HEAD, *ROWS]).read_bytes()
    )
    (tmp_path / "named.xls").write_bytes((tmp_path / "a.xlsx").read_bytes())
    assert read(tmp_path / "named.xls").features == ("age", "crp")


def opendocument():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", "<x/>")
    return packed.getvalue()


STRANGERS = {
    "old.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "old Office file", "CSV"),
    "t.ods": (opendocument(), "OpenDocument spreadsheet", "CSV"),
    "t.sav": (b"$FL2@(#) SPSS DATA FILE" + b"\0" * 100, "SPSS file", "CSV"),
    "t.por": (b"ASCII SPSS PORT FILE" * 4, "SPSS portable", "CSV"),
    "t.sas7bdat": (
        b"\0" * 12 + bytes.fromhex("c2ea8160b31411cfbd92080009c7318c181f1011") + b"\0" * 100,
        "SAS data set",
        "CSV",
    ),
    "t.xpt": (
        b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!" + b"0" * 60,
        "SAS transport",
        "CSV",
    ),
    "new.dta": (b"<stata_dta><header><release>118" + b"\0" * 60, "Stata file", "CSV"),
    "old.dta": (b"\x72\x02\x01\x00" + b"\0" * 60, "Stata file", "CSV"),
    "t.rds": (gzip.compress(b"X\n\0\0\0\3" + b"\0" * 60), "R object", "CSV"),
    "t.RData": (gzip.compress(b"RDX3\nX\n" + b"\0" * 60), "R workspace", "CSV"),
    "t.feather": (b"ARROW1\0\0" + b"\0" * 60, "Feather", "Parquet|CSV"),
    "t.arrow": (b"ARROW1\0\0" + b"\0" * 60, "Arrow or Feather", "Parquet"),
    "t.dbf": (b"\x03\x7a\x01\x01" + b"\0" * 60, "dBase", "CSV"),
    "page.xls": (
        b"<html><body><table><tr><td>1</td></tr></table></body></html>",
        "web page",
        "CSV",
    ),
    "xml.xls": (
        (
            b'<?xml version="1.0"?><Workbook'
            b' xmlns="urn:schemas-microsoft-com:office:spreadsheet"></Workbook>'
        ),
        "Excel 2003",
        "CSV",
    ),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_files_of_other_programs_are_named_and_what_to_do_is_said(tmp_path, name):
    content, what, todo = STRANGERS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=what) as e:
        read(tmp_path / name)
    assert name in str(e.value)
    assert any(t in str(e.value) for t in todo.split("|"))
    assert "\n" not in str(e.value)


def test_times_of_day_in_cells(tmp_path):
    rows = [
        ["t", "day", "x"],
        *([time(k % 24, 30), date(2020, 1, 1 + k % 28), k * 7 % 11] for k in range(20)),
    ]
    found = read(workbook(tmp_path / "a.xlsx", data=rows))
    assert (found.table["t"][3], found.table["day"][3]) == (210, "2020-01-04")
    assert found.features == ("t", "x")
    assert any("read as minutes" in r for r in found.card["rules"])


def test_formulas_without_saved_results_are_refused(tmp_path):
    rows = [["x", "y", "z"], *([k, k * 3 % 7, f"=A{k + 2}*2"] for k in range(20))]
    with pytest.raises(
        UserError, match=r"20 cells hold formulas without a saved result \(first C2\); open it"
    ):
        read(workbook(tmp_path / "a.xlsx", data=rows))


def test_a_sheet_of_notes_in_front_is_passed_over(tmp_path):
    book = Workbook()
    book.active.title = "Read me"
    book.active["A1"] = "Notes on the study"
    data = book.create_sheet("data")
    for row in [["x", "label"], *([k * 0.5, "ab"[k % 2]] for k in range(30))]:
        data.append(row)
    book.save(tmp_path / "a.xlsx")
    read_in = read(tmp_path / "a.xlsx")
    assert (len(read_in), read_in.features) == (30, ("x",))
    assert any("“data” is read" in r and "Read me" in r for r in read_in.card["rules"])
