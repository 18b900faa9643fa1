"""Lines that are no cases: units below the header, the header again, sums and means at the end."""

import pytest

from core.data.readers import preview, read

HEAD = "id,age,crp,outcome\n"
CASES = [f"P{k},{30 + k * 7 % 50},{1 + (k * 13 % 59) / 10:.1f},{'yn'[k % 2]}\n" for k in range(60)]
AGES = [30 + k * 7 % 50 for k in range(60)]
CRP = [1 + (k * 13 % 59) / 10 for k in range(60)]
MEAN = f"Mean,{sum(AGES) / 60:.2f},{sum(CRP) / 60:.3f},\n"

ODD = {
    "units": HEAD + ",years,mg/l,\n" + "".join(CASES),
    "units in brackets": HEAD + "[-],[a],[mg/l],[y/n]\n" + "".join(CASES),
    "names, then what was asked": (
        HEAD
        + "Number of the case,How old are you?,C-reactive protein,Did it happen?\n"
        + "".join(CASES)
    ),
    "header again": HEAD + "".join(CASES[:30]) + HEAD + "".join(CASES[30:]),
    "header and units again": (
        HEAD
        + ",years,mg/l,\n"
        + "".join(CASES[:30])
        + HEAD
        + ",years,mg/l,\n"
        + "".join(CASES[30:])
    ),
    "total": HEAD + "".join(CASES) + f"Total,{sum(AGES)},{sum(CRP):.1f},\n",
    "mean": HEAD + "".join(CASES) + MEAN,
    "mean and smallest": HEAD + "".join(CASES) + MEAN + f"Min,{min(AGES)},{min(CRP)},\n",
    "count": HEAD + "".join(CASES) + "n=60,,,\n",
    "count in each": HEAD + "".join(CASES) + "N,60,60,60\n",
}


@pytest.mark.parametrize("kind", ODD)
def test_left_out_by_a_rule(tmp_path, kind):
    (tmp_path / "a.csv").write_text(ODD[kind])
    data = read(tmp_path / "a.csv")
    assert (len(data), data.features, data.classes) == (60, ("age", "crp"), ["n", "y"])
    assert data.table["age"].tolist() == AGES
    assert any("left out" in r and r.startswith("a.csv") for r in data.card["rules"])
    assert not data.card.get("notes")
    assert preview(tmp_path / "a.csv")["columns"] == ["id", "age", "crp", "outcome"]


CASES_ALL = {
    "a first case with words": HEAD + "P99,unknown,missing,y\n" + "".join(CASES),
    "a first case of few values": HEAD + "P99,,,y\n" + "".join(CASES),
    "a table of words": "a,b,c\n" + "x,y,z\nu,v,w\n" * 31,
    "an id called Max": HEAD + "".join(CASES) + "Max,41,7.7,y\n",
}


@pytest.mark.parametrize("kind", CASES_ALL)
def test_cases_stay(tmp_path, kind):
    from core.data.readers.files import collect
    from core.data.readers.joined_tables import join_tables

    (tmp_path / "a.csv").write_text(CASES_ALL[kind])
    assert len(join_tables(collect(tmp_path / "a.csv")).frame) == CASES_ALL[kind].count("\n") - 1


def test_lines_are_told_as_they_stand_in_the_file(tmp_path):
    from core.data.readers.csv_text import read_words
    from core.data.readers.files import collect

    (tmp_path / "a.csv").write_text(ODD["header and units again"])
    words = read_words(collect(tmp_path / "a.csv")[0])
    assert (words.line(0), words.line(29), words.line(30)) == (3, 32, 35)
