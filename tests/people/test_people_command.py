"""`lightbox people`: projects, roles and the audit list from the command line."""

import csv
import json
import re

import pytest

from core.people.register import Register
from tests.app.test_cli import lightbox

ANA = "ana@hospital.example"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_PROJECTS", str(tmp_path / "projects"))
    return tmp_path / "projects"


def test_without_projects_it_says_what_to_set(monkeypatch):
    monkeypatch.delenv("LIGHTBOX_PROJECTS", raising=False)
    for words in (["people"], ["people", "audit"], ["people", "add-project", "lung"]):
        code, out, err = lightbox(*words)
        assert (code, out) == (2, "")
        assert "set LIGHTBOX_PROJECTS" in err


def test_projects_and_people_are_added_listed_and_removed(folder):
    assert "add-project" in lightbox("people")[1]
    assert lightbox("people", "add-project", "lung", "--title", "Lung screening")[0] == 0
    assert "nobody yet" in lightbox("people")[1]
    for who, role in ((ANA, "owner"), ("Bo@hospital.example", "viewer")):
        assert lightbox("people", "add", who, role, "--project", "lung")[0] == 0
    code, out, _ = lightbox("people")
    assert code == 0
    assert f"LIGHTBOX_HOME={folder / 'lung'}" in out
    (told,) = json.loads(lightbox("people", "--json")[1])["projects"]
    assert told["members"] == {ANA: "owner", "bo@hospital.example": "viewer"}
    assert lightbox("people", "remove", "bo@hospital.example", "--project", "lung")[0] == 0
    assert Register(folder).members("lung") == {ANA: "owner"}
    lines = [(line.person, line.act, line.what) for line in Register(folder).lines("lung")]
    assert lines == [
        ("command line", "people", "project added"),
        ("command line", "people", f"{ANA} is owner"),
        ("command line", "people", "bo@hospital.example is viewer"),
        ("command line", "people", "bo@hospital.example has no role"),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add-project", "../x"], "cannot be a project's id"),
        (["add", ANA, "admin", "--project", "lung"], "no role “admin”"),
        (["add", "ana", "owner", "--project", "lung"], "no e-mail address"),
        (["add", ANA, "owner", "--project", "liver"], "no project “liver”"),
        (["remove", "cy@hospital.example", "--project", "lung"], "has no role in “lung”"),
        (["remove", ANA, "--project", "lung"], "only owner"),
        (["audit", "--project", "liver"], "no project “liver”"),
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(folder, words, said):
    register = Register(folder)
    register.add_project("lung")
    register.set_role("lung", ANA, "owner")
    code, out, err = lightbox("people", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert not list(register.lines())
    assert register.members("lung") == {ANA: "owner"}


def test_the_audit_list_is_printed_and_written(folder, tmp_path):
    register = Register(folder)
    register.add_project("lung")
    register.note(ANA, "10.0.0.7", "lung", "data", "import 1a2b")
    assert "import 1a2b" in lightbox("people", "audit")[1]
    (line,) = json.loads(lightbox("people", "audit", "--project", "lung", "--json")[1])["lines"]
    assert (line["person"], line["place"]) == (ANA, "10.0.0.7")
    place = tmp_path / "audit.csv"
    assert lightbox("people", "audit", "--csv", place)[0] == 0
    heading, row = csv.reader(place.open(newline=""))
    assert heading == ["number", "at", "person", "place", "project", "act", "what"]
    assert row[-1] == "import 1a2b"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row[1])
    assert list(register.lines())[-1].act == "export"
