"""What lies about a stored value is called what it is: an interval, a range, a change."""

import json

import pytest

from app import text
from core import evidence
from core.artifacts.tables import KINDS

PATHS = sorted(evidence.FOLDER.glob("*.json"))


def rows_of(path):
    """(words of the table, row) of every row stored at `path`."""
    for table in json.loads(path.read_text())["tables"]:
        for row in table["rows"]:
            yield f"{table['title']} {table['measure']}", row


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_no_stored_bounds_are_without_a_kind(path):
    for words, row in rows_of(path):
        bare = row["low"] is None
        assert bare == (row["high"] is None), (words, row["name"])
        assert (row["kind"] == "") if bare else row["kind"] in set(KINDS) - {""}, (
            words,
            row["name"],
        )


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_bounds_are_stored_as_what_their_tables_call_them(path):
    for words, row in rows_of(path):
        if row["low"] is None:
            continue
        if "range over" in words and "95 % interval over" in words:  # of rivals without a seed
            assert row["kind"] in ("range", "interval"), (words, row["name"])
        elif "range over" in words or "of 20 draws" in words:
            assert row["kind"] == "range", (words, row["name"])
        elif "95 % interval" in words:
            assert row["kind"] == "interval", (words, row["name"])
        elif "from before to after" in words:
            assert row["kind"] == "change", (words, row["name"])


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_verdicts_call_what_overlaps_by_its_kind(path):
    for table in json.loads(path.read_text())["tables"]:
        kinds = {row["kind"] for row in table["rows"]} - {""}
        if "intervals overlap" in table["verdict"]:
            assert "interval" in kinds, table["title"]
        if "ranges overlap" in table["verdict"]:
            assert "range" in kinds, table["title"]


def test_bounds_without_a_kind_are_not_stored(tmp_path, monkeypatch):
    monkeypatch.setenv(evidence.TARGET, str(tmp_path))
    row = {"name": "x", "value": 0.5, "low": 0.4, "high": 0.6}
    with pytest.raises(ValueError, match="what are the bounds of x"):
        evidence.store_evidence("pca", [{"title": "t", "rows": [row]}])
    evidence.store_evidence("pca", [{"title": "t", "rows": [row | {"kind": "interval"}]}])
    assert (tmp_path / "pca.json").exists()


def test_a_change_is_told_as_one():
    assert text.interval(0.46, 0.32, 0.46, kind="change") == "0.46 (before to after 0.32–0.46)"
