"""Titles above the header and notes below the table, as people write them in spreadsheets."""

import pytest

from core.data.checks import check_dataset
from core.data.readers import preview, read

ROWS = "".join(f"{30 + k % 40},{110 + k % 50},{'ab'[k % 2]}\n" for k in range(60))
TITLES = {
    "padded": "Study ABC export,,\nDate: 2020,,\n",
    "not padded": "Study ABC export\nDate: 2020\n",
    "with a blank line": "Study ABC export\n\n",
    "with the separator in it": "Study ABC, site 2\nexported by hand\n",
    "comments": "# exported 2020\n# three columns\n",
    "with other separators in it": "Study; ABC; export; of; all\nDate|2020\n",
    "with a number": "Report 7\n2020\n",
    "headings of several columns": "Vitals,,\n",
}


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_header_below_a_title_is_found(tmp_path, title, separator):
    above = TITLES[title]
    if separator != "," and title == "with other separators in it":
        pytest.skip("the title is cut up as the table is")
    text = (above + "age,bp,label\n" + ROWS).replace(",", separator)
    (tmp_path / "a.csv").write_text(text)
    data = read(tmp_path / "a.csv")
    assert (len(data), data.features, data.classes) == (60, ("age", "bp"), ["a", "b"])
    assert data.inputs()[3].tolist() == [33, 113]
    assert any("above the header" in r and "left out" in r for r in data.card["rules"])
    assert preview(tmp_path / "a.csv")["columns"] == ["age", "bp", "label"]


def test_key_and_value_above_a_wide_table(tmp_path):
    lines = "Patient:,all,,\nWard:,north,,\nage,bp,crp,label\n" + "".join(
        f"{k % 7},{k % 5},{k % 3},{'ab'[k % 2]}\n" for k in range(40)
    )
    (tmp_path / "a.csv").write_text(lines)
    assert read(tmp_path / "a.csv").features == ("age", "bp", "crp")


def test_both_ways_to_cut_up_see_the_same(tmp_path, monkeypatch):
    from core.data.readers import csv_text
    from core.data.readers.files import collect

    (tmp_path / "a.csv").write_text(
        "Study\n\nby hand\nage,bp,label\n" + ROWS + "\nSource: the ward\n"
    )
    (member,) = collect(tmp_path / "a.csv")
    quick = csv_text.read_words(member)
    monkeypatch.setattr(csv_text, "_quick", lambda *_: None)
    careful = csv_text.read_words(member)
    assert quick.table.to_pydict() == careful.table.to_pydict()
    assert quick.line(0) == careful.line(0) == 5
    assert quick.table.num_rows == 60


NOTES = {
    "a sentence": "Source: hospital of the north\n",
    "padded": "Source: hospital of the north,,\n",
    "behind blank lines": "\n\n* values of 2020 are estimates\nTotal of 60 rows\n",
}


@pytest.mark.parametrize("note", NOTES)
def test_notes_below_the_table_are_left_out_and_told(tmp_path, note):
    (tmp_path / "a.csv").write_text("age,bp,label\n" + ROWS + NOTES[note])
    data = read(tmp_path / "a.csv")
    assert (len(data), data.features) == (60, ("age", "bp"))
    assert any("below the table" in r for r in data.card["rules"])


def test_a_row_of_totals_is_a_finding(tmp_path):
    rows = "".join(f"P{k},{k % 7},{k % 5},{'ab'[k % 2]}\n" for k in range(40))
    # not what the rows above say
    (tmp_path / "a.csv").write_text("name,x,y,label\n" + rows + "Total,217,180,\n")
    data = read(tmp_path / "a.csv")
    finding = next(f for f in check_dataset(data) if f.kind == "read: total")
    assert (finding.rows, len(data)) == ([40], 41)


NO_TITLE = {
    "blank headings": "a,,\n1,2,9\n3,4,8\n5,6,7\n",
    "a row with an id alone at the end": "id,x,y\nA1,2,9\nB2,4,8\nC3,,\n",
    "a table of words": "x,y,z\na,b,c\nd,e,f\n",
    "a marked header": "#id,x,y\nA1,2,9\nB2,4,8\nC3,5,5\n",
}


@pytest.mark.parametrize("case", NO_TITLE)
def test_nothing_is_taken_for_a_title_or_note_that_is_none(tmp_path, case):
    from core.data.readers.files import collect
    from core.data.readers.joined_tables import join_tables

    (tmp_path / "a.csv").write_text(NO_TITLE[case])
    found = join_tables(collect(tmp_path / "a.csv"))
    assert len(found.frame) == NO_TITLE[case].count("\n") - 1
    assert not any("left out" in r for r in found.rules)


def test_a_first_line_of_values_is_a_row(tmp_path):
    lines = [f"P{k:03},{k % 9}.5,{'ab'[k % 2]}\n" for k in range(40)]
    (tmp_path / "a.csv").write_text("".join(lines))
    data = read(tmp_path / "a.csv")
    assert (len(data), data.features, data.classes) == (40, ("column 2",), ["a", "b"])
    (tmp_path / "b.csv").write_text("id,2019,label\n" + "".join(lines))
    assert read(tmp_path / "b.csv").features == ("2019",)


@pytest.mark.parametrize("over", ["Labs,,Out\n", "Labs,,\n"])
def test_merged_cells_above_the_names_are_a_title(tmp_path, over):
    (tmp_path / "a.csv").write_text(over + "age,bp,label\n" + ROWS)
    data = read(tmp_path / "a.csv")
    assert (len(data), data.features) == (60, ("age", "bp"))
