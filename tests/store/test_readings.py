"""Readings: kept before the model's answer is shown, never erased, and taken out as a table."""

import numpy as np
import pytest

from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.export import safe_csv
from core.workspace import readings
from core.workspace.workspace import Workspace


@pytest.fixture
def ws(database, tmp_path):
    made = Workspace(tmp_path)
    made.add(make_sample("digits"))
    return made


def read(ws, row=3, reader="Dr A", answer="3", first=True, run="run1", **more):
    return readings.add_reading(ws, "digits", row, reader, run, answer, first=first, **more)


def test_an_answer_is_kept_before_the_models_and_its_verdict_after(ws):
    made = read(ws, label="5", seconds=4.26)
    assert (made.first, made.model, made.shown, made.seconds) == (True, "", None, 4.3)
    with pytest.raises(UserError, match="has not been shown"):
        readings.judge_answer(ws, "digits", made.id, "agree")
    shown = readings.show_answer(ws, "digits", made.id, "8")
    assert shown.shown >= made.answered
    judged = readings.judge_answer(ws, "digits", made.id, "disagree", "  a  loop\n above ")
    assert (judged.verdict, judged.note, judged.answer) == ("disagree", "a loop above", "3")
    assert readings.list_readings(ws, "digits") == [judged]
    with pytest.raises(UserError, match="no verdict"):
        readings.judge_answer(ws, "digits", made.id, "perhaps")  # type: ignore[arg-type]


def test_who_has_seen_the_models_answer_cannot_read_that_case_first_any_more(ws):
    made = read(ws)
    readings.show_answer(ws, "digits", made.id, "8")
    readings.undo_reading(ws, "digits", made.id)
    assert readings.list_readings(ws, "digits") == []
    assert not read(ws, answer="8").first
    assert read(ws, row=4).first, "another case"
    assert read(ws, reader="Dr B").first, "another reader"
    assert read(ws, run="run2").first, "another run's answer"
    assert not read(ws, row=9, first=False).first


def test_undo_takes_back_the_verdict_and_then_the_answer_and_both_stay_on_record(ws):
    made = read(ws)
    readings.show_answer(ws, "digits", made.id, "8")
    readings.judge_answer(ws, "digits", made.id, "agree", "sure")
    back = readings.undo_reading(ws, "digits", made.id)
    assert (back.verdict, back.note, back.undone, back.model) == ("", "", None, "8")
    assert readings.undo_reading(ws, "digits", made.id).undone
    with pytest.raises(UserError, match="Already undone"):
        readings.undo_reading(ws, "digits", made.id)
    assert len(readings.list_readings(ws, "digits", undone=True)) == 1


def test_the_last_reading_of_a_case_counts_and_readers_stay_apart(ws):
    read(ws, answer="3")
    last = read(ws, answer="5")
    other = read(ws, reader="Dr B", answer="7")
    found = readings.list_readings(ws, "digits")
    assert readings.latest_readings(found, "Dr A", "run1") == {3: last}
    assert readings.latest_readings(found, "Dr B", "run1") == {3: other}
    assert readings.latest_readings(found, "Dr A", "run2") == {}


def test_changed_labels_are_those_of_the_last_reading_that_names_a_class(ws):
    for row, label, answer in ((1, "3", "5"), (2, "3", "3"), (3, "3", "cannot tell"), (4, "", "5")):
        read(ws, row=row, label=label, answer=answer)
    read(ws, row=5, label="3", answer="5")
    read(ws, row=5, label="3", answer="3")
    found = readings.find_changed_labels(readings.list_readings(ws, "digits"), ["3", "5"])
    assert {k: v.tolist() for k, v in found.items()} == {"5": [1]}
    assert found["5"].dtype == np.int64


def test_a_reader_has_a_name_of_one_line(ws):
    with pytest.raises(UserError, match="who is reading"):
        read(ws, reader=" \n ")
    assert read(ws, reader=" Dr\u202e  A\n").reader == "Dr A"
    assert len(read(ws, reader="x" * 200).reader) == readings.NAME


def test_the_table_names_cases_tells_times_in_utc_and_keeps_formulas_from_running(ws):
    made = read(ws, reader="=1+1")
    readings.undo_reading(ws, "digits", made.id)
    frame = readings.readings_table(ws, "digits")
    assert frame["name"].tolist() == ws.dataset("digits").of(np.array([3])).names()
    assert frame["answered"].iloc[0].endswith("Z")
    assert frame["undone"].iloc[0] >= frame["answered"].iloc[0]
    assert frame["shown"].isna().all()
    assert "'=1+1" in safe_csv(frame)
    empty = readings.readings_table(ws, "digits").iloc[:0]
    assert list(empty.columns)[:3] == ["id", "name", "row"]


def test_a_named_run_keeps_its_name_in_its_folder_until_it_is_taken_back(ws):
    from core.workspace import notes, records
    from core.workspace.catalogue import Job

    job = Job(id="abcdef1234", kind="train", dataset=ws.entry("digits")["id"], method="pca")
    ws.catalogue.add_job(job)
    (ws.home / "runs" / job.id).mkdir()
    named = notes.name_run(ws, job.id, "  first   try ")
    assert named.label == "first try"
    assert ws.job(job.id).label == "first try"
    assert records.read_record(ws.folder(job.id)).label == "first try"
    with pytest.raises(UserError, match="visible characters"):
        notes.name_run(ws, job.id, "x" * 200)
    assert notes.name_run(ws, job.id, " ").label == ""
    assert records.read_record(ws.folder(job.id)).label == ""
