"""Rows 4 and 5: the k-th operation on the disk fails, for every k, once or from then on; and a disk
that is really full.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import limits
from core.artifacts import Embedding
from core.errors import FAULTS, UserError, user_sentence
from core.io import files
from core.jobs import queue
from core.report import story
from core.workspace import notes, review, uploads
from core.workspace.workspace import Workspace
from tests.app.test_cli import lightbox
from tests.survive import _make

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    made = _make.workspace(tmp_path_factory.mktemp("faults"))
    with pytest.MonkeyPatch.context() as patch:
        assert _make.do(made, _make.ask(made, patch).id).status == "done"
    return made


def told(error, words):
    assert words in user_sentence(error)


def every_fault(monkeypatch, attempt):
    """`attempt(words)` with each operation failing in turn, until none fails any more; every second
    one also for good. `words` must be in what the user is told. Gives how many there were.
    """
    kinds = list(_make.ERRORS)
    for k in count(1):
        came = False
        for forever in (False, True)[: 1 + k % 2]:
            error = kinds[(k + forever) % len(kinds)]
            with monkeypatch.context() as patch:
                failing = _make.full(k, error, forever, patch)
                attempt(_make.ERRORS[error], patch)
                came |= failing.count >= k
        if not came:
            return k - 1
    return 0


def test_saving_a_run(ws, monkeypatch):
    """From asking for a map to its last state: whatever fails, it is done and whole or failed with
    the cause, and can be taken away.
    """
    base = ws.runs()[0].id
    monkeypatch.setattr(queue, "ensure_supervisor", lambda ws: None)
    seeds, ends = count(), []

    def attempt(words, patch):
        before = {j.id for j in ws.catalogue.jobs()}
        try:
            job = queue.derive(ws, "map", base, {"how": "pca", "dims": 2}, seed=next(seeds))
        except OSError as e:
            told(e, words)
            assert {j.id for j in ws.catalogue.jobs()} == before, (
                "what could not be asked for is not there"
            )
            return
        ended = _make.do(ws, job.id)
        ends.append(ended.status)
        assert ended.status in ("done", "failed")
        if ended.status == "failed":
            assert words in ended.error
            assert not ended.bug
        patch.undo()
        _make.whole(ws)
        folder = ws.folder(job.id)
        ws.remove_run(job.id)
        assert not folder.exists()

    assert every_fault(monkeypatch, attempt) > 30
    assert ends.count("failed") > 30
    assert ends[-1] == "done"
    assert {p.name for p in (ws.home / "runs").iterdir()} == {j.id for j in ws.catalogue.jobs()}


def test_saving_data(ws, monkeypatch):
    """All of the dataset or nothing of it, and the name is free for the next try."""
    there, left = sorted(p.name for p in (ws.home / "datasets").iterdir()), []
    data = _make.small(8, "more")

    def attempt(words, patch):
        try:
            ws.add(data)
        except OSError as e:
            told(e, words)
            patch.undo()
            left.append(
                (
                    [d["name"] for d in ws.catalogue.datasets()],
                    sorted(p.name for p in (ws.home / "datasets").iterdir()),
                )
            )
        else:
            patch.undo()
            _make.whole(ws)
            ws.remove_dataset("more")

    assert every_fault(monkeypatch, attempt) > 15
    assert len(left) > 15
    assert all(found == (["few"], there) for found in left)


def decide(ws, i):
    return review.exclude(ws, "few", np.array([i % 40]), "blurred")


def group(ws, i):
    notes.save_group(ws, "few", f"group {i}", np.arange(3))


def pin(ws, i):
    story.add_pin(ws, PNG + bytes(9), f"view {i}", {})


def upload(ws, i):
    uploads.store_upload(ws, [(f"{i}.csv", io.BytesIO(b"a,b\n1,2\n"))])


SEEN = {
    decide: lambda ws: [d.id for d in review.list_decisions(ws, "few")],
    group: lambda ws: list(notes.load_groups(ws, "few")),
    pin: lambda ws: [p.id for p in story.load_pins(ws)],
    upload: lambda ws: sorted(p.parent.name for p in (ws.home / "uploads").glob("*/upload.zip")),
}


@pytest.mark.parametrize("act", SEEN, ids=lambda f: f.__name__)
def test_what_people_do_is_kept_or_not_done(ws, monkeypatch, act):
    """A decision, a group, a pin, an upload: as before with a sentence, or there; never in between,
    and the next one works.
    """
    numbers = count()

    def attempt(words, patch):
        before = SEEN[act](ws)
        try:
            act(ws, next(numbers))
        except OSError as e:
            told(e, words)
            patch.undo()
            after = SEEN[act](ws)
            assert after == before or len(after) == len(before) + 1, (
                "as before, or (only its folder was not flushed) there in whole"
            )
        else:
            patch.undo()
            assert len(SEEN[act](ws)) == len(before) + 1
        if act is decide:
            for d in review.list_decisions(ws, "few"):
                review.undo(ws, "few", d.id)
        assert not [p for p in ws.home.rglob("*.tmp")]

    assert every_fault(monkeypatch, attempt) >= 4


def test_what_changed_on_the_disk_is_not_shown(ws, monkeypatch):
    """A flipped bit in a result is a sentence when it is opened, and found by the check of all
    files.
    """
    run = ws.runs()[0].id
    path = ws.folder(run) / "artifacts" / "embedding-latent" / "z.npy"
    good = path.read_bytes()
    path.write_bytes(good[:-3] + bytes([good[-3] ^ 4]) + good[-2:])
    again = Workspace(ws.home)
    with pytest.raises(UserError, match=r"embedding-latent.*damaged"):
        again.artifact(run, "embedding-latent")
    assert again.damaged() == [f"runs/{run}/artifacts/embedding-latent/z.npy"]
    assert again.artifact(run, "metrics"), "the others open"
    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    code, out, err = lightbox("check", "--files", "--json")
    assert (code, json.loads(out)["damaged"]) == (2, again.damaged())
    assert "embedding-latent/z.npy" in err
    path.write_bytes(good)
    assert isinstance(Workspace(ws.home).artifact(run, "embedding-latent"), Embedding)
    table = ws.dataset_folder("few") / "table.parquet"
    good = table.read_bytes()
    table.write_bytes(good[:-1])
    assert again.damaged() == [f"datasets/{ws.entry('few')['id']}/table.parquet"]
    table.write_bytes(good)
    assert again.damaged() == []


def test_data_without_a_list_of_files_is_named_and_can_get_one(tmp_path, monkeypatch):
    """Data from before lists were kept is not passed over in silence; data whose list is lost is
    damaged.
    """
    ws = _make.workspace(tmp_path)
    folder = ws.dataset_folder("few")
    kept = folder / "manifest.json"
    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    kept.unlink()
    assert (ws.unlisted(), ws.damaged()) == ([], [f"datasets/{folder.name}/manifest.json"])
    for place in ("core.data.stored", "core.data.dataset"):
        monkeypatch.setattr(f"{place}.has_checksums", lambda folder: False)
    code, out, _ = lightbox("check", "--files")
    assert code == 0
    assert "One dataset was not compared, being from before lists of files were kept: “few”." in out
    assert lightbox("check", "--list-files")[0] == 2
    code, out, _ = lightbox("check", "--files", "--list-files", "--json")
    assert (code, json.loads(out)["not_compared"], kept.exists()) == (0, [], True)
    (folder / "table.parquet").write_bytes(b"other")
    assert ws.damaged() == [f"datasets/{folder.name}/table.parquet"]


def test_a_result_that_is_lost_or_cut_is_a_sentence(ws, monkeypatch):
    """Also in a process that had it open before, and where it is too large for its contents to be
    compared.
    """
    run = ws.runs()[0].id
    path = ws.folder(run) / "artifacts" / "embedding-latent" / "z.npy"
    good = path.read_bytes()
    assert isinstance(ws.artifact(run, "embedding-latent"), Embedding)
    path.write_bytes(good[:-40])
    with pytest.raises(UserError, match=r"embedding-latent.*damaged"):
        ws.artifact(run, "embedding-latent")
    monkeypatch.setattr(limits, "VERIFIED", 0)
    with pytest.raises(UserError, match=r"embedding-latent/z\.npy is not what was written"):
        Workspace(ws.home).artifact(run, "embedding-latent")
    path.unlink()
    with pytest.raises(UserError, match=r"embedding-latent.*damaged"):
        Workspace(ws.home).artifact(run, "embedding-latent")
    path.write_bytes(good)


FULL = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
from core.jobs import worker
worker.main(sys.argv[1], sys.argv[2])
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
def test_a_worker_that_may_write_no_large_file(tmp_path, monkeypatch):
    """A real refusal of the system in the worker's own process: a sentence that names it, and the
    catalogue goes on.
    """
    ws = _make.workspace(tmp_path)
    few = _make.small()
    # what is unusual about each then takes 2.6 MB
    large = np.asarray(few.samples).repeat(16, axis=1).repeat(16, axis=2)
    ws.add(replace(few, name="large", samples=large))
    job = _make.ask(ws, monkeypatch, data="large")
    ws.catalogue.set_job(job.id, status="running")
    subprocess.run(
        [sys.executable, "-c", FULL, str(ws.home), job.id, str(2 << 20)],
        check=True,
        timeout=100,
        cwd=Path(__file__).parents[2],
    )
    ended = ws.job(job.id)
    assert (ended.status, ended.bug) == ("failed", "")
    assert "larger than this system allows" in ended.error
    _make.whole(ws)
    ws.remove_run(job.id)


@pytest.fixture
def tiny(tmp_path, request):
    """A disk of 3 MB, or of what the test asks for."""
    size = getattr(request, "param", "3m")
    place = tmp_path / "tiny"
    place.mkdir()
    if (
        sys.platform != "linux"
        or os.getuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)],
            check=False,
            capture_output=True,
        ).returncode
    ):
        pytest.skip("A small disk can be mounted by root on Linux only.")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(tiny, monkeypatch):
    """A run on a disk that fills up fails in a sentence; once there is room again everything
    works.
    """
    ws = _make.workspace(tiny / "home")
    job = _make.ask(ws, monkeypatch)
    ballast = tiny / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(4 << 20))
    with pytest.raises((OSError, UserError)) as refused:
        ws.add(_make.small(300, "more"))
    assert "disk is full" in user_sentence(refused.value)
    assert [e["name"] for e in ws.catalogue.datasets()] == ["few"]
    ballast.unlink()
    assert _make.do(ws, job.id).status == "done"
    _make.whole(ws)


def test_the_causes_are_told_and_bugs_are_not_hidden():
    for error, words in FAULTS.items():
        failed = RuntimeError("saving")
        failed.__cause__ = OSError(error, "x", "/secret/patient name")
        assert user_sentence(failed) == words
        assert "secret" not in words
    assert user_sentence(OSError(errno.EPIPE, "x")) is None
    assert user_sentence(KeyError("x")) is None
    assert user_sentence(UserError("Fix it.")) == "Fix it."


def test_the_seam_is_where_the_disk_is_touched():
    """Files are written through core/io/files.py alone, so that these tests mean what they say."""
    allowed = {
        "core/io/files.py",
        "core/io/locks.py",
        "core/workspace/upgrade.py",
        "core/sandbox.py",
        "core/data/readers/wfdb_file.py",
        "core/jobs/engines.py",
        "core/jobs/priority.py",  # a switch of the kernel's
    }
    calls = re.compile(
        r"""\.write_(text|bytes)\(|\.mkdir\(|os\.(replace|rename)\(|np\.save\(|copytree\(|open\([^)]*"[wxa]b?"[^)]*\)"""
    )
    root = Path(files.__file__).parents[2]
    for path in [*(root / "core").rglob("*.py"), *(root / "app").rglob("*.py")]:
        found = [line for line in path.read_text().splitlines() if calls.search(line)]
        assert path.relative_to(root).as_posix() in allowed or not [
            f for f in found if "zipfile" not in f
        ], (path, found)


# -- not one byte free -----------------------------------------------------------------------------
def fill(tiny):
    """Take every byte that is free."""
    for k in range(3):
        with suppress(OSError), open(tiny / f"ballast{k}", "wb") as f:
            while True:
                f.write(bytes(4096))
                f.flush()


@pytest.mark.parametrize("tiny", ["16m"], indirect=True)  # the workspace of the other tests fits in
def test_what_frees_space_works_without_a_free_byte(ws, tiny, monkeypatch):
    """Lists are shown, what needs room is refused in a sentence, and runs and data can be removed.
    Nothing of the catalogue is taken for damaged.
    """
    ws.catalogue.engine.dispose()  # no process holds it open
    shutil.copytree(ws.home, tiny / "home")
    ws = Workspace(tiny / "home")
    monkeypatch.setenv("LIGHTBOX_HOME", str(ws.home))
    run = ws.runs()[0].id
    for job in ws.catalogue.jobs():
        if job.id != run:
            ws.remove_run(job.id)
    ws.catalogue.engine.dispose()
    fill(tiny)
    assert not files.has_room(ws.home, 1)
    for command, words in (
        (("data", "list"), "few"),
        (("runs", "list"), run),
        (("data", "show", "few"), "40 rows"),
        (("runs", "show", run), "done"),
    ):
        code, out, err = lightbox(*command)
        assert (code, err) == (0, "")
        assert words in out
    code, _, err = lightbox("train", "few", "pca")
    assert (code, err) == (2, f"{FAULTS[errno.ENOSPC]}\n")
    at = AppTest.from_file(
        str(Path(files.__file__).parents[2] / "app" / "main.py"), default_timeout=300
    ).run()
    assert not at.exception
    assert lightbox("runs", "remove", run)[0] == 0
    assert not ws.folder(run).exists()
    fill(tiny)
    assert lightbox("data", "remove", "few")[0] == 0
    again = Workspace(ws.home)
    assert (again.catalogue.datasets(), again.catalogue.jobs()) == ([], [])
    assert not (ws.home / "damaged").exists()


def test_a_bug_that_no_log_can_take_is_told_by_its_last_line(tiny, monkeypatch):
    from app.error_log import log_error

    monkeypatch.setenv("LIGHTBOX_HOME", str(tiny / "home"))
    files.make_folder(tiny / "home" / "log")
    fill(tiny)
    assert log_error(KeyError("Jane Doe")).startswith(
        "Something went wrong inside, and the log cannot be written (No space left on device):"
        " KeyError"
    )
    assert "Jane" not in log_error(KeyError("Jane Doe"))
    for ballast in tiny.glob("ballast*"):
        ballast.unlink()
    said = log_error(ZeroDivisionError("float division by zero"))
    assert re.fullmatch(
        r"Something went wrong inside \(id [0-9a-f]{8}\); .*errors\.log has the details\.", said
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_other_accounts_read_nothing(tmp_path, monkeypatch):
    """700 and 600, whatever the user's umask; what is exported to a folder of the user's has the
    rights they usually give.
    """
    monkeypatch.setenv("LIGHTBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(files, "_users", [])
    before = os.umask(0o022)
    try:
        assert lightbox("data", "list")[0] == 0
        made = _make.workspace(tmp_path / "home")
        run = _make.do(made, _make.ask(made, monkeypatch).id).id
        uploads.store_upload(made, [("a.csv", io.BytesIO(b"a\n1\n"))])
        modes = {p.stat().st_mode & 0o777 for p in [made.home, *made.home.rglob("*")]}
        assert modes == {0o700, 0o600}
        assert lightbox("export", run, "--to", tmp_path / "mine")[0] == 0
        assert {
            p.stat().st_mode & 0o777 for p in [tmp_path / "mine", *(tmp_path / "mine").rglob("*")]
        } == {0o755, 0o644}
    finally:
        os.umask(before)


def test_an_open_workspace_is_closed_and_a_folder_with_other_things_is_not(tmp_path):
    for name in ("home", "shared"):
        (tmp_path / name / "datasets").mkdir(parents=True, mode=0o755)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "shared" / "letter.txt").write_text("x")
    for name, mode in (("home", 0o700), ("shared", 0o755)):
        Workspace(tmp_path / name)
        assert (tmp_path / name).stat().st_mode & 0o777 == mode
        assert (tmp_path / name / "datasets").stat().st_mode & 0o777 == 0o700
