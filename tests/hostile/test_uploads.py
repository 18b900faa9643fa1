"""What comes through the browser: bounded, kept once, nothing half imported."""

import contextlib
import io
import zipfile

import pytest

from core import limits
from core.data.readers import read
from core.errors import UserError
from core.jobs import queue
from core.workspace import uploads
from core.workspace.workspace import Workspace
from tests.hostile._make import png


@pytest.fixture
def ws(tmp_path):
    return Workspace(tmp_path / "home")


def kept(ws):
    place = ws.home / "uploads"
    return list(place.iterdir()) if place.exists() else []


def test_five_thousand_files_come_in_as_one(ws):
    """Fault 48: 5,000 files: one folder of ours, one zip, streamed; all of them are read."""
    small = png()
    came = uploads.store_upload(
        ws, [(f"scan/{i % 7}/{i:05}.png", io.BytesIO(small)) for i in range(5000)]
    )
    assert sorted(p.name for p in came.folder.iterdir()) == ["upload.json", "upload.zip"]
    with zipfile.ZipFile(came.path) as z:
        assert len(z.namelist()) == 5000
    assert len(read(came.path)) == 5000


def test_too_many_files_and_two_of_one_name_are_refused(ws, monkeypatch):
    """Fault 48: more files than are taken: a sentence with the limit, nothing kept."""
    monkeypatch.setattr(limits, "MEMBERS", 10)
    with pytest.raises(UserError, match="11 files were chosen; at most 10"):
        uploads.store_upload(ws, [(f"{i}.png", io.BytesIO(b"x")) for i in range(11)])
    with pytest.raises(UserError, match=r"Two of the files are called a\.png"):
        uploads.store_upload(ws, [("a.png", io.BytesIO(b"x")), ("a.png", io.BytesIO(b"y"))])
    assert kept(ws) == []


class Broken(io.BytesIO):
    """A stream that ends as one does whose upload was cancelled."""

    def read(self, size=-1):
        if self.tell() > 1 << 20:
            raise OSError("connection lost")
        return super().read(size)


def test_an_upload_that_is_broken_off_leaves_nothing(ws):
    """Fault 48: cancel in the middle of an upload: no file, no dataset, no import."""
    with pytest.raises(OSError, match="connection lost"):
        uploads.store_upload(
            ws, [("a.csv", io.BytesIO(b"a,b\n1,2\n")), ("b.csv", Broken(bytes(4 << 20)))]
        )
    assert kept(ws) == []
    assert ws.catalogue.datasets() == []
    assert ws.catalogue.jobs(kind="import") == []


@pytest.mark.parametrize(
    "name",
    [
        "../../x.png",
        "/etc/passwd",
        "..\\..\\x.png",
        "C:\\x.png",
        "a\0b.png",
        "x" * 300 + ".png",
        "..",
    ],
)
def test_names_of_uploads_are_never_paths(ws, tmp_path, name):
    """Fault 48: whatever a file is called, what is written is called by us, and reading it is
    refused or gives the cases.
    """
    before = set(tmp_path.iterdir())
    with contextlib.suppress(UserError):
        came = uploads.store_upload(
            ws, [(name, io.BytesIO(png(0))), ("ok.png", io.BytesIO(png(1)))]
        )
        assert sorted(p.name for p in came.folder.iterdir()) == ["upload.json", "upload.zip"]
        read(came.path)
    assert set(tmp_path.iterdir()) == before
    assert not [p for p in ws.home.rglob("*") if "passwd" in p.name or p.name.startswith("x")]


def test_the_same_file_twice_is_said(ws):
    """Fault 48: the same content under another name is found, and nothing is stored twice."""
    files = [(f"{'ab'[i % 2]}/{i}.png", png(i)) for i in range(8)]
    for name in ("first", "second"):
        came = uploads.store_upload(ws, [(n, io.BytesIO(d)) for n, d in files])
        job = queue.wait(
            ws, queue.import_data(ws, came.path, name, {}, came.folder).id, timeout=500
        )
    assert job.status == "failed"
    assert "already here as “first”" in job.error
    assert [e["name"] for e in ws.catalogue.datasets()] == ["first"]
    assert kept(ws) == []
