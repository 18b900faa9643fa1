"""Imports as jobs: all or nothing, cancel, killed and gone on, the same data twice; uploads under
names of our own.
"""

import gzip
import io
import json
import os
import signal
import time
import zipfile

import numpy as np
import psutil
import pytest
from PIL import Image

from core import limits
from core.data import allowed_folders
from core.data.dataset import Dataset
from core.data.readers import read
from core.data.stored import LazyArray
from core.errors import UserError
from core.jobs import queue, reconciling, tasks
from core.jobs.worker import do_job
from core.workspace import uploads
from core.workspace.catalogue import Job
from core.workspace.import_request import REQUEST, write_request
from core.workspace.workspace import Workspace


def picture(i, side=24):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(i).integers(0, 255, (side, side), dtype=np.uint8)).save(
        out, "PNG"
    )
    return out.getvalue()


@pytest.fixture
def ws(tmp_path):
    return Workspace(tmp_path / "home")


@pytest.fixture
def pile(tmp_path):
    """A zip of 60 pictures in two classes."""
    with zipfile.ZipFile(tmp_path / "pile.zip", "w") as z:
        for i in range(60):
            z.writestr(f"{'a' if i % 2 else 'b'}/{i:03d}.png", picture(i))
    return tmp_path / "pile.zip"


def empty(ws):
    left = [str(p) for p in (ws.home / "datasets").rglob("*")], ws.catalogue.datasets()
    assert left == ([], []), left
    return True


def test_an_import_gives_what_reading_gives_and_leaves_nothing_behind(ws, pile):
    job = queue.wait(ws, queue.import_data(ws, pile, "pile").id, timeout=120)
    assert (job.status, job.progress) == ("done", 1.0), job.error
    data = ws.dataset(job.dataset)
    assert data.name == "pile"
    assert data.hash == read(pile, name="other").content_hash()
    assert not (ws.folder(job.id) / REQUEST).exists()
    assert data.card["source hash"].startswith("sha256 ")
    twice = queue.wait(ws, queue.import_data(ws, pile, "pile again").id, timeout=120)
    assert twice.status == "failed"
    assert "already here as “pile”" in twice.error
    assert [e["name"] for e in ws.catalogue.datasets()] == ["pile"]
    assert len(list((ws.home / "datasets").iterdir())) == 1


def test_a_file_that_cannot_be_read_ends_in_a_sentence_and_nothing_is_kept(ws, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as z:
        for i in range(5):
            z.writestr(f"{i}.png", picture(i)[: 60 if i == 3 else None])
    job = queue.wait(ws, queue.import_data(ws, tmp_path / "bad.zip", "bad").id, timeout=120)
    assert job.status == "failed"
    assert job.error.startswith("3.png cannot be read as a picture")
    assert empty(ws)
    with pytest.raises(UserError, match=r"no file or folder nowhere\.zip"):
        queue.import_data(ws, tmp_path / "nowhere.zip")


def test_a_pile_larger_than_memory_is_decoded_as_it_is_written(pile, tmp_path, monkeypatch):
    small = read(pile, name="x")
    monkeypatch.setattr(limits, "IN_MEMORY", 10_000)
    large = read(pile, name="x")
    assert isinstance(large.samples, LazyArray)
    assert large.samples.nbytes == small.samples.nbytes
    np.testing.assert_array_equal(large.samples[:], small.samples)
    np.testing.assert_array_equal(
        large.of(np.array([5, 3])).raw(), small.of(np.array([5, 3])).raw()
    )
    seen = []
    stored = large.save(tmp_path / "stored", lambda done, total: seen.append((done, total)))
    assert stored.hash == small.content_hash()
    assert seen[-1] == (60, 60)


def test_an_entry_that_keeps_what_it_read_last_is_never_made_beside_another():
    at_work = []

    def make(i):
        at_work.append(i)
        time.sleep(0.002)
        assert at_work == [i]
        at_work.clear()
        return np.full(3, i)

    np.testing.assert_array_equal(LazyArray(40, (3,), np.int64, make)[:][:, 0], np.arange(40))
    np.testing.assert_array_equal(
        LazyArray(40, (3,), np.int64, lambda i: np.full(3, i), at_once=True)[5:][:, 0],
        np.arange(5, 40),
    )


def test_a_save_that_was_broken_off_goes_on_behind_what_is_there(tmp_path):
    made = []

    def make(i):
        made.append(i)
        return np.full((1, 256, 256), i % 251, np.uint8)

    table = read_table(1500)
    data = Dataset(
        "x",
        "image",
        table,
        LazyArray(1500, (1, 256, 256), np.uint8, make),
        None,
        {"file": "file"},
        (),
        (0.0, 255.0),
    )

    class Off(Exception):
        pass

    def off(done, total):
        if done > 1200:
            raise Off

    with pytest.raises(Off):
        data.save(tmp_path / "x", off)
    first = len(made)
    made.clear()
    stored = data.save(tmp_path / "x")
    assert len(made) < 1500 - 900 < first  # what was stored is not made again
    assert stored.hash == data.content_hash()
    assert not list((tmp_path / "x").glob("*.blocks.json"))


def read_table(n):
    import pandas as pd

    return pd.DataFrame({"file": [f"{i}.png" for i in range(n)]})


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_a_killed_import_goes_on_when_it_is_resumed_and_a_cancelled_one_leaves_nothing(
    ws, tmp_path
):
    rng = np.random.default_rng(0)
    # 1,500 pictures of 256 x 256: stored in blocks while they are decoded
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as z:
        for i in range(1500):
            out = io.BytesIO()
            Image.fromarray(
                np.kron(rng.integers(0, 255, (16, 16), dtype=np.uint8), np.ones((20, 20), np.uint8))
            ).save(out, "PNG")
            z.writestr(f"{i}.png", out.getvalue())
    options = {"label": "none"}
    job = queue.import_data(ws, tmp_path / "many.zip", "many", options)
    blocks = ws.home / "datasets" / f"tmp-{job.id}" / "samples.blocks.json"
    deadline = time.monotonic() + 120
    while not blocks.exists() and not ws.job(job.id).ended and time.monotonic() < deadline:
        time.sleep(0.02)
    psutil.Process(ws.job(job.id).pid).send_signal(signal.SIGKILL)
    assert blocks.exists(), ws.job(job.id).error
    while ws.job(job.id).status == "running" and time.monotonic() < deadline:
        reconciling.reconcile(ws)
        time.sleep(0.1)
    assert ws.job(job.id).status == "interrupted"
    assert not ws.catalogue.datasets()  # nothing half imported is shown
    assert json.loads(blocks.read_text())["blocks"] > 0
    queue.resume(ws, job.id)
    done = queue.wait(ws, job.id, timeout=200)
    assert done.status == "done", done.error
    assert len(ws.dataset("many")) == 1500
    assert [p.name for p in (ws.home / "datasets").iterdir()] == [job.id]

    ws.remove_dataset("many")
    job = queue.import_data(ws, tmp_path / "many.zip", "many", options)
    while not (ws.job(job.id).progress or 0) > 0.05 and not ws.job(job.id).ended:
        time.sleep(0.02)
    queue.cancel(ws, job.id)
    assert queue.wait(ws, job.id, timeout=60).status == "cancelled"
    assert empty(ws)
    assert not (ws.folder(job.id) / REQUEST).exists()


@pytest.mark.parametrize("done", [0.7, 1.0])
def test_a_cancelled_import_that_had_to_be_killed_leaves_nothing(ws, pile, done):
    """It was storing the cases (0.7), or had stored them and was looking them over (1.0)."""
    job = Job(id="0123456789ab", kind="import", dataset="", label="pile")
    ws.catalogue.add_job(job)
    gone = {"status": "running", "pid": 2**22 + 1, "born": "1", "cancel": 1, "heartbeat": 1.0}
    ws.catalogue.set_job(job.id, **gone)
    ws.add(read(pile, name="pile"), id=job.id)
    if done < 1:
        ws.catalogue.remove_dataset(job.id)
        (ws.home / "datasets" / job.id).rename(ws.home / "datasets" / f"tmp-{job.id}")
    reconciling.reconcile(ws)
    assert ws.job(job.id).status == "cancelled"
    assert empty(ws)


def test_an_import_cancelled_as_it_ended_leaves_nothing(ws, pile, monkeypatch):
    """Its last look at the wish to stop lay behind it, and the dataset was known already."""

    def store(ws, job, tell):
        ws.add(read(pile, name="pile"), id=job.id)
        ws.catalogue.set_job(job.id, dataset=job.id, cancel=1)
        assert tell.cancelled.wait(30)

    monkeypatch.setitem(tasks.TASKS, "import", store)
    job = Job(id="0123456789", kind="import", dataset="", label="pile", status="running")
    ws.catalogue.add_job(job)
    ws.folder(job.id).mkdir()
    write_request(ws.folder(job.id), pile, "pile", {}, None)
    do_job(ws, job.id)
    assert ws.job(job.id).status == "cancelled"
    assert empty(ws)
    assert not (ws.folder(job.id) / REQUEST).exists()


def test_dismissing_an_import_that_succeeded_meanwhile_keeps_its_dataset(ws, pile):
    """The page showed it as broken off; another tab had let it go on."""
    job = queue.wait(ws, queue.import_data(ws, pile, "pile").id, timeout=120)
    assert job.status == "done", job.error
    queue.discard_import(ws, job.id)
    assert len(ws.dataset("pile")) == 60


def test_uploads_keep_their_names_inside_one_file_of_ours(ws):
    files = [
        ("scan/../../evil.png", io.BytesIO(picture(1))),
        ("scan/ü (1).png", io.BytesIO(picture(2))),
    ]
    kept = uploads.store_upload(ws, files)
    assert sorted(p.name for p in kept.folder.iterdir()) == ["upload.json", "upload.zip"]
    assert kept.bytes == len(picture(1)) + len(picture(2))
    with pytest.raises(UserError, match="points outside"):
        read(kept.path)
    good = uploads.store_upload(ws, [files[1], ("scan/b.png", io.BytesIO(picture(3)))])
    assert sorted(read(good.path).table["file"]) == ["scan/b.png", "scan/ü (1).png"]
    assert uploads.store_upload(ws, [("t.csv", io.BytesIO(b"a,b\n1,2\n3,4\n5,7\n"))]).names == (
        "t.csv",
    )
    with pytest.raises(UserError, match=r"Two of the files are called a\.png"):
        uploads.store_upload(ws, [("a.png", io.BytesIO(b"1")), ("a.png", io.BytesIO(b"2"))])


def test_old_uploads_are_swept_but_those_of_an_import_that_can_go_on_stay(ws):
    old, wanted, new = (
        uploads.store_upload(ws, [(f"{n}.csv", io.BytesIO(b"a,b\n1,2\n"))]).folder for n in "abc"
    )
    folder = ws.home / "runs" / "0123456789"
    folder.mkdir()
    (folder / REQUEST).write_text(
        json.dumps({"path": str(wanted / "upload.zip"), "uploaded": str(wanted)})
    )
    for place in (old, wanted):
        os.utime(place, (time.time() - 2 * uploads.OLD,) * 2)
    uploads.remove_old_uploads(ws)
    assert (old.exists(), wanted.exists(), new.exists()) == (False, True, True)
    assert [u.folder for u, _ in uploads.waiting_uploads(ws) if u.folder in (old, wanted, new)] == [
        new
    ]


def test_what_was_copied_and_not_imported_is_found_again(ws):
    kept = uploads.store_upload(ws, [("chest.csv", io.BytesIO(b"a,b\n1,2\n"))])
    cut = uploads.store_upload(ws, [("cut.csv", io.BytesIO(b"a,b\n1,2\n"))])
    (cut.folder / "upload.json").unlink()  # cut off while it was copied
    found = [u for u, _ in uploads.waiting_uploads(ws)]
    assert kept in found
    assert cut.folder not in [u.folder for u in found]


def test_only_folders_beneath_the_opened_roots_can_be_chosen(tmp_path, monkeypatch):
    inside, outside = tmp_path / "open", tmp_path / "closed"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    (inside / "a.csv").write_text("a,b\n1,2\n")
    monkeypatch.delenv("LIGHTBOX_FOLDERS", raising=False)
    with pytest.raises(UserError, match="LIGHTBOX_FOLDERS"):
        allowed_folders.check_allowed(inside)
    monkeypatch.setenv("LIGHTBOX_FOLDERS", str(inside))
    assert allowed_folders.check_allowed(inside / "deep") == inside / "deep"
    assert allowed_folders.list_entries(inside) == (["deep"], ["a.csv"])
    for wrong in (outside, inside / ".." / "closed", tmp_path):
        with pytest.raises(UserError, match="outside"):
            allowed_folders.check_allowed(wrong)


def test_an_import_that_was_broken_off_is_listed_with_the_way_on(ws, tmp_path, monkeypatch):
    from tests.app.test_cli import lightbox

    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{i},{i % 3}\n" for i in range(20)))
    job = queue.import_data(ws, tmp_path / "t.csv", "mine")

    def broken_off(ws, id, tell=None, timeout=None):
        ws.catalogue.set_job(id, status="interrupted", error=reconciling.STOPPED["import"])
        return ws.job(id)

    with monkeypatch.context() as patch:
        patch.setattr(queue, "wait", broken_off)
        code, _, err = lightbox("data", "add", tmp_path / "t.csv", "--name", "other")
    assert code == 2
    other = next(j.id for j in ws.catalogue.jobs(kind="import") if j.id != job.id)
    assert f"lightbox runs resume {other}" in err
    broken_off(ws, job.id)
    code, out, _ = lightbox("data", "list")
    assert code == 0
    assert (
        f"import {job.id} (mine): broken off. `lightbox runs resume {job.id}` goes on with it"
        in out
    )
    assert {"import": job.id, "name": "mine", "status": "interrupted"} in json.loads(
        lightbox("data", "list", "--json")[1]
    )["imports"]
    for id in (job.id, other):
        assert lightbox("runs", "remove", id)[0] == 0
    assert "imports" not in json.loads(lightbox("data", "list", "--json")[1])
    assert empty(ws)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("processed.cleveland.data", "processed.cleveland"),
        ("trial.v1.2.csv", "trial.v1.2"),
        ("lab.csv.gz", "lab"),
    ],
)
def test_only_the_suffix_is_cut_from_what_a_dataset_is_called(tmp_path, file, name):
    lines = b"age,dose\n" + b"".join(b"%d,%d\n" % (30 + i, i % 7) for i in range(40))
    (tmp_path / file).write_bytes(gzip.compress(lines) if file.endswith("gz") else lines)
    assert read(tmp_path / file).name == name
