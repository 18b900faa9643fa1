"""The log of events holds facts of a fixed form and no name of anybody or anything."""

import json

import pytest

from core.io.events import FACTS, NUMBERS, log_event
from core.jobs import queue
from core.workspace import uploads
from core.workspace.workspace import Workspace
from tests.hostile.test_logs import CANARY, FILES

pytestmark = pytest.mark.processes


@pytest.fixture
def events(tmp_path, monkeypatch):
    place = tmp_path / "events.jsonl"
    monkeypatch.setenv("LIGHTBOX_EVENTS", str(place))
    return lambda: [json.loads(line) for line in place.read_text().splitlines()]


def test_a_job_is_told_from_asking_to_its_end_without_a_name(tmp_path, events):
    """In this process, the supervisor's and the worker's: files full of canaries, good and bad."""
    import io

    ws = Workspace(tmp_path / "home")
    ids = {}
    for name in ("words.csv", "cut.png"):
        stored = uploads.store_upload(ws, [(f"{CANARY}-{name}", io.BytesIO(FILES[name]()))])
        label = f"{CANARY} {name}"
        ids[queue.import_data(ws, stored.path, label, uploaded=stored.folder).id] = name
    for id in ids:
        queue.wait(ws, id, timeout=120)
    told = [one for one in events() if one["event"] == "job"]
    for id in ids:
        states = [one["state"] for one in told if one["id"] == id]
        assert states[:2] == ["queued", "running"]
        assert states[-1] in ("done", "failed")
    assert {one["kind"] for one in told if one["state"] == "queued"} == {"import"}
    assert CANARY.lower() not in json.dumps(events()).lower()


@pytest.mark.parametrize("fact", [f for f in FACTS if f != "project"])
def test_a_text_of_another_form_is_not_written(events, fact):
    for given in (f"{CANARY} Anna", f"{CANARY}.dcm", f"{CANARY}@hospital.example", "ä", 7):
        log_event("job", **{fact: given})
    assert [one[fact] for one in events()] == ["?"] * 5


def test_numbers_are_numbers_and_other_facts_are_none(events):
    log_event("disk", free_bytes=12, level="low", quota_bytes=None)
    (told,) = events()
    assert told["at"].endswith("Z")
    assert (told["event"], told["free_bytes"], told["level"]) == ("disk", 12, "low")
    assert "quota_bytes" not in told
    for fact in ("name", "person", "file", "dataset", "error"):
        assert fact not in FACTS.keys() | NUMBERS
        with pytest.raises(ValueError, match="no fact"):
            log_event("job", **{fact: "x"})


def test_without_the_setting_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("LIGHTBOX_EVENTS", raising=False)
    monkeypatch.chdir(tmp_path)
    log_event("job", id="0123456789")
    assert not list(tmp_path.iterdir())
