"""Before the disk or a project's share of it is full people are warned; once it is, nothing new is
begun.
"""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core.data.samples.catalogue import make_sample
from core.errors import UserError
from core.io import room
from core.jobs import queue
from core.workspace import uploads
from core.workspace.workspace import Workspace

MAIN = Path(__file__).parents[2] / "app" / "main.py"
GIB = 2**30


@pytest.fixture
def ws(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_counted", {})
    monkeypatch.setattr(room, "_levels", {})
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    made = Workspace(tmp_path / "home")
    made.add(make_sample("digits"), sample=True)
    return made


def disk(monkeypatch, free, total=1000 * GIB):
    usage = SimpleNamespace(free=int(free), total=int(total))
    monkeypatch.setattr(room.shutil, "disk_usage", lambda home: usage)


def quota(monkeypatch, ws, share):
    used = room._count(ws.home)
    monkeypatch.setenv("LIGHTBOX_QUOTA", str(used / share / GIB))
    return used


def refusals(ws):
    """What is said to an upload, an import and a training, in turn."""
    path = ws.home.parent / "table.csv"
    path.write_text("a,b\n1,2\n")
    said = []
    for begin in (
        lambda: uploads.store_upload(ws, [("a.csv", io.BytesIO(b"a,b\n1,2\n"))]),
        lambda: queue.import_data(ws, path, "more"),
        lambda: queue.train(ws, "digits", "pca"),
    ):
        with pytest.raises(UserError) as refused:
            begin()
        said.append(str(refused.value))
    assert not ws.catalogue.jobs()
    assert not list((ws.home / "uploads").glob("*"))
    return set(said)


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [
        (6 * GIB, 1000 * GIB, "ok"),
        (4 * GIB, 1000 * GIB, "low"),
        (0.2 * GIB, 1000 * GIB, "full"),
        (4 * GIB, 20 * GIB, "ok"),  # a small disk: by its share
        (1 * GIB, 20 * GIB, "low"),
        (0.1 * GIB, 20 * GIB, "full"),
    ],
)
def test_levels_of_the_disk(ws, monkeypatch, free, total, level):
    disk(monkeypatch, free, total)
    assert room.look_at_room(ws.home).level == level


@pytest.mark.parametrize(("share", "level"), [(0.5, "ok"), (0.95, "low"), (1.01, "full")])
def test_levels_of_a_quota(ws, monkeypatch, share, level):
    disk(monkeypatch, 500 * GIB)
    used = quota(monkeypatch, ws, share)
    found = room.look_at_room(ws.home)
    assert (found.level, found.used) == (level, used)


def test_what_is_used_is_all_files_once(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x").write_bytes(bytes(1000))
    (tmp_path / "a" / "y").write_bytes(bytes(24))
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a" / "b")
    links = (tmp_path / "a" / "again").lstat().st_size
    assert room.used_bytes(tmp_path, 0.0) == 1024 + links
    (tmp_path / "z").write_bytes(bytes(7))
    assert room.used_bytes(tmp_path, 3600.0) == 1024 + links, "not counted again so soon"
    assert room.used_bytes(tmp_path, 0.0) == 1031 + links


def test_a_full_disk_takes_no_import_and_no_training(ws, monkeypatch):
    disk(monkeypatch, 0.2 * GIB)
    (said,) = refusals(ws)
    assert said.startswith("Only 214.7 MB of the disk are free, so nothing is imported or trained;")


def test_a_full_share_takes_none_either_until_something_is_removed(ws, monkeypatch):
    disk(monkeypatch, 500 * GIB)
    quota(monkeypatch, ws, 1.02)
    (said,) = refusals(ws)
    assert "This project takes up" in said
    assert said.endswith("so nothing is imported or trained; remove data or runs first.")
    ws.remove_dataset("digits")
    uploads.store_upload(ws, [("a.csv", io.BytesIO(b"a,b\n1,2\n"))])


def test_people_are_warned_on_screen_and_the_log_hears_of_each_change_once(
    ws, monkeypatch, tmp_path
):
    monkeypatch.setenv("LIGHTBOX_EVENTS", str(tmp_path / "events.jsonl"))
    disk(monkeypatch, 4 * GIB)
    at = AppTest.from_file(str(MAIN), default_timeout=300).run()
    assert not at.exception
    (said,) = [w.value for w in at.warning if "of the disk are free" in w.value]
    assert said.startswith("4,295")
    at.run()
    disk(monkeypatch, 0.1 * GIB)
    at.run()
    assert any("nothing is imported or trained" in w.value for w in at.warning)
    disk(monkeypatch, 100 * GIB)
    at.run()
    assert not [w.value for w in at.warning if "of the disk" in w.value]
    told = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [one["level"] for one in told if one["event"] == "disk"] == ["low", "full", "ok"]
