"""The list of issues on the Data page and on the command line: what a press does, what is said, and
the way back. Held-back cases.
"""

import numpy as np
import pandas as pd
import pytest

from app import text
from app.panels.issues import SEVERITY
from core.data.checks import Finding
from core.data.dataset import Dataset
from core.data.samples.catalogue import make_sample
from core.workspace import review
from core.workspace.workspace import Workspace
from tests.app.test_cli import lightbox, refused, told
from tests.app.test_pages import opened
from tests.store.test_review import named


@pytest.fixture
def ws(tmp_path, monkeypatch):
    """Pictures with two copies over the split, one blank and three held back."""
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    data = named(held=(30, 31, 32))
    part = data.splits
    train, test = np.flatnonzero(part == "train"), np.flatnonzero(part == "test")
    data.samples[test[0]] = data.samples[train[0]]
    data.samples[train[3]] = 9
    made = Workspace()
    made.add(data)
    made.copies, made.blank = [int(train[0]), int(test[0])], int(train[3])
    return made


def pressed(at, label, key=None):
    found = [b for b in at.button if b.label == label and (key is None or key in (b.key or ""))]
    assert found, [b.label for b in at.button]
    return found[0].click().run()


def form_button(at, key):
    return next(b for b in at.button if key in str(b.proto.form_id))


def said(at):
    return " ".join(str(getattr(e, "proto", "")) for e in at._tree).replace("\\", "")


def test_an_issue_is_excluded_said_and_taken_back(ws):
    at = opened("data")
    assert "Exact copies" in said(at)
    assert "Blank cases" in said(at)
    form_button(at, "exclude-blank").click().run()
    assert not at.exception
    assert review.excluded_rows(ws, "films") == {ws.blank: "Blank cases"}
    assert any("1 case excluded" in i.value and "56 cases are in use" in i.value for i in at.info)
    assert "hold one value" not in said(at).replace("holds", "hold")
    pressed(at, "Undo", "undo-now")
    assert not at.exception
    assert review.excluded_rows(ws, "films") == {}
    assert "Blank cases" in said(at)


def test_of_copies_one_is_kept_the_one_of_the_training_part(ws):
    def open_findings(at):
        return [m for m in at.markdown if "copies" in m.value and SEVERITY["stop"] in m.value]

    at = opened("data")
    assert open_findings(at)
    form_button(at, "exclude-duplicates").click().run()
    assert not at.exception
    assert list(review.excluded_rows(ws, "films")) == [ws.copies[1]]
    assert not open_findings(at)


def test_ignoring_needs_a_reason_and_is_listed(ws):
    at = opened("data")
    form_button(at, "ignore-blank").click().run()
    assert review.list_decisions(ws, "films") == []
    assert any("Say why" in e.value for e in at.error)
    next(t for t in at.text_input if t.proto.form_id == "ignore-blank").input("a phantom")
    form_button(at, "ignore-blank").click().run()
    assert not at.exception
    assert [(d.what, d.finding, d.reason) for d in review.list_decisions(ws, "films")] == [
        ("ignore", "blank", "a phantom")
    ]
    assert not [m for m in at.markdown if "Blank cases" in m.value and "review" in m.value]
    assert any("a phantom" in m.value for m in at.markdown)
    pressed(at, "Undo", "undo-")
    assert review.list_decisions(ws, "films") == []


def test_patients_on_two_sides_are_moved_together(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    ws, data = Workspace(), named()
    data.table["split"] = np.resize(["train", "train", "test", "val"], 60)
    data.roles["split"] = "split"
    ws.add(data)

    def torn(at):
        return [m for m in at.markdown if "on two sides" in m.value and SEVERITY["stop"] in m.value]

    at = opened("data")
    assert torn(at)
    pressed(at, "Move each into one part")
    assert not at.exception
    view = ws.dataset("films")
    assert all(len(set(view.splits[view.groups == g])) == 1 for g in set(view.groups))
    assert not torn(at)
    pressed(at, "Undo", "undo-now")
    assert ws.dataset("films").hash == ws.dataset("films", whole=True).hash
    assert np.array_equal(ws.dataset("films").splits, data.splits)


def test_held_back_cases_are_blurred_until_asked_for_and_released_by_a_person(ws):
    from app.panels.hidden_cases import blurred

    page = np.zeros((150, 150, 3), np.uint8)
    page[60:75:3, 20:130:4] = 255  # fine strokes
    assert np.ptp(blurred(page).astype(int)) < 60
    at = opened("data")
    assert "3 cases are hidden pending review" in said(at)
    assert {c.label for c in at.checkbox} >= {"row 30", "row 31", "row 32"}
    next(c for c in at.checkbox if c.label == "row 31").check().run()
    pressed(at, "Release the 1 ticked")
    assert not at.exception
    assert list(review.held_rows(ws, "films")) == [30, 32]
    assert 31 in ws.dataset("films").rows
    form_button(at, "held-release").click().run()
    assert len(review.held_rows(ws, "films")) == 2  # the box was not ticked
    next(c for c in at.checkbox if c.proto.form_id == "held-release").check()
    form_button(at, "held-release").click().run()
    assert not review.held_rows(ws, "films")
    assert "hidden pending review" not in " ".join(m.value for m in at.markdown)


def test_looking_selects_the_cases(ws):
    at = opened("data")
    pressed(at, "Look", "look-at-duplicates")
    assert not at.exception
    assert sorted(at.session_state["selection"].rows.tolist()) == sorted(ws.copies)


def test_a_doubted_label_is_changed_by_one_press(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    ws, data = Workspace(), make_sample("digits")
    right = data.table["digit"][100]
    data.table.loc[100, "digit"] = str((int(right) + 5) % 10)
    ws.add(data)
    at = opened("data")
    button = next(b for b in at.button if b.key == "relabel-100")
    assert button.label == right
    button.click().run()
    assert not at.exception
    assert ws.dataset("digits").classes[ws.dataset("digits").labels[100]] == right
    assert not [b for b in at.button if b.key == "relabel-100"]


def test_tables_and_texts_have_issues_too(tmp_path, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path))
    ws, data = Workspace(), make_sample("breast-cancer")
    data.samples[5] = data.samples[4]
    ws.add(data)
    at = opened("data")
    assert not at.exception
    assert "Exact copies" in said(at)
    pressed(at, "Look", "look-at-duplicates")
    assert not at.exception


def test_the_command_line_lists_decides_and_takes_back(ws):
    found = told("data", "issues", "films")
    assert {"duplicates", "blank"} <= {f["kind"] for f in found["issues"]}
    assert [h["row"] for h in found["held"]] == [30, 31, 32]
    assert found["decisions"] == []
    made = told(
        "data", "exclude", "films", "--finding", "duplicates", "--keep-one", "--reason", "a copy"
    )
    assert (made["rows"], made["n"]) == ([ws.copies[1]], 56)
    assert told("data", "exclude", "films", "--rows", "40,42-44", "--reason", "blurred")["n"] == 52
    assert told("data", "release", "films", "--rows", "31")["n"] == 53
    assert told("data", "release", "films")["n"] == 55
    assert told("data", "ignore", "films", "blank", "--reason", "a phantom")["what"] == "ignore"
    assert told("data", "undo", "films", made["id"])["n"] == 56
    now = told("data", "issues", "films")
    assert [d["what"] for d in now["decisions"]] == ["exclude", "release", "release", "ignore"]
    assert next(f["ignored"] for f in now["issues"] if f["kind"] == "blank") == "a phantom"
    assert now["held"] == []
    assert lightbox("data", "issues", "films")[0] == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("exclude", "films", "--reason", "x"), "--rows or --finding"),
        (("exclude", "films", "--rows", "a", "--reason", "x"), "not a row number"),
        (("exclude", "films", "--rows", "99", "--reason", "x"), "no row 99"),
        (("exclude", "films", "--finding", "ghosts", "--reason", "x"), "no finding"),
        (("exclude", "films", "--rows", "3", "--reason", " "), "Say why"),
        (("release", "films", "--rows", "3"), "held back"),
        (("undo", "films", "nothing"), "Already undone"),
        (("fix", "films", "blank"), "cannot be fixed"),
        (("ignore", "films", "ghosts", "--reason", "x"), "no finding"),
        (("issues", "elsewhere"), "no dataset"),
    ],
)
def test_bad_wishes_are_refused_in_one_sentence(ws, args, words):
    assert words in refused("data", *args)


def test_lines_of_a_table_show_what_the_finding_is_about():
    from app.panels.issues import _lines

    columns = {c: [1.0, 2.0] for c in "abcdefghij"} | {"dx": ["ill", "well"]}
    data = Dataset(
        "t", "table", pd.DataFrame(columns), np.zeros((2, 10), "f4"), roles={"label": "dx"}
    )
    rows = np.array([0, 1])
    missing = Finding("missing", "look", "Missing values", "In 2 rows, by column: “j” 2.", [0, 1])
    assert list(_lines(data, missing, rows).columns)[:2] == ["j", "a"]
    doubted = Finding("labels doubted", "look", "Labels", "2 cases.", [0, 1], notes={"0": "well"})
    lines = _lines(data, doubted, rows)
    assert list(lines.columns)[:2] == ["dx", "most similar have"]
    assert list(lines["most similar have"]) == ["well", ""]


def test_few_bytes_are_not_said_to_be_none():
    assert (text.size(50_176), text.size(19_906_548), text.size(3)) == ("50 kB", "19.9 MB", "1 kB")
